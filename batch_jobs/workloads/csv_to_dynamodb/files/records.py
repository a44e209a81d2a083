"""The rows of a CSV file as it streams: any dialect, quoted line breaks, bounded memory."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat
from batch_jobs.workloads.csv_to_dynamodb.files.start import is_blank, least_cells, read_start
from millrace.encoded_text import kind_of, undecoded
from millrace.errors import ErrorCode, ItemError

MAX_RECORD_CHARACTERS = 4_194_304
"""The longest row. A DynamoDB item has at most 400 KB; what is ten times that is another file format, or a bomb."""

MAX_COLUMNS = 65_536
"""The most columns. An item of 400 KB has six bytes for each, name and value together."""

_LEAST_BYTES = 65_536
_BLOCK_BYTES = 262_144
"""How much is decoded and cut into lines at once, at least and at most."""

# One setting for the whole process. A field that passes it leaves the reader in the middle of a quoted cell, whose
# lines it would then take for rows; the check in `_lines` strikes long before.
csv.field_size_limit(16 * MAX_RECORD_CHARACTERS)


class EmptyFileError(ItemError):
    """There is nothing in a file, not even a header."""


class CsvRecords:
    """The rows of one file. Iterating gives `(line, cells)`, or `(line, reason)` where the row cannot be read.

    `line` counts from 1 and is where the row begins. Empty lines are no rows, nor is Excel's first line `sep=;`. A row
    that has more or fewer cells than there are columns cannot be read, nor one whose quotes are not as RFC 4180 has
    them. Cells of nameless columns at the end may be missing: they are empty then.

    Args:
        chunks: The file's bytes.
        form: How it is written.
        name: What to call the file in errors; empty where the row of the report says it already.
        head_bytes: How many of the bytes are the file's beginning, where what follows them there is left out.
        continues_at: Which line of the file comes behind these bytes; None where nothing is left out.

    Attributes:
        columns: The names of the columns; empty, or blanks, where a column has none.

    Raises:
        ItemError: `NOT_TEXT`; `DAMAGED`: the header is no CSV, or there is none (`EmptyFileError`); `WRONG_COLUMNS`:
            `column_names` are not as many as its cells; `TOO_LARGE`: a row is longer than 4 Mi characters, or there
            are more than 65,536 columns.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        form: CsvFormat,
        *,
        name: str = "",
        head_bytes: int = 0,
        continues_at: int | None = None,
    ) -> None:
        self._head = f"{name}: " if name else ""
        self._line = 0
        rest: Iterable[bytes] = ()
        if continues_at is not None:
            chunks, rest = _cut(chunks, head_bytes)
        lines = self._lines(_text(chunks, form.encoding, self._head))
        start = read_start(lines, form)
        dialect = form.dialect(start.delimiter)
        self._reader = csv.reader(chain(start.lines, lines), strict=True, **dialect)
        self._left_out = start.skipped
        self.columns = self._columns(form)
        self._least = least_cells(self.columns) if form.header else len(self.columns)
        if continues_at is not None:
            behind = self._lines(_text(rest, form.encoding, self._head, begins=False))
            self._reader = csv.reader(behind, strict=True, **dialect)
            self._left_out = continues_at - 1

    def _columns(self, form: CsvFormat) -> list[str]:
        names = list(form.column_names)
        if not form.header:
            return names
        try:
            found = next((cells for cells in self._reader if not is_blank(cells)), None)
        except csv.Error as error:
            raise ItemError(ErrorCode.DAMAGED, f"{self._head}the header cannot be read as CSV: {error}") from None
        if found is None:
            raise EmptyFileError(ErrorCode.DAMAGED, f"{self._head}there is not even a header: the file is empty")
        if len(found) > MAX_COLUMNS:
            message = f"{self._head}the header has {len(found):,} columns, which is more than {MAX_COLUMNS:,}"
            raise ItemError(ErrorCode.TOO_LARGE, message)
        header = "".join(found)
        if undecoded(header):
            raise self._not_text(found, form)
        if "\0" in header:
            message = "there is a NUL character in the header; for UTF-16, set the option encoding: utf-16-le or -be"
            raise ItemError(ErrorCode.NOT_TEXT, self._head + message)
        if names and not least_cells(found) <= len(names) <= len(found):
            message = f"the header has {len(found)} columns, column_names has {len(names)}"
            raise ItemError(ErrorCode.WRONG_COLUMNS, self._head + message)
        return names + [""] * (len(found) - len(names)) if names else found

    def _not_text(self, header: list[str], form: CsvFormat) -> ItemError:
        try:
            kind = kind_of(header[0][:8].encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            kind = ""
        why = kind or undecoded("".join(header))
        return ItemError(ErrorCode.NOT_TEXT, f"{self._head}the header is not {form.encoding} text: {why}")

    def __iter__(self) -> Iterator[tuple[int, list[str] | str]]:
        reader = self._reader
        width = len(self.columns)
        next_line = self._left_out + 1
        line = self._line = reader.line_num + next_line
        while True:
            try:
                for cells in reader:
                    if len(cells) == width:
                        yield line, cells
                    elif self._least <= len(cells) < width and cells:
                        yield line, cells + [""] * (width - len(cells))
                    elif cells:
                        yield line, f"{len(cells)} cells where there are {width} columns"
                    line = self._line = reader.line_num + next_line
            except csv.Error as error:
                # The reader drops the row and continues with the next line.
                yield line, _reason(error, line, reader.line_num + self._left_out)
                line = self._line = reader.line_num + next_line
            else:
                return

    def _lines(self, blocks: Iterable[str]) -> Iterator[str]:
        """The lines, endings included; only LF, CR and CRLF end one."""
        rest = ""
        seen = -1
        read = 0
        for block in blocks:
            read = read + len(block) if seen == self._line else 0
            seen = self._line
            text = rest + block
            if max(read, len(rest)) > MAX_RECORD_CHARACTERS:
                raise self._too_long()
            end = lines_end(text)
            rest = text[end:]
            yield from io.StringIO(text[:end], newline="")
        yield from io.StringIO(rest, newline="")

    def _too_long(self) -> ItemError:
        message = (
            f"{self._head}line {max(self._line, 1)}: the row is longer than {MAX_RECORD_CHARACTERS:,} characters; "
            "is a quote not closed? Otherwise set the options delimiter, quote or encoding"
        )
        return ItemError(ErrorCode.TOO_LARGE, message)


def lines_end(text: str) -> int:
    """How many of the characters belong to whole lines, as far as is known: a last CR may be half of CRLF."""
    return text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1


def _cut(chunks: Iterable[bytes], length: int) -> tuple[list[bytes], Iterator[bytes]]:
    """The first bytes, and all others."""
    behind = iter(chunks)
    first: list[bytes] = []
    for chunk in behind:
        first.append(chunk[:length])
        length -= len(chunk)
        if length <= 0:
            return first, chain((chunk[len(chunk) + length :],), behind)
    return first, behind


def _text(chunks: Iterable[bytes], encoding: str, head: str, *, begins: bool = True) -> Iterator[str]:
    # In UTF-8 a bad byte costs its row, not the file: it comes as a lone surrogate, which no item can hold.
    is_utf8 = encoding in {"utf-8", "utf-8-sig"}
    # A byte order mark in the middle of a file is a character.
    utf8 = "utf-8-sig" if begins else "utf-8"
    decoder = codecs.getincrementaldecoder(utf8 if is_utf8 else encoding)("surrogateescape" if is_utf8 else "strict")
    done = 0
    try:
        for chunk in gathered(chunks):
            for start in range(0, len(chunk), _BLOCK_BYTES):
                block = chunk[start : start + _BLOCK_BYTES]
                text = decoder.decode(block)
                if text and begins and not is_utf8:
                    text = text.removeprefix("\ufeff")  # utf-16-le and its like keep the mark
                if text:
                    begins = False
                    yield text
                done += len(block)
        if text := decoder.decode(b"", final=True):
            yield text
    except UnicodeDecodeError as error:
        message = f"{head}this is not {encoding} text, near byte {done + error.start}: {error.reason}"
        raise ItemError(ErrorCode.NOT_TEXT, message) from None
    except UnicodeError as error:  # UTF-16 and UTF-32 without a byte order mark
        raise ItemError(ErrorCode.NOT_TEXT, f"{head}this is not {encoding} text: {error}") from None


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in no tiny chunks: each costs a scan of the line so far."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _LEAST_BYTES:
            yield b"".join(held) if len(held) > 1 else chunk
            held, size = [], 0
    yield b"".join(held)


def _reason(error: csv.Error, line: int, last: int) -> str:
    if str(error) == "unexpected end of data":
        return f"a quoted cell is not closed: it runs to the file's end, line {last}"
    return f"this cannot be read as CSV: {error}" + (f" (in line {last})" if last != line else "")
