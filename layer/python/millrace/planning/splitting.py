"""Cutting large objects into byte ranges, each an item of its own.

Most cuts are at fixed offsets, so that no object is read for them: where a record really ends, the workload finds out
(`millrace.workload.Splitting`). If a range alone does not show them, the workload names the cuts beforehand, from the
object's bytes (`millrace.workload.RecordSplitting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

from millrace.cost.ranges import LEAST_RANGE_BYTES, MOST_RANGES, most_whole
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.workload import RecordStart

RecordStarts = Callable[[Item, Sequence[int]], Sequence[RecordStart] | None]
"""Where an object's records begin, at or behind each place: none where it is not to be cut; None: cut it anywhere."""


def whole_up_to(request: RunRequest) -> int:
    """No object of so many bytes, or fewer, is cut."""
    return max(most_whole(request), LEAST_RANGE_BYTES)


def _anywhere(_item: Item, _places: Sequence[int]) -> None:
    return None


def cut_large(
    items: Iterable[Item],
    most_bytes: int,
    may_cut: Callable[[str], bool],
    record_starts: RecordStarts = _anywhere,
    *,
    range_bytes: int | None = None,
) -> Iterator[Item]:
    """The items, with ranges of about equal length in place of each object that is too large for one shard.

    Args:
        items: Whole objects.
        most_bytes: What an object that stays whole has at most.
        may_cut: Whether the workload can work ranges of the object with this key; asked for large ones alone.
        record_starts: Where an object's records begin; asked for those that are cut alone.
        range_bytes: How long a range is at most; `most_bytes` unless it is given.

    Yields:
        In the items' order. An object without a planned ETag stays whole: its ranges could be of two versions. The
        ranges of an object follow each other from its first byte to its last.
    """
    most = max(most_bytes, LEAST_RANGE_BYTES)
    longest = max(range_bytes or most_bytes, LEAST_RANGE_BYTES)
    for item in items:
        if item.size <= most or not item.etag or not may_cut(item.key):
            yield item
            continue
        count = min(-(-item.size // longest), MOST_RANGES)
        places = [item.size * number // count for number in range(1, count)]
        starts = record_starts(item, places)
        if starts is None:
            for first, following in pairwise((0, *places, item.size)):
                yield replace(item, first_byte=first, last_byte=following - 1)
        else:
            yield from _at_records(item, starts)


def _at_records(item: Item, starts: Sequence[RecordStart]) -> Iterator[Item]:
    if not starts:
        yield item
        return
    first, last = RecordStart(0, 1, 0), RecordStart(item.size, 0, 0)
    for start, following in pairwise(chain((first,), starts, (last,))):
        if not start.byte < following.byte:
            raise ValueError(f"the records that begin at bytes {start.byte} and {following.byte} are in no order")
        yield replace(
            item,
            first_byte=start.byte,
            last_byte=following.byte - 1,
            first_line=start.line,
            head_bytes=start.head_bytes,
        )
