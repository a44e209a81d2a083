"""The items of a plan, held on disk to be cut into shards."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice

from millrace.plan import Item
from millrace.request import ShardLimits
from millrace.sharding import cut

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
        self.add(items)

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, items: Iterable[Item]) -> range:
        """Add items behind those that are there; returns the range of their positions."""
        start = len(self)
        items = iter(items)
        while batch := list(islice(items, _BATCH)):
            lines = [item.to_line() for item in batch]
            sizes = array("I", map(len, lines))
            lengths = array("q", [item.length for item in batch])
            self._file.write(b"".join(lines))
            for size in sizes:
                self._offsets.append(self._written)
                self._written += size
            self._line_bytes += sizes
            self._lengths += lengths
            self.total_bytes += sum(lengths)
        return range(start, len(self))

    def reorder(self, ranges: Iterable[range]) -> None:
        """Put the items into another order.

        Args:
            ranges: Ranges of positions that together are all, in the order that they shall have.
        """
        order = [one for one in ranges if one]
        for name in ("_lengths", "_offsets", "_line_bytes"):
            given = getattr(self, name)
            wanted = array(given.typecode)
            for one in order:
                wanted += given[one.start : one.stop]
            setattr(self, name, wanted)

    def cut(self, limits: ShardLimits) -> list[range]:
        """The shards, each as the range of its items' positions."""
        return cut(self._lengths, limits)

    def lines(self, shard: range) -> bytes:
        """The shard file of these items. Safe to call from several threads."""
        self._file.flush()
        return b"".join(self._stretches(shard))

    def _stretches(self, shard: range) -> Iterator[bytes]:
        """The lines in as few reads as lie behind each other in the file."""
        start = shard.start
        for position in range(shard.start + 1, shard.stop + 1):
            end = self._offsets[position - 1] + self._line_bytes[position - 1]
            if position == shard.stop or self._offsets[position] != end:
                yield os.pread(self._file.fileno(), end - self._offsets[start], self._offsets[start])
                start = position
