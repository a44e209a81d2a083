"""An item's bytes as a workload's function reads them: decompressed, decoded, and read to the end or an error."""

from __future__ import annotations

import codecs
import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from millrace.errors import ErrorCode, ItemError
from millrace.json_text import read_json
from millrace.records.plan import Item
from millrace.workload.compressed import decompressed_as, packed_format
from millrace.workload.lines import MAX_LINE_BYTES, lines

Chunk = bytes
"""`bytes`, which is a method's name inside the class."""

MAX_COLUMNS = 65_536
"""The most columns of a CSV file: more of them, and a comma is no delimiter there."""

_PEEK_BYTES = 6
"""As long as the longest signature of a compressed file."""


class ItemBody:
    """One item's content. Read it once, by one of its methods.

    gzip, bzip2, xz and Zstandard are decompressed, whether the key's extension or the content says so. A truncated or
    damaged object never looks like a short one: reading raises `ItemError`, which becomes the item's row.

    Args:
        item: The item as planned.
        chunks: Its bytes as stored.
    """

    def __init__(self, item: Item, chunks: Iterable[Chunk]) -> None:
        self._item = item
        self._chunks = chunks
        self._read_by = ""

    def __iter__(self) -> Iterator[Chunk]:
        """The bytes, in chunks of any size.

        Raises:
            ItemError: `DAMAGED`: a compressed object is broken or ends too early. `NOT_SUPPORTED`: the item is a byte
                range, which only `lines` and `json_lines` can read.
        """
        return self._whole("iteration")

    def raw(self) -> Iterator[Chunk]:
        """The bytes as they are stored, compressed or not, in chunks of any size."""
        self._first_use("raw")
        return iter(self._chunks)

    def bytes(self) -> Chunk:
        """All bytes, in memory."""
        return b"".join(self._whole("bytes"))

    def text(self, encoding: str = "utf-8") -> str:
        """All text, in memory, without a byte order mark.

        Raises:
            ItemError: `NOT_TEXT`: it is not in that encoding.
        """
        return "".join(_decoded(self._whole("text"), encoding))

    def lines(self, encoding: str = "utf-8") -> Iterator[str]:
        """The lines, one by one, without their line ends (LF or CRLF) and without a byte order mark.

        Of an item that is a byte range, the lines that begin in the range: each line of an object is one item's.

        Raises:
            ItemError: `NOT_TEXT`: a line is not in that encoding. `TOO_LARGE`: a line is longer than 64 MiB.
            ValueError: A line end of that encoding is not one byte, as in UTF-16: read `text`.
        """
        if "\n".encode(encoding) != b"\n":
            raise ValueError(f"lines of {encoding} cannot be separated by bytes; read text({encoding!r})")
        for _, line in self._lines("lines"):
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise ItemError(ErrorCode.NOT_TEXT, f"this is not {encoding} text: {error.reason}") from None

    def json_lines(self) -> Iterator[Any]:
        """The values of JSON Lines, one by one; empty lines are passed over.

        Raises:
            ItemError: `DAMAGED`: a line is not JSON; the error says which.
        """
        for number, line in self._lines("json_lines"):
            if line.strip():
                try:
                    yield read_json(line)
                except ValueError as error:
                    raise ItemError(
                        ErrorCode.DAMAGED, f"{self._line_name(number)} is not JSON{_where(error)}"
                    ) from None

    def csv(self, delimiter: str = ",", encoding: str = "utf-8") -> Iterator[dict[str, str]]:
        """The rows of a CSV file whose first row names the columns (RFC 4180), one by one; empty rows are passed over.

        Raises:
            ItemError: `WRONG_COLUMNS`: the header names a column twice. `BAD_ROW`: a row has more or fewer fields than
                the header, or a quote is not closed. `NOT_TEXT`: it is not in that encoding. `TOO_LARGE`: a row is
                longer than 64 Mi characters, or there are more than 65,536 columns.
        """
        text = _lines_of_text(_decoded(self._whole("csv"), encoding))
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        names: list[str] | None = None
        try:
            for row in reader:
                if not row:
                    continue
                if names is None:
                    names = _columns(row)
                    continue
                if len(row) != len(names):
                    raise ItemError(
                        ErrorCode.BAD_ROW, f"line {reader.line_num} has {len(row)} fields, the header has {len(names)}"
                    )
                yield dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise ItemError(ErrorCode.BAD_ROW, f"line {reader.line_num} is not CSV: {error}") from None

    @contextmanager
    def file(self) -> Iterator[Path]:
        """All bytes in a temporary file, deleted at the end of the `with` block; its name has the key's extension."""
        extension = Path(self._item.key.rpartition("/")[2]).suffix
        usable = extension if len(extension) <= 16 and extension.isprintable() and "\\" not in extension else ""
        handle, name = tempfile.mkstemp(prefix="millrace-item-", suffix=usable)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in self._whole("file"):
                    file.write(chunk)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _first_use(self, name: str) -> None:
        if self._read_by:
            raise RuntimeError(f"the body was read before, by {self._read_by}: a body can be read once")
        self._read_by = name

    def _whole(self, name: str) -> Iterator[Chunk]:
        self._first_use(name)
        if self._item.first_byte is not None:
            raise ItemError(
                ErrorCode.NOT_SUPPORTED,
                f"{name} cannot read a byte range of an object: read lines or json_lines, or declare no splits",
            )
        return self._decompressed()

    def _decompressed(self) -> Iterator[Chunk]:
        chunks = iter(self._chunks)
        start = b""
        while len(start) < _PEEK_BYTES and (chunk := next(chunks, None)) is not None:
            start += chunk
        return decompressed_as(packed_format(self._item.key, start), chain([start] if start else [], chunks))

    def _lines(self, name: str) -> Iterator[tuple[int, Chunk]]:
        """The lines with their numbers, counted from 1, without their ends."""
        self._first_use(name)
        body = self._decompressed() if self._item.first_byte is None else self._chunks
        for number, line in enumerate(lines(self._item, body, MAX_LINE_BYTES), start=1):
            bare = line.removesuffix(b"\n").removesuffix(b"\r")
            is_first = number == 1 and not self._item.first_byte
            yield number, bare.removeprefix(codecs.BOM_UTF8) if is_first else bare

    def _line_name(self, number: int) -> str:
        return f"line {number}" + (f" from byte {self._item.first_byte:,} on" if self._item.first_byte else "")


def _where(error: ValueError) -> str:
    """Where in the line, without quoting it: a report does not carry an object's content."""
    column = getattr(error, "colno", None)
    return f" at column {column}: {error.msg}" if column and hasattr(error, "msg") else ""


def _decoded(chunks: Iterable[Chunk], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise ItemError(ErrorCode.NOT_TEXT, f"this is not {encoding} text: {error.reason}") from None


def _lines_of_text(pieces: Iterable[str]) -> Iterator[str]:
    """Lines with their ends; csv puts those of a quoted field together again."""
    begun: list[str] = []
    size = 0
    for piece in pieces:
        *whole, rest = piece.split("\n")
        for line in whole:
            yield "".join((*begun, line, "\n"))
            begun.clear()
            size = 0
        begun.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise ItemError(ErrorCode.TOO_LARGE, f"not lines: one is longer than {MAX_LINE_BYTES:,} characters")
    if size:
        yield "".join(begun)


def _columns(row: list[str]) -> list[str]:
    if len(row) > MAX_COLUMNS:
        raise ItemError(ErrorCode.TOO_LARGE, f"the header has {len(row):,} columns, which is more than {MAX_COLUMNS:,}")
    twice = next((name for name, number in Counter(row).items() if number > 1), None)
    if twice is not None:
        raise ItemError(ErrorCode.WRONG_COLUMNS, f"the header names the column {twice[:100]!r} twice")
    return row
