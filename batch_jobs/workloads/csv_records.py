"""The rows of a CSV file as it streams: any dialect, quoted line breaks, bounded memory."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

from batch_jobs.workloads.csv_format import CsvFormat
from millrace.errors import ErrorCode, ItemError

MAX_RECORD_CHARACTERS = 4_194_304
"""The longest row. A DynamoDB item has at most 400 KB; what is ten times that is another file format, or a bomb."""

_LEAST_BYTES = 65_536
_BLOCK_BYTES = 262_144
"""How much is decoded and cut into lines at once, at least and at most."""

# One setting for the whole process. A field that passes it leaves the reader in the middle of a quoted cell, whose
# lines it would then take for rows; the check in `_lines` strikes long before.
csv.field_size_limit(16 * MAX_RECORD_CHARACTERS)


class CsvRecords:
    """The rows of one file. Iterating gives `(line, cells)`, or `(line, reason)` where the row cannot be read.

    `line` counts from 1 and is where the row begins. Empty lines are no rows. A row that has more or fewer cells than
    there are columns cannot be read, nor one whose quotes are not as RFC 4180 has them.

    Args:
        chunks: The file's bytes.
        form: How it is written.
        name: What to call the file in errors; empty where the row of the report says it already.
        continues_at: Which line of the file follows its first record, where what lies between is left out: the bytes
            are those of the header, or of the first row where there is none, then those of rows from further on.

    Attributes:
        columns: The names of the columns.

    Raises:
        ItemError: `NOT_TEXT`; `DAMAGED`: there is no header; `WRONG_COLUMNS`: it names a column twice, or
            `column_names` are not as many as its cells; `TOO_LARGE`: a row is longer than 4 Mi characters.
    """

    def __init__(
        self, chunks: Iterable[bytes], form: CsvFormat, *, name: str = "", continues_at: int | None = None
    ) -> None:
        self._head = f"{name}: " if name else ""
        self._line = 0
        self._left_out = 0
        lines = self._lines(_text(chunks, form.encoding, self._head))
        first = next(lines, "")
        self._reader = csv.reader(chain((first,) if first else (), lines), strict=True, **form.dialect(first))
        self.columns = self._columns(form, first)
        if continues_at is not None:
            if not form.header:
                next((cells for cells in self._reader if cells), None)
            self._left_out = continues_at - 1 - self._reader.line_num

    def _columns(self, form: CsvFormat, first: str) -> list[str]:
        names = list(form.column_names)
        if not form.header:
            return names
        if not first:
            raise ItemError(ErrorCode.DAMAGED, f"{self._head}there is not even a header: the file is empty")
        try:
            found = next((cells for cells in self._reader if cells), [])
        except csv.Error as error:
            raise ItemError(ErrorCode.DAMAGED, f"{self._head}the header cannot be read as CSV: {error}") from None
        try:
            "".join(found).encode()
        except UnicodeEncodeError:
            raise ItemError(ErrorCode.NOT_TEXT, f"{self._head}the header is not {form.encoding} text") from None
        if names and len(names) != len(found):
            message = f"the header has {len(found)} columns, column_names has {len(names)}"
            raise ItemError(ErrorCode.WRONG_COLUMNS, self._head + message)
        twice = sorted({column for column in found if found.count(column) > 1})
        if twice and not names:
            message = f"the header has a column twice: {', '.join(map(repr, twice[:5]))}"
            raise ItemError(ErrorCode.WRONG_COLUMNS, self._head + message)
        return names or found

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
                    elif cells:
                        yield line, f"{len(cells)} cells where there are {width} columns"
                    line = self._line = reader.line_num + next_line
            except csv.Error as error:
                # The reader forgets the row and goes on with the next line.
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
            "is a quote not closed, or are delimiter, quote or encoding others?"
        )
        return ItemError(ErrorCode.TOO_LARGE, message)


def lines_end(text: str) -> int:
    """How many of the characters belong to whole lines, as far as can be told: a last CR may be half of CRLF."""
    return text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1


def _text(chunks: Iterable[bytes], encoding: str, head: str) -> Iterator[str]:
    # In UTF-8 a bad byte costs its row, not the file: it comes as a lone surrogate, which no item can hold.
    is_utf8 = encoding in {"utf-8", "utf-8-sig"}
    decoder = codecs.getincrementaldecoder("utf-8-sig" if is_utf8 else encoding)(
        "surrogateescape" if is_utf8 else "strict"
    )
    done = 0
    try:
        for chunk in gathered(chunks):
            for start in range(0, len(chunk), _BLOCK_BYTES):
                block = chunk[start : start + _BLOCK_BYTES]
                if text := decoder.decode(block):
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
    """The same bytes in no tiny chunks: each costs a look at the line so far."""
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
