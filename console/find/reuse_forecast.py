"""What a run with `--reuse` would take over and what it would work, by the plan job's own comparison."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from millrace.cost.course import ShardSize
from millrace.planning.item_store import ItemStore
from millrace.planning.making import cut_by
from millrace.records.reused import PlannedReuse
from millrace.request.run_request import RunRequest
from millrace.reuse.base import NoBase, find_base
from millrace.reuse.base_shards import read_shards
from millrace.reuse.compaction import Compaction
from millrace.reuse.comparison import KEPT_SHARE, compare
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace
from millrace.workload.registry import is_own_workload, workload_records

AT_ONCE = 8
"""How many shards of the earlier run are read at once."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        reuse: What its plan would say of the run that is reused.
        shards: What the shards hold that are left to work.
    """

    reuse: PlannedReuse
    shards: list[ShardSize]


def forecast(request: RunRequest, items: ItemStore, pace: Pace, s3: S3) -> Forecast:
    """Compare a source with the run that a request asks to reuse.

    Which code is deployed is not asked: where it is other code than the base's, the run would work everything.

    Args:
        request: The checked request; it has a `reuse`.
        items: The source's items in the order of their keys; they are put into another order.
        pace: How fast a child is expected to work: shards are cut by it.
        s3: Where to read the destination.

    Raises:
        StorageError: The destination cannot be read.
    """
    asked = request.reuse or ""
    base = find_base(request, s3, run_id="", code_version=None, writes_outputs=_writes_outputs(request))
    if isinstance(base, NoBase):
        nothing = PlannedReuse.without_base(asked, base.why_not, len(items))
        return Forecast(nothing, _shards(items, request, cut_by(pace, request, reuses=True), []))
    pace = cut_by(pace, request, reuses=True)
    with TemporaryFile() as removed:
        shards = read_shards(base, s3, lambda: None, AT_ONCE)
        found = compare(
            items,
            shards,
            cast("BinaryIO", removed),
            most_kept=int(request.shard.max_shards * KEPT_SHARE),
            together=Compaction(items, request.shard, pace).together,
            contributed=lambda shard: range(shard.items),  # the plan job sees whether one is lost
        )
    items.arrange(found.order)
    kept = [shard.items for shard in found.kept]
    reuse = found.planned(asked, base, items)
    return Forecast(reuse, _shards(items, request, pace, kept))


def _shards(items: ItemStore, request: RunRequest, pace: Pace, kept: list[int]) -> list[ShardSize]:
    left = items.cut(request.shard, pace, kept)[len(kept) :]
    return [ShardSize(len(places), items.bytes_of(places)) for places in left]


def _writes_outputs(request: RunRequest) -> bool:
    """Whether the items have outputs of their own; nothing is known of a user's own workload, so it may be one."""
    return is_own_workload(request.workload) or workload_records()[request.workload].writes_outputs(request.options)
