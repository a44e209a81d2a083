"""Which large objects a built-in workload has cut into ranges, and how long they are: what the plan job does.

The plan job asks the workload itself; `millrace estimate`, which may not import it, asks its record. A test holds the
two together.
"""

from __future__ import annotations

from math import ceil

from millrace.cost.known_pace import record_pace
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.source.sharding import RANGES_OF_A_SHARD, range_bytes, whole_bytes
from millrace.workload.pace import Pace
from millrace.workload.registry import workload_records

LEAST_RANGE_BYTES = 1_048_576
"""No range is shorter: below, the reading around its ends would cost more than its bytes."""

MOST_RANGES = 10_000 * RANGES_OF_A_SHARD
"""Into how many ranges one object is cut at most: those of the largest array job's children."""


def most_whole(request: RunRequest) -> int:
    """No object of so many bytes, or fewer, is cut, nor of `LEAST_RANGE_BYTES`."""
    return whole_bytes(request.shard.target_bytes, _said_pace(request))


def longest_range(request: RunRequest, *, at_records: bool) -> int:
    """How many bytes a range of a larger one has at most, about; `at_records` as for `range_bytes`."""
    return range_bytes(request.shard.target_bytes, _said_pace(request), at_records=at_records)


def _said_pace(request: RunRequest) -> Pace:
    """How fast a child works, as the request says or else the workload's record: large objects are cut by it."""
    return record_pace(request.workload).given(request.pace)


def ranges_of(item: Item, request: RunRequest) -> int:
    """How many items the plan job makes of an object; 1 for one that stays whole.

    A workload of the user's own may have its objects cut as well: what it says is not known here.
    """
    if not is_cut(item, request):
        return 1
    longest = longest_range(request, at_records=workload_records()[request.workload].cuts_at_records)
    return min(ceil(item.size / max(longest, LEAST_RANGE_BYTES)), MOST_RANGES)


def is_cut(item: Item, request: RunRequest) -> bool:
    """Whether the plan job looks for places to cut an object at; as for `ranges_of`, of built-in workloads alone."""
    if item.size <= max(most_whole(request), LEAST_RANGE_BYTES) or not item.etag:
        return False
    record = workload_records().get(request.workload)
    return record is not None and record.may_cut(request.options, item.key)
