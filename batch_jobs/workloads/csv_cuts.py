"""Where the rows of a large CSV file begin, so that it can be cut there.

Whether a line break ends a row depends on every quote before it, and a row's line on every line: no range of the file
tells either. So the file is read once, by the reader that the import uses and by the same rules, and the offsets of the
rows next to some places are noted. What the import would refuse as a whole is not cut.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from batch_jobs.workloads.csv_format import CsvFormat
from batch_jobs.workloads.csv_records import CsvRecords, gathered, lines_end
from batch_jobs.workloads.record_splitting import RecordStart
from millrace.errors import ErrorCode, ItemError

MAX_RECORD_BYTES = 1_048_576
"""A file with a longer row is not cut: far from where the import refuses one, which depends on how the bytes come."""

MAX_HEAD_BYTES = 1_048_576
"""A file with a longer header is not cut: every range reads it."""

_UTF8 = frozenset({"utf-8", "utf-8-sig"})
_BOM = b"\xef\xbb\xbf"


def can_be_cut(form: CsvFormat) -> bool:
    """Whether files of a format can be cut: where every line break, mark and cell is the same seen byte by byte.

    That is so in UTF-8, and in encodings that have a byte for each character and ASCII's bytes for ASCII's characters.
    """
    marks = ("" if form.delimiter == "auto" else form.delimiter) + form.quote + form.escape
    known = form.encoding in {*_UTF8, "ascii"} or form.encoding.startswith(("iso8859-", "cp125"))
    return marks.isascii() and known


def record_starts(chunks: Iterable[bytes], form: CsvFormat, places: Sequence[int]) -> Iterator[RecordStart]:
    """The first row at or behind each place, the header aside. Bounded memory, whatever is in the file.

    Args:
        chunks: The file's bytes, all of them; no archive.
        form: How it is written; `can_be_cut`.
        places: Offsets, growing.

    Raises:
        ItemError: The import would refuse the file, or a row of it is longer than `MAX_RECORD_BYTES`.
    """
    return _Scan(chunks, form).starts(places)


class _Scan:
    def __init__(self, chunks: Iterable[bytes], form: CsvFormat) -> None:
        self._encoding = form.encoding
        self._form = form
        self._head: list[str] | None = []
        self._row = self._end = 0  # offsets: of the row that is being read, and behind the line that was read last
        lines = self._lines(chunks)
        first = next(lines, "")
        self._reader = csv.reader(chain((first,) if first else (), lines), strict=True, **form.dialect(first))

    def starts(self, places: Sequence[int]) -> Iterator[RecordStart]:
        head_bytes = self._read_head()
        reader = self._reader
        wanted = iter(places)
        never = 1 << 63
        place = next(wanted, never)
        self._row, line = self._end, reader.line_num + 1
        while True:
            try:
                for cells in reader:
                    if self._row >= place and cells:
                        yield RecordStart(self._row, line, head_bytes)
                        while place <= self._row:
                            place = next(wanted, never)
                    self._row, line = self._end, reader.line_num + 1
            except csv.Error:  # as in the import: the reader goes on with the next line
                self._row, line = self._end, reader.line_num + 1
            else:
                return

    def _read_head(self) -> int:
        """Read the header, or the first row where there is none; returns its length in bytes."""
        try:
            next((cells for cells in self._reader if cells), None)
        except csv.Error as error:
            raise ItemError(ErrorCode.DAMAGED, f"the first row cannot be read as CSV: {error}") from None
        head = "".join(self._head or ()).encode("latin-1")
        self._head = None
        if len(head) > MAX_HEAD_BYTES:
            raise _too_long()
        CsvRecords((head,), self._form)  # would the import take this header?
        return self._end

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
                self._end = len(_BOM)
            text = rest + chunk.decode("latin-1")
            if max(len(rest), self._end - self._row) > MAX_RECORD_BYTES:
                raise _too_long()
            end = lines_end(text)
            rest = text[end:]
            yield from self._counted(text[:end])
        yield from self._counted(rest)

    def _counted(self, text: str) -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            self._end += len(line)
            if self._head is not None:
                self._head.append(line)
            yield line


def _too_long() -> ItemError:
    return ItemError(ErrorCode.TOO_LARGE, f"a row is longer than {MAX_RECORD_BYTES:,} bytes")
