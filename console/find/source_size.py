"""What a source holds, cut into shards by the plan job's rules."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from millrace.cost.course import ShardSize
from millrace.cost.ranges import is_cut, ranges_of
from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.source.filters import ItemFilter
from millrace.source.sharding import cut
from millrace.workload.pace import Pace
from millrace.workload.registry import workload_records

TOLD_EVERY = 1000
"""How often `seen` is called: once per page of the listing."""

ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects are read only after they were restored: S3 API reference, GetObject."""


@dataclass(frozen=True)
class SourceSize:
    """What a run over a source would work.

    Attributes:
        listed: How many objects there are.
        items: How many items: objects, or ranges of large ones.
        bytes: Their bytes.
        largest: The largest object's bytes.
        archived: How many objects are in an archive class: each would be a failed item.
        skipped: Objects that are no items, by reason.
        shards: What each shard would hold.
        read_to_be_cut: Whether the plan job would read an object to find where it can be cut.
    """

    listed: int
    items: int
    bytes: int
    largest: int
    archived: int
    skipped: dict[str, int]
    shards: list[ShardSize]
    read_to_be_cut: bool = False


def measure(
    items_of: Callable[[ItemFilter], Iterable[Item]],
    request: RunRequest,
    pace: Pace,
    seen: Callable[[int], None],
    into: ItemStore | None = None,
) -> SourceSize:
    """Measure what a run would work.

    Args:
        items_of: The source's items, given what distinguishes them from other objects.
        request: The checked request.
        pace: How fast a child is expected to work: shards are cut by it.
        seen: Called now and then with the number of objects listed.
        into: Where the items are kept, to be compared with an earlier run's; an object that is cut at its records is
            cut here at any byte, so that it counts as changed.
    """
    chosen = ItemFilter(S3Uri.parse(request.source).key, request.include, request.exclude)
    lengths = array("q")
    waiting: list[Item] = []
    number = largest = archived = 0
    record = workload_records().get(request.workload)
    cuts_at_records, read = record is not None and record.cuts_at_records, False
    for number, item in enumerate(items_of(chosen), start=1):
        if number % TOLD_EVERY == 0:
            seen(number + chosen.skipped.total())
        largest = max(largest, item.size)
        archived += item.storage_class in ARCHIVED
        read = read or (cuts_at_records and is_cut(item, request))
        ranges = _ranges(item, request)
        lengths.extend(map(len, ranges))
        if into is not None:
            waiting += _items(item, ranges)
            if len(waiting) >= TOLD_EVERY:
                into.add(waiting)
                waiting = []
    if into is not None:
        into.add(waiting)
    shards = [
        ShardSize(len(shard), sum(lengths[shard.start : shard.stop])) for shard in cut(lengths, request.shard, pace)
    ]
    listed = number + chosen.skipped.total()
    return SourceSize(listed, len(lengths), sum(lengths), largest, archived, dict(chosen.skipped), shards, read)


def _ranges(item: Item, request: RunRequest) -> list[range]:
    """The ranges of bytes that a large object is cut into, about as the workload has it cut."""
    count = ranges_of(item, request)
    places = [item.size * number // count for number in range(count + 1)]
    return [range(first, following) for first, following in pairwise(places)]


def _items(item: Item, ranges: list[range]) -> list[Item]:
    if len(ranges) == 1:
        return [item]
    return [replace(item, first_byte=each.start, last_byte=each.stop - 1) for each in ranges]
