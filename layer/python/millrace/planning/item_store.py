"""The items of a plan, held on disk to be cut into shards."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, islice, pairwise, repeat
from operator import add, sub

from millrace.records.plan import Item
from millrace.source.sharding import ShardLimits, cut
from millrace.workload.pace import Pace

_BATCH = 4096
"""How many lines are written at once."""

_TOGETHER, _READ_BYTES = 64, 1 << 20
"""So many stretches of lines are read at once, with what lies between them, where that is no more than these bytes."""


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
        self._written = self._flushed = 0
        self._lengths, self._offsets, self._line_bytes = array("q"), array("q"), array("I")
        self._breaks = array("q")
        self._starts, self._stops, self._places = array("I"), array("I"), array("I")
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
        self._breaks = array(
            "q",
            (
                start
                for start, (one, two) in zip(starts, pairwise([range(0), *order]), strict=False)
                if one.stop != two.start
            ),
        )
        for name in ("_lengths", "_offsets", "_line_bytes"):
            given = getattr(self, name)
            wanted = array(given.typecode)
            for one in order:
                wanted += given[one.start : one.stop]
            setattr(self, name, wanted)

    def arrange(self, bounds: Sequence[int]) -> None:
        """Put the items into any other order, for good, once all are there.

        Lengths are put in order, all else stays as it is: lines are looked up by their stretch.

        Args:
            bounds: The positions of all items, in the order that they shall have, in stretches: where each begins, and
                the position behind its end. None is empty.
        """
        self._starts, self._stops = array("I", bounds[::2]), array("I", bounds[1::2])
        self._places = array("I", accumulate(map(sub, self._stops, self._starts), initial=0))
        given, wanted = self._lengths, array(self._lengths.typecode)
        for start, stop in zip(self._starts, self._stops, strict=True):
            wanted += given[start:stop]
        self._lengths = wanted

    def bytes_of(self, places: range) -> int:
        """What the items at some positions cover, in bytes."""
        return sum(self._lengths[places.start : places.stop])

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
        if self._flushed != self._written:
            written = self._written
            self._file.flush()
            self._flushed = written
        return b"".join(self._read(*self._stretches(shard))) if shard else b""

    def _stretches(self, shard: range) -> tuple[Sequence[int], Sequence[int]]:
        """Where the stretches of lines begin and end in the file."""
        starts, stops = array("I", [shard.start]), array("I", [shard.stop])
        if self._starts:
            first, last = bisect_right(self._places, shard.start) - 1, bisect_left(self._places, shard.stop)
            starts, stops = self._starts[first:last], self._stops[first:last]
            starts[0] += shard.start - self._places[first]
            stops[-1] -= self._places[last] - shard.stop
        if self._breaks_in(min(starts), max(stops)):
            parts = [
                each
                for start, stop in zip(starts, stops, strict=True)
                for each in pairwise((start, *self._breaks_in(start, stop), stop))
            ]
            starts, stops = array("I", (start for start, _ in parts)), array("I", (stop for _, stop in parts))
        last_ones = [stop - 1 for stop in stops]
        ends = map(add, map(self._offsets.__getitem__, last_ones), map(self._line_bytes.__getitem__, last_ones))
        return list(map(self._offsets.__getitem__, starts)), list(ends)

    def _breaks_in(self, start: int, stop: int) -> Sequence[int]:
        return self._breaks[bisect_right(self._breaks, start) : bisect_left(self._breaks, stop)]

    def _read(self, begins: Sequence[int], ends: Sequence[int]) -> Iterator[bytes]:
        """Stretches of the file, in few reads where they lie close together."""
        for at in range(0, len(begins), _TOGETHER):
            some, their_ends = begins[at : at + _TOGETHER], ends[at : at + _TOGETHER]
            first = min(some)
            size = max(their_ends) - first
            if len(some) > 1 and size > _READ_BYTES:
                for begin, end in zip(some, their_ends, strict=True):
                    yield os.pread(self._file.fileno(), end - begin, begin)
                continue
            text = os.pread(self._file.fileno(), size, first)
            places = (map(sub, each, repeat(first)) for each in (some, their_ends))
            yield from map(text.__getitem__, map(slice, *places))
