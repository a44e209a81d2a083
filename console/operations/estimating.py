"""What a run would take, before it is started: the source is listed and cut as the plan job does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from console.errors import StackNotFoundError
from console.find.reuse_forecast import Forecast, forecast
from console.find.source_size import SourceSize, measure
from console.find.stack import job_size
from console.find.target import Target
from millrace.cost.course import Jobs, ShardSize
from millrace.cost.estimation import Estimate, estimate
from millrace.cost.known_pace import KnownPace, known_pace, record_memory
from millrace.cost.prices import prices
from millrace.cost.requester_pays import source_bill
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.small_source import may_be_planned, most_objects
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.request.source_access import check_public, refusal_explained, source_s3
from millrace.s3.verbs import S3
from millrace.source.filters import ItemFilter
from millrace.source.manifest.objects import manifest_items


class Shown(Protocol):
    """What says how far the estimate is: a line that changes."""

    def update(self, status: str) -> None:
        """Show this instead."""


@dataclass(frozen=True)
class EstimatedRun:
    """An estimate, and what it was made of.

    Attributes:
        request: The checked request.
        found: What the source has.
        made: Time and dollars.
        jobs: How the stack runs jobs.
        known: The pace, and where it is known from.
        reuse: What would be taken over of an earlier run, with the dollars saved; None without reuse.
    """

    request: RunRequest
    found: SourceSize
    made: Estimate
    jobs: Jobs
    known: KnownPace
    reuse: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The estimate as `millrace estimate --json` prints it."""
        table = prices()
        largest = max(self.found.shards, key=lambda shard: shard.bytes, default=None)
        return {
            "source": self.request.source,
            "workload": self.request.workload,
            "objects": self.found.listed,
            "items": self.found.items,
            "bytes": self.found.bytes,
            "largest_object_bytes": self.found.largest,
            "archived": self.found.archived,
            "skipped": self.found.skipped,
            "shards": len(self.found.shards),
            "largest_shard": None if largest is None else asdict(largest),
            "children": self.made.course.children,
            "each_child": {"vcpus": self.made.course.each.vcpus, "memory_mib": self.made.course.each.memory_mib},
            "jobs_at_once": self.jobs.at_once,
            "seconds": {**self.made.course.seconds, "total": self.made.course.total_seconds},
            "dollars": {**self.made.dollars, "total": self.made.total_dollars},
            "assumed": {"jobs": asdict(self.jobs), "pace": asdict(self.known.pace), "pace_of": self.known.origin},
            "prices": {"date": table["date"], "region": table["region"]},
            "reuse": self.reuse,
            "requester_pays": self.source_bill(),
        }

    def source_bill(self) -> dict[str, Any] | None:
        """What this account would be billed for reading the source; None where that is its owner's business."""
        if not self.request.requester_pays:
            return None
        items = sum(shard.items for shard in self.found.shards)
        size = sum(shard.bytes for shard in self.found.shards)
        return source_bill(listed=self.found.listed, items=items, size=size)


def estimate_of(
    target: Target,
    fields: Mapping[str, Any],
    destination: str | None,
    note: Callable[[str], None],
    status: Callable[[], AbstractContextManager[Shown]],
) -> EstimatedRun:
    """Estimate a run; nothing is started or written.

    Args:
        target: The stack it would run on; without one, the template's defaults count.
        fields: The execution input without `destination`.
        destination: Where the run would write; earlier runs there give the pace.
        note: Gets a line for people.
        status: Shows how far the listing is.

    Raises:
        InvalidRunRequest: The request is wrong.
        MillraceError: The source cannot be listed.
    """
    # No destination is written to; any that is none of the source's will do for the check.
    unwritten = destination or "s3://no-destination/estimate/"
    asked = {**fields, "destination": unwritten}
    request = RunRequest.parse(asked, queues=(asked.get("queue", "standard"),))
    folder = S3Uri.parse(request.source)
    if request.reuse is not None and destination is None:
        raise InvalidRunRequest("--reuse", request.reuse, "an option beside --destination, where the earlier run is")
    known = known_pace(request, target.aws.s3 if destination else None)
    items = ItemStore() if request.reuse is not None else None
    public = target.public_buckets
    source = source_s3(target.aws.s3_reading(public), request)
    check_public(request, public)
    with status() as shown, refusal_explained(request, public):
        found = measure(
            lambda chosen: _items(source, request, folder, chosen),
            request,
            known.pace,
            lambda listed: shown.update(f"Listing the source: {listed:,} objects"),
            items,
        )
        reused: Forecast | None = None
        if items is not None:
            shown.update(f"Comparing {found.items:,} items with the earlier run")
            reused = forecast(request, items, known.pace, target.aws.s3)
    jobs = _jobs(target, note)
    planned = may_be_planned(request) and found.listed <= most_objects(request) and not found.read_to_be_cut
    shards = reused.shards if reused else found.shards
    memory = record_memory(request.workload)

    def estimated(shards: Sequence[ShardSize]) -> Estimate:
        return estimate(
            shards, found.listed, jobs, known.pace, measured=known.measured, planned=planned, memory_mib=memory
        )

    made = estimated(shards)
    foreseen = None if reused is None else _foreseen(reused, estimated(found.shards), made)
    return EstimatedRun(request, replace(found, shards=shards), made, jobs, known, foreseen)


def _foreseen(reused: Forecast, whole: Estimate, made: Estimate) -> dict[str, Any]:
    """What the plan would say of reuse, and how much more a run over everything would cost."""
    numbers = asdict(reused.reuse)
    shown = {name: numbers[name] for name in numbers if not name.endswith("_digest")}
    return {**shown, "saved_dollars": max(0.0, whole.total_dollars - made.total_dollars)}


def _items(s3: S3, request: RunRequest, folder: S3Uri, chosen: ItemFilter) -> Iterable[Item]:
    if request.manifest is not None:
        return manifest_items(S3Uri.parse(request.manifest), folder, chosen, s3)
    return chosen.items(s3.list(folder.bucket, folder.key))


def _jobs(target: Target, note: Callable[[str], None]) -> Jobs:
    """How the stack runs jobs; as the template's defaults have it where there is no stack yet."""
    try:
        given = target.stack.parameters
    except StackNotFoundError as error:
        note(f"{error.message}; using the template's defaults")
        return Jobs(compute="FARGATE_SPOT")
    usual = Jobs()
    vcpus, memory_mib = job_size(given)
    return Jobs(
        vcpus=vcpus,
        memory_mib=memory_mib,
        max_vcpus=float(given.get("MaxvCpus", usual.max_vcpus)),
        architecture="ARM64" if given.get("Compute", "").endswith("_ARM64") else usual.architecture,
        public_ip=given.get("Network", "PUBLIC").startswith("PUBLIC"),
        compute=given.get("Compute", usual.compute).removesuffix("_ARM64"),
    )
