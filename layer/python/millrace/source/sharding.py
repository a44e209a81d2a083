"""Cutting items into shards: which consecutive items one array child works."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

MAX_ARRAY_SIZE = 10_000
"""The most children that an array job has (Batch, "Array jobs")."""

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
    max_shards: int = MAX_ARRAY_SIZE


def range_bytes(target_bytes: int) -> int:
    """How long the ranges are into which an object larger than `target_bytes` is cut, about."""
    return min(target_bytes, max(target_bytes // RANGES_OF_A_SHARD, _LONG_RANGE_BYTES))


def cut(lengths: array[int], limits: ShardLimits) -> list[range]:
    """Cut items into shards of consecutive ones.

    A shard holds at most `max_items` items and `target_bytes` bytes; an item larger than that has one of its own. Where
    that would give more than `max_shards` shards, it is given up, and the items are cut into `max_shards` about equal
    shares of bytes and items.

    Args:
        lengths: How many bytes each item covers.
        limits: The limits.

    Returns:
        The shards, none empty, as ranges of positions that follow each other from 0 to the last item's.
    """
    shards = list(_within_limits(lengths, limits))
    return shards if len(shards) <= limits.max_shards else list(_even_shares(lengths, limits))


def _within_limits(lengths: array[int], limits: ShardLimits) -> Iterator[range]:
    start = held = 0
    for position, length in enumerate(lengths):
        full = position - start == limits.max_items or held + length > limits.target_bytes
        if full and position > start:
            yield range(start, position)
            start, held = position, 0
        held += length
    if start < len(lengths):
        yield range(start, len(lengths))


def _even_shares(lengths: array[int], limits: ShardLimits) -> Iterator[range]:
    # An item costs its bytes as a share of target_bytes, plus its share of max_items, so that a million empty objects
    # are spread as well; in whole numbers, so that every machine cuts alike.
    total = sum(lengths) * limits.max_items + len(lengths) * limits.target_bytes
    start = spent = share = 0
    for position, length in enumerate(lengths):
        mine = spent * limits.max_shards // total
        if mine != share and position > start:
            yield range(start, position)
            start = position
        share = mine
        spent += length * limits.max_items + limits.target_bytes
    yield range(start, len(lengths))
