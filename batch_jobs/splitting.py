"""Cutting large objects into byte ranges, each an item of its own.

The cuts are at fixed offsets, so that the plan job reads no object: where a record really ends, the workload finds out
(`batch_jobs.workloads.Splitting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from millrace.plan import Item

LEAST_RANGE_BYTES = 1_048_576
"""No range is shorter: below, the reading around its ends would cost more than its bytes."""

MOST_RANGES = 10_000
"""Into how many ranges one object is cut at most: the largest array job, and a child has one range at least."""


def cut_large(items: Iterable[Item], target_bytes: int, may_cut: Callable[[str], bool]) -> Iterator[Item]:
    """The items, with ranges of about equal length in place of each object that is larger than a shard shall be.

    Args:
        items: Whole objects.
        target_bytes: What a shard holds.
        may_cut: Whether the workload can work ranges of the object with this key; asked for large ones alone.

    Yields:
        In the items' order; the ranges of an object follow each other from its first byte to its last.
    """
    most = max(target_bytes, LEAST_RANGE_BYTES)
    for item in items:
        if item.size <= most or not may_cut(item.key):
            yield item
            continue
        count = min(-(-item.size // most), MOST_RANGES)
        cuts = [item.size * number // count for number in range(count + 1)]
        for first, following in pairwise(cuts):
            yield replace(item, first_byte=first, last_byte=following - 1)
