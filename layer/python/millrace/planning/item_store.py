"""The items of a plan, held on disk to be cut into shards."""

from __future__ import annotations

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

_CLOSE_BYTES, _READ_BYTES = 4096, 65_536
"""Behind lines that are needed, so far away others are read with them, and so much at once."""


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

    def arrange(self, order: Sequence[Sequence[int]]) -> None:
        """Put the items into any other order, once all are there.

        Args:
            order: The positions of all items, in the order that they shall have, in stretches: ranges where they follow
                each other, as these cost next to nothing.
        """
        stretches = [one for one in order if one]
        breaks, place, end = array("q"), 0, -1
        for one in stretches:
            if isinstance(one, range):
                first = bisect_right(self._breaks, one.start)
                inside = self._breaks[first : bisect_left(self._breaks, one.stop)]
                apart = [each - one.start for each in inside]
            else:
                ends = map(add, map(self._offsets.__getitem__, one), map(self._line_bytes.__getitem__, one))
                starts = map(self._offsets.__getitem__, islice(one, 1, None))
                apart = list(compress(count(1), map(ne, ends, starts)))
            if place and self._offsets[one[0]] != end:
                breaks.append(place)
            breaks.extend([place + each for each in apart])
            place += len(one)
            end = self._offsets[one[-1]] + self._line_bytes[one[-1]]
        self._breaks = breaks
        for name in ("_lengths", "_offsets", "_line_bytes"):
            given = getattr(self, name)
            wanted = array(given.typecode)
            for one in stretches:
                if isinstance(one, range):
                    wanted += given[one.start : one.stop]
                else:
                    wanted.extend(map(given.__getitem__, one))
            setattr(self, name, wanted)

    def bytes_at(self, positions: Sequence[int]) -> int:
        """What the items at some positions cover, in bytes."""
        if isinstance(positions, range):
            return self.bytes_of(positions)
        return sum(map(self._lengths.__getitem__, positions))

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
        return b"".join(self._stretches(shard))

    def _stretches(self, shard: range) -> Iterator[bytes]:
        """The lines in few reads: where stretches lie close together in the file, what is between them is read too."""
        inside = slice(bisect_right(self._breaks, shard.start), bisect_left(self._breaks, shard.stop))
        ends = [shard.start, *self._breaks[inside], shard.stop] if shard else []
        text, first, last = b"", 0, len(ends) - 2
        for number, (start, stop) in enumerate(pairwise(ends)):
            begin, end = self._offsets[start], self._offsets[stop - 1] + self._line_bytes[stop - 1]
            if not first <= begin <= end <= first + len(text):
                close = number < last and 0 <= self._offsets[stop] - end < _CLOSE_BYTES
                text, first = os.pread(self._file.fileno(), max(end - begin, close * _READ_BYTES), begin), begin
            yield text[begin - first : end - first]
