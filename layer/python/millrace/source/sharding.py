"""Cutting items into shards: which consecutive items are committed together."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from millrace.workload.pace import Pace

MAX_SHARDS = 100_000
"""The most shards of a run: their files' names have five digits, and Read Plan lists the commits in half a minute."""

SHARD_SECONDS = 45
"""So much estimated work is a shard: what a lost child loses at most. From 30 to 60 s, where single items let it be."""

LONGEST_SHARD_SECONDS = 60
"""No shard of several items is estimated to take longer, unless there would be too many shards."""

RANGES_OF_A_SHARD = 4
"""How many ranges of a large object a shard holds, where they come out long enough. So many are read at once, and
counted by as many cores as the job has; more of them would take more memory, and share the caches of the same cores."""

_LONG_RANGE_BYTES = 32 << 20
"""A range as long as this takes a third of a second of one connection to S3 or more: shorter ones save nothing."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """How the plan cuts items into shards.

    Attributes:
        target_bytes: A shard is closed when it holds this many bytes.
        max_items: A shard is closed when it holds this many items.
        max_shards: At most this many shards; with more items than they hold, shards grow instead.
    """

    target_bytes: int = 268_435_456
    max_items: int = 1000
    max_shards: int = MAX_SHARDS


def whole_bytes(target_bytes: int, pace: Pace) -> int:
    """No object of so many bytes, or fewer, is cut: a shard holds it, and one child works it in a minute.

    Args:
        target_bytes: What a shard holds.
        pace: How fast a child is said to work: the request's or the workload's, not a measured one, which would move
            the cuts from run to run.
    """
    return min(target_bytes, max(round(LONGEST_SHARD_SECONDS * pace.bytes_per_second), _LONG_RANGE_BYTES))


def range_bytes(target_bytes: int, pace: Pace, *, at_records: bool = False) -> int:
    """How long the ranges are into which a larger object is cut, about.

    Args:
        target_bytes: What a shard holds.
        pace: As for `whole_bytes`.
        at_records: Whether each range is read with the object's head before it: the fewer the better, then.
    """
    whole = whole_bytes(target_bytes, pace)
    if at_records:
        return min(whole, max(round(SHARD_SECONDS * pace.bytes_per_second), _LONG_RANGE_BYTES))
    return min(whole, max(whole // RANGES_OF_A_SHARD, _LONG_RANGE_BYTES))


def cut(lengths: Sequence[int], limits: ShardLimits, pace: Pace) -> list[range]:
    """Cut items into shards of consecutive ones, by how long one child is estimated to work them.

    A shard holds at most `max_items` items and `target_bytes` bytes, and some 45 s of estimated work; an item that is
    larger has one of its own. Where that would give more than `max_shards` shards, shards of more work are cut; where
    the limits alone give more, they are given up, and the items are cut into `max_shards` about equal shares of bytes
    and items.

    Args:
        lengths: How many bytes each item covers.
        limits: The limits.
        pace: How fast a child works. It counts in whole picoseconds: the same pace gives the same shards everywhere.

    Returns:
        The shards, none empty, as ranges of positions that follow each other from 0 to the last item's.
    """
    before = array("q", accumulate(lengths, initial=0))
    per_item, per_byte = round(pace.seconds_per_item * 10**12), round(10**12 / pace.bytes_per_second)

    def work(position: int) -> int:
        return position * per_item + before[position] * per_byte

    longest, total = 1, work(len(lengths))
    while True:
        shards = _within_limits(before, limits, work, longest)
        if shards is not None:
            return shards
        if longest * SHARD_SECONDS * 10**12 > total:  # the limits alone give too many
            return list(_even_shares(before, limits))
        longest *= 2


def _within_limits(
    before: Sequence[int], limits: ShardLimits, work: Callable[[int], int], longest: int
) -> list[range] | None:
    """The shards whose work is so many times the usual one; None where they are more than there may be."""
    shards: list[range] = []
    places = range(len(before))
    start, items = 0, len(before) - 1
    enough, most = longest * SHARD_SECONDS * 10**12, longest * LONGEST_SHARD_SECONDS * 10**12
    while start < items:
        if len(shards) == limits.max_shards:
            return None
        done = work(start)
        low, high = start + 1, min(start + limits.max_items, items)
        end = bisect_right(before, before[start] + limits.target_bytes, low, high + 1) - 1
        end = min(max(end, low), high)
        end = min(end, bisect_left(places, done + enough, low, end, key=work))
        end = max(low, min(end, bisect_right(places, done + most, low, end + 1, key=work) - 1))
        shards.append(range(start, end))
        start = end
    return shards


def _even_shares(before: Sequence[int], limits: ShardLimits) -> Iterator[range]:
    # An item costs its bytes as a share of target_bytes, plus its share of max_items, so that a million empty objects
    # are spread as well; in whole numbers, so that every machine cuts alike.
    items = len(before) - 1

    def spent(position: int) -> int:
        return before[position] * limits.max_items + position * limits.target_bytes

    total, start = spent(items), 0
    for share in range(1, limits.max_shards):
        end = bisect_left(range(items), -(-share * total // limits.max_shards), start, key=spent)
        if start < end < items:
            yield range(start, end)
            start = end
    yield range(start, items)
