"""The items of a plan, held on disk to be cut into shards."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, compress, count, islice, pairwise
from operator import add, ne

from millrace.records.plan import Item
from millrace.source.sharding import ShardLimits, cut
from millrace.workload.pace import Pace

_BATCH = 4096
"""How many lines are written at once."""


class ItemStore:
    """The items of a plan, as the lines of the shard files, in a temporary file: an item takes 20 bytes of memory.

    Args:
        items: The first items.

    Attributes:
        total_bytes: What the items cover, in bytes.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.total_bytes = 0
        self._file = tempfile.TemporaryFile(prefix="millrace-items-")  # noqa: SIM115 - the finalizer closes it
        weakref.finalize(self, self._file.close)
        self._written = 0
        self._lengths, self._offsets, self._line_bytes = array("q"), array("q"), array("I")
        self._breaks: list[int] = []
        self.add(items)

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, items: Iterable[Item]) -> range:
        """Add items behind those that are there; returns the range of their positions."""
        start = len(self)
        items = iter(items)
        while batch := list(islice(items, _BATCH)):
            self.add_lines([item.to_line() for item in batch], [item.length for item in batch])
        return range(start, len(self))

    def add_lines(self, lines: Sequence[bytes], lengths: Sequence[int]) -> range:
        """Add items of which the lines are made; returns the range of their positions.

        Args:
            lines: An item's line each, as `Item.to_line` makes it.
            lengths: How many bytes each item covers.
        """
        start, sizes = len(self), array("I", map(len, lines))
        self._file.write(b"".join(lines))
        *offsets, self._written = accumulate(sizes, initial=self._written)
        self._offsets.extend(offsets)
        self._line_bytes += sizes
        self._lengths.extend(lengths)
        self.total_bytes += sum(lengths)
        return range(start, len(self))

    def reorder(self, ranges: Iterable[range]) -> None:
        """Put the items into another order, once all are there.

        Args:
            ranges: Ranges of positions that together are all, in the order that they shall have.
        """
        order = [one for one in ranges if one]
        starts = accumulate(map(len, order), initial=0)
        self._breaks = [
            start
            for start, (one, two) in zip(starts, pairwise([range(0), *order]), strict=False)
            if one.stop != two.start
        ]
        for name in ("_lengths", "_offsets", "_line_bytes"):
            given = getattr(self, name)
            wanted = array(given.typecode)
            for one in order:
                wanted += given[one.start : one.stop]
            setattr(self, name, wanted)

    def arrange(self, order: Sequence[int]) -> None:
        """Put the items into any other order, once all are there.

        Args:
            order: The positions of all items, in the order that they shall have.
        """
        for name in ("_lengths", "_offsets", "_line_bytes"):
            given = getattr(self, name)
            setattr(self, name, array(given.typecode, map(given.__getitem__, order)))
        ends = map(add, self._offsets, self._line_bytes)
        apart = map(ne, ends, islice(self._offsets, 1, None))
        self._breaks = list(compress(count(1), apart))

    def bytes_of(self, places: range) -> int:
        """What the items at some positions cover, in bytes."""
        return sum(self._lengths[places.start : places.stop])

    def first_at(self, key: str, start: int = 0, stop: int | None = None) -> int:
        """The position of the first item, of some that are in the order of their keys, whose key is this or a later.

        Args:
            key: The key.
            start: The first of these items.
            stop: The position behind the last; None for that of all.
        """
        return bisect_left(range(len(self)), key, start, stop, key=self._key)

    def first_behind(self, key: str, start: int = 0, stop: int | None = None) -> int:
        """As `first_at`, of the first item whose key is a later one."""
        return bisect_right(range(len(self)), key, start, stop, key=self._key)

    def cut(self, limits: ShardLimits, pace: Pace, kept: Sequence[int] = ()) -> list[range]:
        """The shards, each as the range of its items' positions.

        Args:
            limits: The limits.
            pace: How fast a child works.
            kept: How many items each of the first shards has, whatever the limits are; the others are cut.
        """
        shards = [range(start, stop) for start, stop in pairwise(accumulate(kept, initial=0))]
        if not shards:
            return cut(self._lengths, limits, pace)
        begin = shards[-1].stop
        left = replace(limits, max_shards=max(1, limits.max_shards - len(shards)))
        return shards + [range(begin + s.start, begin + s.stop) for s in cut(self._lengths[begin:], left, pace)]

    def lines(self, shard: range) -> bytes:
        """The shard file of these items. Safe to call from several threads."""
        self._file.flush()
        return b"".join(self._stretches(shard))

    def _key(self, position: int) -> str:
        key: str = json.loads(self.lines(range(position, position + 1)))["key"]
        return key

    def _stretches(self, shard: range) -> Iterator[bytes]:
        """The lines in as few reads as possible."""
        inside = slice(bisect_right(self._breaks, shard.start), bisect_left(self._breaks, shard.stop))
        for start, stop in pairwise([shard.start, *self._breaks[inside], shard.stop] if shard else []):
            first = self._offsets[start]
            yield os.pread(self._file.fileno(), self._offsets[stop - 1] + self._line_bytes[stop - 1] - first, first)
