"""How often each key occurs, where a key is one or more unsigned 64-bit integers: NumPy columns, exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

_ODD = [np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)]
"""Odd multipliers with well-mixed bits. A collision costs time, never a count: keys are compared whole."""

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
        rows: How many distinct keys are held, or more: some may be held twice.
    """

    def __init__(self, width: int, bits: int) -> None:
        self.width = width
        self._bits = bits
        self.clear()

    @property
    def rows(self) -> int:
        """As said above."""
        return self._in_table + self._run_rows + self._pending_keys

    def add(self, columns: Sequence[Column], times: Numbers | None = None) -> None:
        """Count each key once more, or as many times as `times` says; all are as long as each other."""
        slots = (_hash(columns) >> self._shift).view(np.int64)
        known = self._keys[0].take(slots) == columns[0]
        for key, column in zip(self._keys[1:], columns[1:], strict=True):
            known &= key.take(slots) == column
        if times is None:
            self._counts += np.bincount(np.where(known, slots, 0), minlength=len(self._counts))
        else:
            np.add.at(self._counts, np.where(known, slots, 0), times)
        unknown = np.flatnonzero(~known)
        if len(unknown):
            once = np.ones(len(unknown), np.int64) if times is None else times.take(unknown)
            self._pending.append(([column.take(unknown) for column in columns], once))
            self._pending_keys += len(unknown)
            if self._pending_keys > _PENDING:
                self.settle()

    def all(self) -> tuple[list[Column], Numbers]:
        """Every key, as columns, with its count; a key may come more than once, its counts then add up."""
        self.settle()
        used = np.flatnonzero(self._counts)
        used = used[used > 0]
        parts = [([key.take(used) for key in self._keys], self._counts.take(used)), *self._runs]
        columns = [np.concatenate(same) for same in zip(*(keys for keys, _ in parts), strict=True)]
        return columns, np.concatenate([counts for _, counts in parts])

    def clear(self) -> None:
        """Hold nothing any more."""
        slots = 1 << self._bits
        self._shift = np.uint64(64 - self._bits)
        self._keys = [np.zeros(slots, np.uint64) for _ in range(self.width)]
        self._counts = np.zeros(slots, np.int64)
        self._pending: list[tuple[list[Column], Numbers]] = []
        self._runs: list[tuple[list[Column], Numbers]] = []
        self._pending_keys = self._run_rows = 0
        self._merge_at = _PENDING
        self._in_table = 0

    def settle(self) -> None:
        """Count the keys that were gathered."""
        if not self._pending:
            return
        columns, counts = _joined(self._pending)
        self._pending = []
        self._pending_keys = 0
        left = self._move_in(columns, counts)
        if len(left):
            self._runs.append(([column.take(left) for column in columns], counts.take(left)))
            self._run_rows += len(left)
        if self._run_rows > self._merge_at:
            self._runs = [_joined(self._runs)]
            self._run_rows = len(self._runs[0][1])
            self._merge_at = max(_PENDING, 2 * self._run_rows)

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
        self._in_table += len(places)
        return np.flatnonzero(~moved)


def _hash(columns: Sequence[Column]) -> Column:
    mixed = columns[0] * _ODD[0]
    for column, odd in zip(columns[1:], _ODD[1:], strict=False):
        mixed += column * odd
    return mixed


def _joined(parts: list[tuple[list[Column], Numbers]]) -> tuple[list[Column], Numbers]:
    """Bring equal keys together and add up their counts.

    Keys are sorted by their hash; where two share it, a key may come out more than once.
    """
    columns = [np.concatenate(same) for same in zip(*(keys for keys, _ in parts), strict=True)]
    counts = np.concatenate([numbers for _, numbers in parts])
    order = np.argsort(_hash(columns) if len(columns) > 1 else columns[0])
    ordered = [column.take(order) for column in columns]
    new = np.ones(len(ordered[0]), np.bool_)
    new[1:] = ordered[0][1:] != ordered[0][:-1]
    for column in ordered[1:]:
        new[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(new)
    return [column.take(first) for column in ordered], np.add.reduceat(counts.take(order), first)
