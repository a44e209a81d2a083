"""Words with their counts, added up in bounded memory: past a limit they go to disk as sorted runs."""

from __future__ import annotations

import heapq
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import BinaryIO

from millrace.errors import DamagedFileError

WORDS_IN_MEMORY = 1 << 20
"""How many words are held before they go to disk: about 150 MB."""

_RUNS = 64
"""How many sorted runs are open before they are merged into one."""

_ROWS = 8192
"""How many rows are added or written at once."""

Row = tuple[bytes, int]
"""A word in UTF-8, whose byte order is its code-point order, and its count."""


class WordTotals:
    """Counts by word.

    Args:
        words_in_memory: The most words held before they go to a temporary file.

    Attributes:
        total: The sum of all counts.
    """

    def __init__(self, words_in_memory: int = WORDS_IN_MEMORY) -> None:
        self.total = 0
        self._limit = words_in_memory
        self._held: dict[bytes, int] = {}
        self._runs: list[BinaryIO] = []
        weakref.finalize(self, _close, self._runs)

    def add_lines(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is something else, or cut off.
        """
        self.add(read_rows(file))

    def add(self, rows: Iterable[Row]) -> None:
        """Add counts; a word may come more than once."""
        rows = iter(rows)
        while batch := list(islice(rows, _ROWS)):
            held = self._held
            known = held.get
            for word, count in batch:
                held[word] = known(word, 0) + count
            self.total += sum(map(itemgetter(1), batch))
            if len(held) > self._limit:
                self._spill()

    def rows(self) -> Iterator[Row]:
        """Every word once, in no order. One such iteration at a time."""
        return iter(self._held.items()) if not self._runs else self.by_word()

    def by_word(self) -> Iterator[Row]:
        """Every word once, in code-point order. One such iteration at a time."""
        held = _sorted(self._held)
        if not self._runs:
            return held
        return _summed(heapq.merge(*map(_rows_of_run, self._runs), held))

    def by_count(self) -> Iterator[Row]:
        """Every word once, the highest count first, ties in code-point order. One such iteration at a time."""
        if not self._runs:
            return iter(_ranked(self._held.items()))
        return ranked_on_disk(self.by_word(), self._limit)

    def write(self, file: BinaryIO) -> None:
        """Write every word as a `word<TAB>count` line, in code-point order."""
        write_rows(self.by_word(), file)

    def write_ranked(self, file: BinaryIO) -> None:
        """Write every word as a `word:count` line, the highest count first, ties in code-point order."""
        write_ranked(self.by_count(), file)

    def _spill(self) -> None:
        self._runs.append(_run(_sorted(self._held)))
        self._held = {}
        if len(self._runs) >= _RUNS:
            merged = _run(self.by_word())
            _close(self._runs)
            self._runs.append(merged)


def ranked_on_disk(rows: Iterator[Row], rows_in_memory: int) -> Iterator[Row]:
    """Rows, each word once, by count: the highest first, ties in code-point order."""
    runs: list[BinaryIO] = []
    try:
        while batch := list(islice(rows, rows_in_memory)):
            runs.append(_run(_ranked(batch)))
        yield from heapq.merge(*map(_rows_of_run, runs), key=lambda row: (-row[1], row[0]))
    finally:
        _close(runs)


def write_rows(rows: Iterable[Row], file: BinaryIO) -> None:
    """Write rows as `word<TAB>count` lines: a word holds neither a tab nor a line break."""
    rows = iter(rows)
    while batch := list(islice(rows, _ROWS)):
        file.write(b"".join([b"%b\t%d\n" % row for row in batch]))


def read_rows(file: BinaryIO) -> Iterator[Row]:
    """Read what `write_rows` wrote.

    Raises:
        DamagedFileError: It is something else, or cut off.
    """
    rest = b""
    while block := file.read(1 << 16):
        lines, end, rest = (rest + block).rpartition(b"\n")
        cells = (lines + end).replace(b"\n", b"\t").split(b"\t")
        try:
            yield from zip(cells[:-1:2], map(int, cells[1::2]), strict=True)
        except ValueError:
            raise DamagedFileError("a line is not a word, a tab and a count", operation="read the partial") from None
    if rest:
        raise DamagedFileError("the last line is cut off", operation="read the partial")


def write_ranked(rows: Iterable[Row], file: BinaryIO) -> None:
    """Write rows that come by count as `word:count` lines."""
    for count, same in groupby(rows, key=itemgetter(1)):
        end = b":%d\n" % count
        while words := list(islice(map(itemgetter(0), same), _ROWS)):
            file.write(end.join(words) + end)


def _sorted(held: dict[bytes, int]) -> Iterator[Row]:
    """By word: keys alone sort faster than pairs, and take less memory."""
    words = sorted(held)
    return zip(words, map(held.__getitem__, words), strict=True)


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """By count, ties by word: two sorts on plain keys are faster than one on pairs."""
    ranked = sorted(rows)
    ranked.sort(key=itemgetter(1), reverse=True)
    return ranked


def _summed(rows: Iterable[Row]) -> Iterator[Row]:
    for word, same in groupby(rows, key=itemgetter(0)):
        yield word, sum(map(itemgetter(1), same))


def _run(rows: Iterable[Row]) -> BinaryIO:
    file = tempfile.TemporaryFile(prefix="millrace-words-")  # noqa: SIM115 - its owner closes it
    write_rows(rows, file)
    return file


def _rows_of_run(run: BinaryIO) -> Iterator[Row]:
    run.seek(0)
    return read_rows(run)


def _close(runs: list[BinaryIO]) -> None:
    for run in runs:
        run.close()
    runs.clear()
