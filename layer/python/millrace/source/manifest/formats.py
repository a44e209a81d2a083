"""The file formats of manifests, CSV and JSON Lines, each read as a stream of rows; Parquet's reader is given."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast
from urllib.parse import unquote_plus

from millrace.encoded_text import explained
from millrace.source.manifest.rows import COLUMNS, Cells, squeezed

BATCH_OPERATIONS = ("Bucket", "Key", "VersionId")
"""The columns of a CSV manifest of S3 Batch Operations, which has no header and may lack the last."""

_KEY = COLUMNS.index("key")

_LINE_CHARACTERS = 1_048_576
"""No line of a manifest is longer: a key has 1,024 bytes. What is no manifest at all may be one line of gigabytes."""

ReadParquet = Callable[[BinaryIO], Iterator[Cells]]
"""Reads a Parquet file; raises ValueError where it is none. The layer has no reader of its own, which takes 150 MB."""


def read_cells(file: BinaryIO, kind: str, bucket: str, schema: Sequence[str] = ()) -> Iterator[Cells]:
    """The rows of a CSV or JSON Lines file.

    Args:
        file: The file; gzipped or not.
        kind: Its format, as `millrace.source.manifest.names.FORMATS` has it.
        bucket: The source's bucket: a CSV file whose first cell is its name has no header.
        schema: The columns of a CSV file of S3 Inventory, whose keys are URL-encoded as those of S3 Batch Operations.

    Raises:
        ValueError: It cannot be read as that format.
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        with io.TextIOWrapper(
            cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file, encoding="utf-8-sig", newline=""
        ) as text:
            yield from _csv(_lines(text), bucket, schema) if kind == "CSV" else _json_lines(_lines(text))
    except UnicodeDecodeError as error:
        raise ValueError(explained(error)) from error
    except (OSError, EOFError, zlib.error, csv.Error, RecursionError) as error:
        raise ValueError(str(error)) from error


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(_LINE_CHARACTERS):
        number += 1
        if len(line) == _LINE_CHARACTERS:
            raise ValueError(f"line {number} is longer than {_LINE_CHARACTERS:,} characters")
        yield line


def _csv(lines: Iterator[str], bucket: str, schema: Sequence[str]) -> Iterator[Cells]:
    rows = csv.reader(lines, strict=True)
    first = next((row for row in rows if any(map(str.strip, row))), [])
    names = [squeezed(cell) for cell in first]
    # An object may have the key "key"; no column has the name of a bucket, unless that is a column's.
    titles = "key" in names and (first[0] != bucket or names[0] in COLUMNS)
    used = [name for name in names if name in COLUMNS]  # others may come twice: those without a name, for one
    headed = not schema and titles and len(set(used)) == len(used)
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


def _json_lines(lines: Iterator[str]) -> Iterator[Cells]:
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError(f"line {number} is no object")  # noqa: TRY004 - one kind of error for a bad file
        named = {squeezed(name): value for name, value in found.items()}
        yield [named.get(column) for column in COLUMNS]
