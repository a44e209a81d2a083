"""Tables of a run's result as pandas, Polars or Arrow have them, where these are installed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import Any, BinaryIO

from millrace.errors import InvalidRunRequest, UsageError
from millrace.report.completion import exact_cell

ROWS_AT_ONCE = 65_536
"""How many rows of a CSV file are Python objects at once."""

PACKAGES = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
"""What a table may become, and the package for it."""

_PANDAS = {"int": "Int64", "float": "Float64", "bool": "boolean"}
_VALUES: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": lambda cell: cell == "true"}


def library(to: str) -> Any:
    """The package that makes tables of a kind.

    Args:
        to: "pandas", "polars" or "arrow".

    Raises:
        InvalidRunRequest: It is another word.
        UsageError: The package is not installed.
    """
    if to not in PACKAGES:
        raise InvalidRunRequest("to", to, '"pandas", "polars" or "arrow"')
    return _package(PACKAGES[to], f'rows(to="{to}")')


def table_of_csv(to: str, lines: Iterable[str], types: Mapping[str, str]) -> Any:
    """A CSV file of a result as a table.

    Args:
        to: "pandas", "polars" or "arrow".
        lines: The file's lines.
        types: The types of columns, as result.json has them: int, float, bool, str, json. Others are texts.

    Returns:
        A pandas.DataFrame with nullable types, a polars.DataFrame or a pyarrow.Table. An empty cell is missing, or an
        empty text where the column has texts: a CSV file does not tell which.

    Raises:
        InvalidRunRequest: `to` is another word.
        UsageError: The package is not installed.
    """
    made, join = _makers(to, library(to))
    reader = csv.reader(lines)
    names = next(reader, [])
    kinds = [types.get(exact_cell(name), "str") for name in names]
    columns = [exact_cell(name) for name in names]
    parts = [made(columns, kinds, cells) for cells in _batches(reader, kinds)]
    return join(parts or [made(columns, kinds, [[] for _ in kinds])])


def table_of_parquet(to: str, files: Sequence[BinaryIO]) -> Any:
    """Parquet files of a result as one table.

    Args:
        to: "pandas", "polars" or "arrow".
        files: The files, in their order.

    Raises:
        InvalidRunRequest: `to` is another word.
        UsageError: The package, or pyarrow for pandas, is not installed.
    """
    found = library(to)
    if to == "polars":
        return found.concat([found.read_parquet(file) for file in files])
    _package("pyarrow", f'rows(to="{to}") of a Parquet file')
    if to == "arrow":
        reading = import_module("pyarrow.parquet")
        return found.concat_tables([reading.read_table(file) for file in files])
    frames = [found.read_parquet(file, dtype_backend="numpy_nullable") for file in files]
    return found.concat(frames, ignore_index=True)


def rows_of_parquet(files: Iterable[BinaryIO]) -> Iterator[dict[str, Any]]:
    """The rows of Parquet files, one by one.

    Raises:
        UsageError: pyarrow is not installed.
    """
    _package("pyarrow", "rows of a Parquet file")
    reading = import_module("pyarrow.parquet")
    for file in files:
        for batch in reading.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()


def _package(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{what} needs the Python package {name}, which is not installed: pip install {name}"
        ) from error


def _batches(rows: Iterator[list[str]], kinds: Sequence[str]) -> Iterator[list[list[Any]]]:
    """The cells column by column, so many rows at once."""
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield [_cells(kind, cells) for kind, cells in zip(kinds, zip(*batch, strict=True), strict=True)]


def _cells(kind: str, cells: Sequence[str]) -> list[Any]:
    value = _VALUES.get(kind)
    if value is None:
        return [exact_cell(cell) for cell in cells]
    return [value(cell) if cell else None for cell in cells]


def _makers(to: str, found: Any) -> tuple[Callable[[list[str], list[str], list[list[Any]]], Any], Callable[[Any], Any]]:
    """What makes a table of columns, and what joins tables."""
    if to == "pandas":
        return (
            lambda names, kinds, cells: found.DataFrame(
                {
                    name: found.Series(column, dtype=_PANDAS.get(kind, "string"))
                    for name, kind, column in zip(names, kinds, cells, strict=True)
                }
            ),
            lambda parts: found.concat(parts, ignore_index=True),
        )
    if to == "polars":
        types = {"int": found.Int64, "float": found.Float64, "bool": found.Boolean}
        return (
            lambda names, kinds, cells: found.DataFrame(
                dict(zip(names, cells, strict=True)),
                schema={name: types.get(kind, found.String) for name, kind in zip(names, kinds, strict=True)},
            ),
            found.concat,
        )
    fields = {"int": found.int64(), "float": found.float64(), "bool": found.bool_()}
    return (
        lambda names, kinds, cells: found.table(
            [found.array(column, fields.get(kind, found.string())) for kind, column in zip(kinds, cells, strict=True)],
            names=names,
        ),
        found.concat_tables,
    )
