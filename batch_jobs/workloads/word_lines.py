"""`word<TAB>count` lines as NumPy columns: the form of a partial, and of the runs on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from batch_jobs.workloads.column_counts import Numbers
from batch_jobs.workloads.word_cells import PADDING
from millrace.errors import DamagedFileError

BLOCK_BYTES = 1 << 20
"""How much is read at once."""

Placed = tuple[bytes, Numbers, Numbers, Numbers]
"""A text with `PADDING` behind it; where in it words start; how long they are, in bytes; their counts."""


def line_blocks(file: BinaryIO) -> Iterator[bytes]:
    """A file in blocks of whole lines.

    Raises:
        DamagedFileError: Its last line is cut off.
    """
    rest = b""
    while block := file.read(BLOCK_BYTES):
        lines, end, rest = (rest + block).rpartition(b"\n")
        if end:
            yield lines + end
    if rest:
        raise _damaged("the last line is cut off")


def parsed_lines(lines: bytes) -> Placed:
    """The words and counts of whole lines.

    Raises:
        DamagedFileError: One is not a word, a tab and a count.
    """
    letters = np.frombuffer(lines, np.uint8)
    tabs, ends = np.flatnonzero(letters == 9), np.flatnonzero(letters == 10)
    if len(tabs) != len(ends):
        raise _damaged("a line is not a word, a tab and a count")
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
    digits = ends - tabs - 1
    if not ((tabs > starts) & (digits > 0) & (digits < 19)).all():
        raise _damaged("a line is not a word, a tab and a count")
    counts = np.zeros(len(ends), np.int64)
    for place in range(int(digits.max(initial=0))):
        those = np.flatnonzero(digits > place)
        values = letters.take(tabs.take(those) + 1 + place).astype(np.int64) - 48
        if not ((values >= 0) & (values < 10)).all():
            raise _damaged("a count is not a number")
        counts[those] = counts.take(those) * 10 + values
    return lines + PADDING, starts, tabs - starts, counts


class RunReader:
    """Reads a sorted run in steps of the caller's choice.

    Args:
        run: Lines in the order of their words.
    """

    def __init__(self, run: BinaryIO) -> None:
        run.seek(0)
        self._blocks = line_blocks(run)
        self._lines = b""

    def last_word(self) -> bytes | None:
        """The last word of what is in memory; None when the run is read to its end."""
        if len(self._lines) < BLOCK_BYTES // 2:
            self._lines += next(self._blocks, b"")
        if not self._lines:
            return None
        return self._lines[self._lines.rfind(b"\n", 0, -1) + 1 :].partition(b"\t")[0]

    def up_to(self, word: bytes) -> bytes:
        """The next lines, up to and with that of the word; none when the first one comes behind it."""
        low, high = 0, len(self._lines)
        while low < high:
            start = self._lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if self._lines[start : self._lines.index(b"\t", start)] <= word:
                low = self._lines.index(b"\n", start) + 1
            else:
                high = start
        taken, self._lines = self._lines[:low], self._lines[low:]
        return taken


def _damaged(what: str) -> DamagedFileError:
    return DamagedFileError(what, operation="read the partial")
