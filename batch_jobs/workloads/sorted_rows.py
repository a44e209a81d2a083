"""Words and counts that were NumPy columns, each once and in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from batch_jobs.workloads.column_counts import Column, Numbers
from batch_jobs.workloads.word_cells import LONGEST, as_bytes, in_order
from batch_jobs.workloads.word_totals import Row

_COLUMNS = LONGEST // 8

_BATCH = 1 << 16
"""How many rows are made Python objects at once."""


class SortedRows:
    """The rows of some columns and of a dictionary.

    Args:
        classes: Words as columns with their counts; a word may come more than once.
        long: Words of more than `LONGEST` bytes with their counts. In the columns stands how they begin, and behind
            the columns the order among them.
    """

    def __init__(self, classes: Sequence[tuple[Sequence[Column], Numbers]], long: Mapping[bytes, int]) -> None:
        self._long = sorted(long)
        beginnings = np.array(self._long, f"S{LONGEST}").view("<u8").reshape(-1, _COLUMNS)
        keys = [*((columns, counts) for columns, counts in classes if len(counts))]
        if self._long:
            numbers = np.fromiter(map(long.__getitem__, self._long), np.int64, len(self._long))
            keys.append(([*beginnings.T], numbers))
        counts = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in keys)])
        columns = [
            np.concatenate([np.zeros(0, np.uint64), *(_column(given, place, len(numbers)) for given, numbers in keys)])
            for place in range(_COLUMNS)
        ]
        ranks = np.zeros(len(counts), np.int64)
        ranks[len(counts) - len(self._long) :] = np.arange(1, len(self._long) + 1)
        order = in_order([column.byteswap() for column in columns], ranks)
        columns, counts, ranks = [column.take(order) for column in columns], counts.take(order), ranks.take(order)
        new = np.ones(len(order), np.bool_)
        new[1:] = ranks[1:] != ranks[:-1]
        for column in columns:
            new[1:] |= column[1:] != column[:-1]
        first = np.flatnonzero(new)
        self._columns = [column.take(first) for column in columns]
        self._counts = np.add.reduceat(counts, first) if len(first) else counts
        self._ranks = ranks.take(first)

    def in_order(self) -> Iterator[Row]:
        """The rows in code-point order."""
        return self._rows(np.arange(len(self._counts)))

    def ranked(self) -> Iterator[Row]:
        """The rows by count, the highest first, ties in code-point order."""
        return self._rows(np.argsort(-self._counts, kind="stable"))

    def _rows(self, order: Numbers) -> Iterator[Row]:
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            words = as_bytes([column.take(places) for column in self._columns])
            ranks = self._ranks.take(places)
            for place in np.flatnonzero(ranks).tolist():
                words[place] = self._long[int(ranks[place]) - 1]
            yield from zip(words, self._counts.take(places).tolist(), strict=True)


def _column(columns: Sequence[Column], place: int, length: int) -> Column:
    return columns[place] if place < len(columns) else np.zeros(length, np.uint64)
