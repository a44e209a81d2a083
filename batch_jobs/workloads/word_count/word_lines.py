"""`word<TAB>count` lines: the form of a partial, and of the runs on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from batch_jobs.workloads.word_count.word_totals import Row
from millrace.errors import DamagedFileError

BLOCK_BYTES = 1 << 20
"""How much is read at once."""


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
        raise DamagedFileError("the last line is cut off", operation="read the partial")


def rows_of_lines(blocks: Iterable[bytes]) -> Iterator[Row]:
    """The rows of blocks of sound lines."""
    for block in blocks:
        cells = block.replace(b"\n", b"\t").split(b"\t")
        yield from zip(cells[:-1:2], map(int, cells[1::2]), strict=True)


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
