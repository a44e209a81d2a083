"""Which kept shards are put together: the small ones, so that a year of daily runs leaves no thousand slivers.

Each day's new objects make a shard of their own, however few they are. Kept shards below half of what a shard holds are
put together, in their order, as far as one shard holds them. Of two that follow each other, one is then at least half
full: so a run has at most about twice as many shards as a plan of everything would have, and one more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millrace.planning.item_store import ItemStore
from millrace.reuse.comparison import KeptPart
from millrace.source.sharding import SHARD_SECONDS, ShardLimits
from millrace.workload.pace import Pace

SMALL = 0.5
"""A shard that is filled to less than this is small."""

MOST_PARTIAL_BYTES = 64 << 20
"""Partials of more bytes together are not added up by the plan job: it holds some of them at once."""


class Compaction:
    """Puts small kept shards together.

    Args:
        items: The items of the new listing.
        limits: What a shard holds.
        pace: How fast a child works: the pace that shards are cut by.
    """

    def __init__(self, items: ItemStore, limits: ShardLimits, pace: Pace) -> None:
        self._items = items
        self._limits = limits
        self._pace = pace

    def together(self, parts: Sequence[KeptPart]) -> Iterator[Sequence[KeptPart]]:
        """The parts, in their order by the first of each shard; those that become one shard together."""
        sizes = list(map(self._filled, parts))
        groups: list[list[KeptPart]] = []
        open_group: list[KeptPart] = []
        filled = partial_bytes = 0.0
        for part, size in zip(parts, sizes, strict=True):
            if size >= SMALL:
                groups.append([part])
                continue
            if not open_group or filled + size > 1 or partial_bytes + part.partial_bytes > MOST_PARTIAL_BYTES:
                groups.append(open_group := [])
                filled = partial_bytes = 0.0
            open_group.append(part)
            filled += size
            partial_bytes += part.partial_bytes
        yield from groups

    def _filled(self, part: KeptPart) -> float:
        """How much of what a shard holds a part is."""
        count, size = part.items, sum(map(self._items.bytes_of, map(range, part.stretches[::2], part.stretches[1::2])))
        limits = self._limits
        seconds = self._pace.seconds(count, size)
        return max(count / limits.max_items, size / limits.target_bytes, seconds / SHARD_SECONDS)
