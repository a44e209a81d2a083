"""Rows as a Parquet file: a column of each name, of the type that all its values fit in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from millrace.errors import WorkloadUnavailableError

_ROWS = 16_384
"""How many rows are in memory at once, and in a row group."""


def write_parquet(columns: Mapping[str, str], lines: Iterator[bytes], file: BinaryIO) -> None:
    """Write rows.

    Args:
        columns: The columns' names and types, as `batch_jobs.workloads.function.gathered.type_of` names them. A column
            of JSON holds texts; one of which every value is missing, too.
        lines: The rows, as lines of JSON.
        file: Where to write.

    Raises:
        WorkloadUnavailableError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - 150 MB that only such a table needs
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise WorkloadUnavailableError(
            'a table="parquet" needs the Python package pyarrow: name it in the workload\'s requirements, or make the '
            "job image with EXTRAS=parquet",
            operation="write the table",
            target="rows.parquet",
        ) from error
    types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns.items()])
    fields = list(columns.items())
    writer: Any
    with ParquetWriter(file, schema) as writer:
        for rows in _batches(lines):
            cells = ([_cell(row.get(name), kind) for row in rows] for name, kind in fields)
            made = [pa.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(made, schema=schema))


def _batches(lines: Iterator[bytes]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(lines, _ROWS)):
        yield [json.loads(line) for line in batch]


def _cell(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return float(value) if kind == "float" and isinstance(value, int) else value
