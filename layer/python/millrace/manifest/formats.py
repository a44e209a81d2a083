"""The file formats of manifests: CSV, JSON Lines, Parquet, each read as a stream of rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_plus

from millrace.errors import ManifestError
from millrace.manifest.rows import COLUMNS, Cells, squeezed

BATCH_OPERATIONS = ("Bucket", "Key", "VersionId")
"""The columns of a CSV manifest of S3 Batch Operations, which has no header and may lack the last."""

_KEY = COLUMNS.index("key")

_PARQUET_ROWS = 16_384
"""How many rows of a Parquet file are in memory at once."""


def read_cells(file: BinaryIO, kind: str, name: str, schema: Sequence[str] = ()) -> Iterator[Cells]:
    """The rows of a file.

    Args:
        file: The file; gzipped or not.
        kind: Its format, as `millrace.manifest.names.FORMATS` has it.
        name: Its URI, for errors.
        schema: The columns of a CSV file of S3 Inventory, whose keys are URL-encoded as those of S3 Batch Operations.

    Raises:
        ManifestError: It cannot be read as that format.
    """
    try:
        if kind == "Parquet":
            yield from _parquet(file, name)
            return
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with io.TextIOWrapper(
            cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file, encoding="utf-8", newline=""
        ) as text:
            yield from _csv(text, schema) if kind == "CSV" else _json_lines(text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ManifestError(f"this cannot be read as {kind}: {error}", operation="read", target=name) from error


def _csv(text: io.TextIOWrapper, schema: Sequence[str]) -> Iterator[Cells]:
    rows = csv.reader(text, strict=True)
    first = next((row for row in rows if row), [])
    names = [squeezed(cell) for cell in first]
    headed = not schema and "key" in names and len(set(names)) == len(names)
    if not headed:
        names = [squeezed(column) for column in schema or BATCH_OPERATIONS]
    places = [names.index(column) if column in names else -1 for column in COLUMNS]
    for row in rows if headed else _with_first(first, rows):
        if not row:
            continue
        if len(row) > len(names):
            raise ValueError(f"line {rows.line_num} has {len(row)} cells, there are {len(names)} columns")
        cells = [row[place] if 0 <= place < len(row) else None for place in places]
        if not headed:
            cells[_KEY] = unquote_plus(cells[_KEY] or "", errors="strict")
        yield cells


def _with_first(first: list[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rows


def _json_lines(text: io.TextIOWrapper) -> Iterator[Cells]:
    for number, line in enumerate(text, start=1):
        if line.isspace():
            continue
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError(f"line {number} is no object")  # noqa: TRY004 - one kind of error for a bad file
        named = {squeezed(name): value for name, value in found.items()}
        yield [named.get(column) for column in COLUMNS]


def _parquet(file: BinaryIO, name: str) -> Iterator[Cells]:
    try:
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - 130 MB that only a Parquet manifest needs
    except ModuleNotFoundError:
        raise ManifestError(
            "Parquet needs the Python package pyarrow (batch_jobs/requirements-parquet.txt): make the job image with "
            "EXTRAS=parquet, or the manifest as CSV or JSON Lines",
            operation="read",
            target=name,
        ) from None
    table: Any = ParquetFile(file)
    named = {squeezed(column): column for column in table.schema_arrow.names}
    wanted = [named[column] for column in COLUMNS if column in named]
    places = [wanted.index(named[column]) if column in named else -1 for column in COLUMNS]
    for batch in table.iter_batches(_PARQUET_ROWS, columns=wanted):
        read = [column.to_pylist() for column in batch.columns]
        nothing = [None] * batch.num_rows
        yield from zip(*(nothing if place < 0 else read[place] for place in places), strict=True)
