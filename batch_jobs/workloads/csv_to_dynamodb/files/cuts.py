"""Where the rows of a large CSV file begin, so that it can be cut there.

Whether a line break ends a row depends on every quote before it, and a row's line on every line: no range of the file
shows either. So the file is read once, by the reader that the import uses and by the same rules, and the offsets of the
rows next to some places are noted. What the import would refuse as a whole is not cut.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat
from batch_jobs.workloads.csv_to_dynamodb.files.records import CsvRecords, gathered, lines_end
from batch_jobs.workloads.csv_to_dynamodb.files.start import is_blank, read_start
from millrace.errors import ErrorCode, ItemError
from millrace.workload import RecordStart

MAX_RECORD_BYTES = 1_048_576
"""A file with a longer row is not cut: far from where the import refuses one, which depends on how the bytes come."""

MAX_HEAD_BYTES = 1_048_576
"""A file with a longer header is not cut: every range reads it, and what `auto` looked at."""

_UTF8 = frozenset({"utf-8", "utf-8-sig"})
_BOM = b"\xef\xbb\xbf"


def record_starts(
    chunks: Iterable[bytes],
    form: CsvFormat,
    places: Sequence[int],
    check: Callable[[list[str]], object] = len,
) -> Iterator[RecordStart]:
    """The first row at or behind each place, the header aside, so that every range is read as the file is.

    Bounded memory, whatever is in the file.

    Args:
        chunks: The file's bytes, all of them; no archive.
        form: How it is written; one of which `can_be_cut` is true in the record.
        places: Offsets, growing.
        check: Looks at the columns, and raises where the import would refuse them.

    Raises:
        ItemError: The import would refuse the file, or a row of it is longer than `MAX_RECORD_BYTES`.
    """
    return _Scan(chunks, form, check).starts(places)


class _Scan:
    def __init__(self, chunks: Iterable[bytes], form: CsvFormat, check: Callable[[list[str]], object]) -> None:
        self._encoding = form.encoding
        self._form = form
        self._check = check
        self._head: list[str] | None = []
        self._head_bytes = self._bom = 0
        self._row = self._end = 0  # offsets: of the row that is being read, and behind the line that was read last
        lines = self._lines(chunks)
        start = read_start(lines, form, self._characters)
        self._skipped = start.skipped
        self._end = self._bom + self._head_bytes - sum(map(len, start.lines))
        self._delimiter = start.delimiter
        counted = self._counted(chain(start.lines, lines))
        self._reader = csv.reader(counted, strict=True, **form.dialect(start.delimiter))

    def starts(self, places: Sequence[int]) -> Iterator[RecordStart]:
        head, head_bytes = self._read_head()
        reader = self._reader
        wanted = iter(places)
        never = 1 << 63
        place = next(wanted, never)
        next_line = self._skipped + 1
        first = True
        self._row, line = self._end, reader.line_num + next_line
        while True:
            try:
                for cells in reader:
                    if self._row >= place and cells and not (first and not self._is_like(head, self._row)):
                        first = False
                        yield RecordStart(self._row, line, head_bytes)
                        while place <= self._row:
                            place = next(wanted, never)
                    self._row, line = self._end, reader.line_num + next_line
            except csv.Error:  # as in the import: the reader continues with the next line
                self._row, line = self._end, reader.line_num + next_line
            else:
                return

    def _read_head(self) -> tuple[bytes, int]:
        """Read the header, or the first row where there is none.

        Returns:
            What decides how the file is read, the header and what `auto` looked at; and how many bytes of the file
            decide it as well: those up to the header's end, mostly.
        """
        try:
            next((cells for cells in self._reader if not is_blank(cells)), None)
        except csv.Error as error:
            raise ItemError(ErrorCode.DAMAGED, f"the first row cannot be read as CSV: {error}") from None
        head = "".join(self._head or ()).encode("latin-1")
        self._head = None
        self._check(CsvRecords((head,), self._form).columns)  # would the import take this header?
        return head, self._end if self._is_like(head, self._end) else self._bom + len(head)

    def _is_like(self, head: bytes, end: int) -> bool:
        """Whether a file that ends at an offset, no further in than the header's end, is read as this one is."""
        length = end - self._bom
        if length >= len(head):
            return True
        lines = io.StringIO(head[:length].decode("latin-1"), newline="")
        return read_start(lines, self._form, self._characters).delimiter == self._delimiter

    def _characters(self, line: str) -> int:
        """How many characters the import sees in a line."""
        return len(line.encode("latin-1").decode("utf-8", "surrogateescape")) if self._encoding in _UTF8 else len(line)

    def _lines(self, chunks: Iterable[bytes]) -> Iterator[str]:
        """The lines, a character for each byte."""
        rest = ""
        for number, given in enumerate(gathered(chunks)):
            chunk = given
            if self._encoding not in _UTF8:
                try:
                    chunk.decode(self._encoding)
                except UnicodeDecodeError as error:
                    raise ItemError(ErrorCode.NOT_TEXT, f"this is not {self._encoding} text") from error
            elif not number and chunk.startswith(_BOM):
                chunk = chunk[len(_BOM) :]
                self._bom = len(_BOM)
            text = rest + chunk.decode("latin-1")
            if max(len(rest), self._end - self._row) > MAX_RECORD_BYTES:
                raise _too_long()
            end = lines_end(text)
            rest = text[end:]
            yield from self._noted(text[:end])
        yield from self._noted(rest)

    def _noted(self, text: str) -> Iterator[str]:
        """The lines of a text; as long as the head is read, they are its."""
        for line in io.StringIO(text, newline=""):
            if self._head is not None:
                self._head.append(line)
                self._head_bytes += len(line)
                if self._head_bytes > MAX_HEAD_BYTES:
                    raise _too_long()
            yield line

    def _counted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._end += len(line)
            yield line


def _too_long() -> ItemError:
    return ItemError(ErrorCode.TOO_LARGE, f"a row is longer than {MAX_RECORD_BYTES:,} bytes")
