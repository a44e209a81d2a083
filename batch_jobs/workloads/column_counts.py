"""How often each key occurs, where a key is one or more unsigned 64-bit integers: NumPy columns, exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

_ODD = [np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)]
"""Odd multipliers with well-mixed bits. A collision costs time, never a count: keys are compared whole."""

_NOT_ASCII = np.uint64(0x8080808080808080)

_PENDING = 1 << 17
"""How many keys that the table did not know are gathered before they are sorted."""


class ColumnCounts:
    """Counts of keys of `width` columns.

    The key 0 stands for nothing and is not counted; no other key has 0 in its first column.

    Frequent keys live in a table at the slot that their hash names: one pass compares a block's keys with the keys
    in their slots, one counts the slots. What does not match is gathered, sorted and counted by its runs; then keys
    whose slot is free move in.

    Args:
        width: Columns of a key.
        bits: The table has two to the power of this many slots. Slot 0 is never used: what is not counted goes there.

    Attributes:
        rows: About how many distinct keys are held.
    """

    def __init__(self, width: int, bits: int) -> None:
        self.width = width
        self._bits = bits
        self._clear()

    def add(self, columns: Sequence[Column]) -> None:
        """Count each key once more; the columns are as long as each other."""
        slots = (_hash(columns) >> self._shift).view(np.int64)
        known = self._keys[0].take(slots) == columns[0]
        for key, column in zip(self._keys[1:], columns[1:], strict=True):
            known &= key.take(slots) == column
        self._counts += np.bincount(np.where(known, slots, 0), minlength=len(self._counts))
        unknown = np.flatnonzero(~known)
        if len(unknown):
            self._pending.append([column.take(unknown) for column in columns])
            self._pending_keys += len(unknown)
            if self._pending_keys > _PENDING:
                self.settle()

    def take_all(self) -> Iterator[tuple[Iterator[tuple[bytes, int]], int, bool]]:
        """Every key as bytes, its trailing zeros cut off, with its count; then nothing is held any more.

        Yields:
            Keys with their counts (a key may come more than once), the sum of the counts, whether the keys are ASCII.
        """
        self.settle()
        used = np.flatnonzero(self._counts)
        used = used[used > 0]
        parts = [([key.take(used) for key in self._keys], self._counts.take(used)), *self._runs]
        self._clear()
        for columns, counts in parts:
            high = columns[0] & _NOT_ASCII
            for column in columns[1:]:
                high |= column & _NOT_ASCII
            for chosen, ascii_only in ((np.flatnonzero(high == 0), True), (np.flatnonzero(high), False)):
                cells = np.stack([column.take(chosen) for column in columns], axis=1).astype("<u8", copy=False)
                keys = cells.view(f"S{8 * self.width}").ravel().tolist()
                numbers = counts.take(chosen)
                yield zip(keys, numbers.tolist(), strict=True), int(numbers.sum()), ascii_only

    def _clear(self) -> None:
        slots = 1 << self._bits
        self._shift = np.uint64(64 - self._bits)
        self._keys = [np.zeros(slots, np.uint64) for _ in range(self.width)]
        self._counts = np.zeros(slots, np.int64)
        self._pending: list[list[Column]] = []
        self._runs: list[tuple[list[Column], Numbers]] = []
        self._pending_keys = self._run_rows = 0
        self._merge_at = _PENDING
        self.rows = 0

    def settle(self) -> None:
        """Count the keys that were gathered."""
        if not self._pending:
            return
        gathered = [np.concatenate(parts) for parts in zip(*self._pending, strict=True)]
        self._pending = []
        self._pending_keys = 0
        columns, counts = _counted(gathered, None)
        left = self._move_in(columns, counts)
        if len(left):
            self._runs.append(([column.take(left) for column in columns], counts.take(left)))
            self._run_rows += len(left)
        if self._run_rows > self._merge_at:
            merged, numbers = zip(*self._runs, strict=True)
            joined = [np.concatenate(parts) for parts in zip(*merged, strict=True)]
            self._runs = [_counted(joined, np.concatenate(numbers))]
            self._run_rows = len(self._runs[0][1])
            self._merge_at = max(_PENDING, 2 * self._run_rows)
        self.rows = len(self._counts) + self._run_rows

    def _move_in(self, columns: list[Column], counts: Numbers) -> Numbers:
        """Put keys into free slots; return the places of those that found none."""
        slots = (_hash(columns) >> self._shift).view(np.int64)
        free = np.flatnonzero((self._keys[0].take(slots) == 0) & (slots > 0))
        owners = np.zeros(len(self._counts), np.int64)
        owners[slots.take(free)] = free
        moved = np.zeros(len(slots), np.bool_)
        moved[free] = owners.take(slots.take(free)) == free
        places = np.flatnonzero(moved)
        taken = slots.take(places)
        for key, column in zip(self._keys, columns, strict=True):
            key[taken] = column.take(places)
        self._counts[taken] = counts.take(places)
        return np.flatnonzero(~moved)


def _hash(columns: Sequence[Column]) -> Column:
    mixed = columns[0] * _ODD[0]
    for column, odd in zip(columns[1:], _ODD[1:], strict=False):
        mixed += column * odd
    return mixed


def _counted(columns: list[Column], counts: Numbers | None) -> tuple[list[Column], Numbers]:
    """Bring equal keys together and add up their counts (1 each where there are none).

    Keys are sorted by their hash; where two share it, a key may come out more than once.
    """
    if len(columns) == 1 and counts is None:
        ordered = [np.sort(columns[0])]
    else:
        order = np.argsort(_hash(columns) if len(columns) > 1 else columns[0])
        ordered = [column.take(order) for column in columns]
        counts = counts if counts is None else counts.take(order)
    new = np.ones(len(ordered[0]), np.bool_)
    new[1:] = ordered[0][1:] != ordered[0][:-1]
    for column in ordered[1:]:
        new[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(new)
    summed = np.diff(first, append=len(new)) if counts is None else np.add.reduceat(counts, first)
    return [column.take(first) for column in ordered], summed
