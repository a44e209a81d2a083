"""Words with their counts as NumPy columns, added up in bounded memory: `WordTotals` for many words."""

from __future__ import annotations

import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import numpy as np

from batch_jobs.workloads.column_counts import Column, ColumnCounts, Numbers
from batch_jobs.workloads.sorted_rows import SortedRows
from batch_jobs.workloads.word_cells import PADDING, cut_out, windows
from batch_jobs.workloads.word_lines import RunReader, line_blocks, parsed_lines
from batch_jobs.workloads.word_totals import Row, ranked_on_disk, write_rows

CLASSES = ((1, 17), (2, 16), (4, 15))
"""For each class of words: its columns, and the size of its table in bits."""

ROWS_IN_MEMORY = 1 << 20
"""How many words are held before they go to disk: about 100 MB."""

_RUNS = 64
"""How many sorted runs there are before they are merged into one."""

_ROWS = 1 << 16
"""How many rows are made Python objects at once."""


class WordTable:
    """Counts by word.

    Args:
        rows_in_memory: The most words held before they go to a temporary file, about.

    Attributes:
        total: The sum of all counts.
    """

    def __init__(self, rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        self.total = 0
        self._limit = rows_in_memory
        most_bits = rows_in_memory.bit_length()
        self._classes = [ColumnCounts(width, min(bits, most_bits)) for width, bits in CLASSES]
        self._long: dict[bytes, int] = {}
        self._runs: list[BinaryIO] = []
        weakref.finalize(self, _close, self._runs)

    def add(self, rows: Iterable[Row]) -> None:
        """Add counts; a word may come more than once."""
        rows = iter(rows)
        while batch := list(islice(rows, _ROWS)):
            text = b" ".join([word for word, _ in batch])
            lengths = np.fromiter(map(len, (word for word, _ in batch)), np.int64, len(batch))
            starts = np.cumsum(lengths + 1) - lengths - 1
            self.add_words(text + PADDING, starts, lengths, np.array([count for _, count in batch], np.int64))

    def add_lines(self, file: BinaryIO) -> None:
        """Add what `write_rows` wrote.

        Raises:
            DamagedFileError: It is something else, or cut off.
        """
        for block in line_blocks(file):
            self.add_words(*parsed_lines(block))

    def add_table(self, other: WordTable) -> None:
        """Add another table's counts."""
        for place, counts in enumerate(other._classes):
            self.add_columns(place, *counts.all())
        self.add(other._long.items())
        for run in other._runs:
            run.seek(0)
            self.add_lines(run)

    def add_words(self, text: bytes, starts: Numbers, lengths: Numbers, counts: Numbers) -> None:
        """Add the words that lie in a text at these places; behind the text is `PADDING`."""
        at = windows(text)
        for place, (width, _) in enumerate(CLASSES):
            if not len(starts):
                return
            columns, longer = cut_out(at, starts, lengths, width)
            times = counts.copy()
            times[longer] = 0
            self.add_columns(place, columns, times)
            starts, lengths, counts = starts.take(longer), lengths.take(longer), counts.take(longer)
        self.total += int(counts.sum())
        ends = starts + lengths
        known = self._long.get
        for start, end, count in zip(starts.tolist(), ends.tolist(), counts.tolist(), strict=True):
            word = text[start:end]
            self._long[word] = known(word, 0) + count
        self._spill_if_large()

    def add_columns(self, place: int, columns: list[Column], counts: Numbers) -> None:
        """Add words of one of the `CLASSES`; a word of zeros is none."""
        self._classes[place].add(columns, counts)
        self.total += int(counts.sum())
        self._spill_if_large()

    def rows(self) -> Iterator[Row]:
        """Every word once, in code-point order. One such iteration at a time."""
        return self.by_word()

    def by_word(self) -> Iterator[Row]:
        """Every word once, in code-point order. One such iteration at a time."""
        if not self._runs:
            return self._held_rows().in_order()
        return self._merged_runs()

    def by_count(self) -> Iterator[Row]:
        """Every word once, the highest count first, ties in code-point order. One such iteration at a time."""
        if not self._runs:
            return self._held_rows().ranked()
        return ranked_on_disk(self._merged_runs(), self._limit)

    def _held_rows(self) -> SortedRows:
        return SortedRows([counts.all() for counts in self._classes], self._long)

    def _spill_if_large(self) -> None:
        if self._rows_held() <= self._limit:
            return
        self._spill()
        if len(self._runs) >= _RUNS:
            merged = _run(self._merged_runs())
            _close(self._runs)
            self._runs.append(merged)

    def _rows_held(self) -> int:
        return len(self._long) + sum(counts.rows for counts in self._classes)

    def _spill(self) -> None:
        self._runs.append(_run(self._held_rows().in_order()))
        self._long = {}
        for counts in self._classes:
            counts.clear()

    def _merged_runs(self) -> Iterator[Row]:
        """All rows in order: a stretch of words at a time, so large that it uses up what is in memory of one run."""
        if self._rows_held():
            self._spill()
        readers = [RunReader(run) for run in self._runs]
        while last_words := [word for reader in readers if (word := reader.last_word()) is not None]:
            stretch = WordTable(sys.maxsize)
            for reader in readers:
                stretch.add_words(*parsed_lines(reader.up_to(min(last_words))))
            yield from stretch.by_word()


def _run(rows: Iterable[Row]) -> BinaryIO:
    file = tempfile.TemporaryFile(prefix="millrace-words-")  # noqa: SIM115 - its owner closes it
    write_rows(rows, file)
    return file


def _close(runs: list[BinaryIO]) -> None:
    for run in runs:
        run.close()
    runs.clear()
