"""From the items of a run to its plan: shard files first, plan.json last; and the plan that is there already.

The first plan wins. Shard files are in a folder named by the plan's digest, and plan.json, which names that folder, is
written last and only if there is none: a second copy of the job, a retry, a redrive or a resumed run finds it and
keeps it, however the source has changed meanwhile. Shard files that no plan.json names are left behind, unread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from millrace.cost.known_pace import KnownPace, known_pace
from millrace.errors import DamagedFileError, RunIdentityError, shortened
from millrace.in_order import in_order
from millrace.layout import RunFolder
from millrace.planning.item_store import ItemStore
from millrace.records.code import what_differs
from millrace.records.files import plan_if_there
from millrace.records.plan import Plan, items_digest, plan_digest
from millrace.records.reused import PlannedReuse
from millrace.records.sizing import MAX_CHILDREN
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace
from millrace.workload.registry import workload_records

log = logging.getLogger(__name__)

SMALLER_SHARDS = 4
"""In a run that reuses another, shards of a workload whose contributions are not kept are so many times smaller."""

MergeSeconds = Callable[[int, int], float]
"""From the number of shards and the bytes of their items, about how long one job takes to merge them."""


@dataclass(frozen=True, slots=True)
class KeptItems:
    """What a plan has of an earlier run.

    Attributes:
        sizes: How many items each kept shard has: these are the first items.
        reuse: What plan.json says.
    """

    sizes: Sequence[int]
    reuse: PlannedReuse


@dataclass(frozen=True)
class PlanMaker:
    """Who makes a plan: the plan job, or Prepare Run.

    Attributes:
        s3: Where the plan is written.
        code_version: The code that works the run's workload.
        timestamp: Now, ISO 8601, UTC.
        check: Called between two requests; raises StoppedError where it is time to stop.
        concurrency: How many requests are under way at once.
    """

    s3: S3
    code_version: str
    timestamp: Callable[[], str]
    check: Callable[[], None]
    concurrency: int

    def kept(self, request: RunRequest, folder: RunFolder) -> Plan | None:
        """The plan that is there, or None.

        Raises:
            RunIdentityError: It is for something else.
            DamagedFileError: plan.json is not a plan.
        """
        kept = plan_if_there(folder, self.s3)
        if kept is not None:
            self.check_same(request, kept, folder)
            log.info("keeping the plan that is there", extra={"fields": _figures(kept)})
        return kept

    def make(
        self,
        request: RunRequest,
        folder: RunFolder,
        items: ItemStore,
        skipped: Mapping[str, int],
        *,
        known: KnownPace,
        merge_seconds: MergeSeconds | None,
        retry_of: str = "",
        kept: KeptItems | None = None,
    ) -> Plan:
        """Cut the items into shards, and write them down; another copy's plan is kept where it was first.

        Args:
            request: The checked request.
            folder: The run's folder, or the retry's.
            items: In the order of their keys.
            skipped: How many objects were no items, by reason.
            known: The pace that the shards are cut by: `known_pace` says it.
            merge_seconds: How long the merge takes; None where it is never done in parts.
            retry_of: For a retry, the digest of the plan before it.
            kept: What is taken over of an earlier run; None for a run without reuse.

        Raises:
            RunIdentityError: There is a plan by now, and it is for something else.
            AccessDeniedError: The destination may not be written.
            StoppedError: The job or function has to stop.
        """
        pace = cut_by(known.pace, request, reuses=kept is not None)
        shards = items.cut(request.shard, pace, kept.sizes if kept else ())
        digest = plan_digest(
            source=request.source,
            destination=request.destination,
            workload=request.workload,
            options=request.options,
            code_version=self.code_version,
            items_digests=(items_digest(items.lines(shard)) for shard in shards),
            retry_of=retry_of,
        )
        made = Plan(
            source=request.source,
            destination=request.destination,
            workload=request.workload,
            run_id=folder.run_id,
            options=request.options,
            include=request.include,
            exclude=request.exclude,
            shards=len(shards),
            items=len(items),
            total_bytes=items.total_bytes,
            skipped=dict(skipped),
            tolerated_failure_percent=request.tolerated_failure_percent,
            code_version=self.code_version,
            digest=digest,
            planned_at=self.timestamp(),
            tolerated_failure_count=request.tolerated_failure_count,
            reads_per_second=request.reads_per_second,
            writes_per_second=request.writes_per_second,
            retry=folder.retry,
            retry_of=retry_of,
            merge_parts=parts_of_merge(merge_seconds, len(shards), items.total_bytes, request.merge_limit_seconds),
            code=request.code,
            pace=known.pace.known() if known.measured else None,
            reuse=kept.reuse if kept else None,
            over_keys=request.keys is not None,
            requester_pays=request.requester_pays,
            name=request.name,
            tags=request.tags,
        )

        def write(index: int) -> None:
            self.check()
            body = items.lines(shards[index])
            self.s3.put(folder.shard_items(index, digest), body, content_type="application/x-ndjson")

        for _ in in_order(write, range(len(shards)), self.concurrency):
            pass
        if self.s3.put_if_absent(folder.plan, made.to_json(), content_type="application/json"):
            log.info("planned", extra={"fields": _figures(made)})
            return made
        # Our own earlier try, or another copy of us: what it wrote is the plan.
        first = self.kept(request, folder)
        if first is None:
            raise DamagedFileError("plan.json vanished; plan again", operation="plan", target=str(folder.plan))
        return first

    def known_pace(self, request: RunRequest) -> KnownPace:
        """The pace of a run by this code: by its request, by what ran at its destination, or by its workload."""
        return known_pace(request, self.s3, code_version=self.code_version)

    def check_same(self, request: RunRequest, kept: Plan, folder: RunFolder) -> None:
        """See that a plan is the request's.

        Raises:
            RunIdentityError: It is for something else, or by other code.
        """
        asked = {
            "source": request.source,
            "destination": request.destination,
            "workload": request.workload,
            **{f"options.{name}": value for name, value in request.options.items()},
            "include": request.include,
            "exclude": request.exclude,
            "code version": self.code_version,
        }
        planned = {
            "source": kept.source,
            "destination": kept.destination,
            "workload": kept.workload,
            **{f"options.{name}": value for name, value in kept.options.items()},
            "include": kept.include,
            "exclude": kept.exclude,
            "code version": kept.code_version,
        }
        differing = [name for name in {**planned, **asked} if planned.get(name) != asked.get(name)]
        if differing:
            what = "; ".join(
                f"{name} was {shortened(repr(planned.get(name)))}, is {shortened(repr(asked.get(name)))}"
                for name in differing
            )
            if "code version" in differing:
                what += f" ({what_differs(kept.code_version, self.code_version)})"
            raise RunIdentityError(
                f"the run folder holds another plan: {what}. Start a new run, or resume with the original request.",
                operation="plan",
                target=str(folder.plan),
            )


def cut_by(pace: Pace, request: RunRequest, *, reuses: bool) -> Pace:
    """The pace that shards are cut by: smaller ones where a change costs the whole shard in the next run."""
    record = workload_records().get(request.workload)
    if not reuses or record is None or record.keeps_contributions:
        return pace
    return pace.slower(SMALLER_SHARDS)


def parts_of_merge(merge_seconds: MergeSeconds | None, shards: int, total_bytes: int, limit_seconds: int) -> int:
    """By how many jobs the partials are merged first, so that none of these takes longer than the limit.

    Args:
        merge_seconds: How long the merge takes; None where one job does it in any case.
        shards: The number of shards.
        total_bytes: What all items cover.
        limit_seconds: How long one job may take; 0 asks for parts wherever there can be any.

    Returns:
        0 where one job does it all; else 2 to 10,000, each of two shards or more.
    """
    if merge_seconds is None:
        return 0
    needed = ceil(merge_seconds(shards, total_bytes) / limit_seconds) if limit_seconds else shards
    parts = min(needed, shards // 2, MAX_CHILDREN)
    return parts if parts > 1 else 0


def _figures(made: Plan) -> dict[str, object]:
    return {
        "run_id": made.run_id,
        "shards": made.shards,
        "items": made.items,
        "bytes": made.total_bytes,
        "merge_parts": made.merge_parts,
        "skipped": made.skipped,
        "plan_digest": made.digest,
    }
