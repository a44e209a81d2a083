"""The plan job: list the source, cut it into shards, write the shard files and then plan.json.

The first plan wins. Shard files lie in a folder named by the plan's digest, and plan.json, which names that folder, is
written last and only if there is none: a second copy of the job, a retry, a redrive or a resumed run finds it and
keeps it, however the source has changed meanwhile. Shard files that no plan.json names are left behind, unread.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from batch_jobs.code_identity import what_differs
from batch_jobs.job import Job
from batch_jobs.merging.merge_parts import parts_of_merge
from batch_jobs.parallel import in_order
from batch_jobs.planning.key_order import ascending
from batch_jobs.planning.output_collisions import mark_collisions
from batch_jobs.planning.rerun_items import failed_items
from batch_jobs.planning.sharding import ItemStore
from batch_jobs.planning.source_items import source_items
from batch_jobs.workloads.own import own_part
from millrace.cost.known_pace import known_pace
from millrace.errors import DamagedFileError, RunIdentityError, shortened
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest
from millrace.run.files import plan_if_there
from millrace.run.generations import Generation, read_generations
from millrace.run.plan import Plan, items_digest, plan_digest
from millrace.source.filters import SKIPPED
from millrace.workload.registry import check_allowed

log = logging.getLogger(__name__)


def plan(request: RunRequest, folder: RunFolder, job: Job) -> Plan:
    """Make the run's plan, or keep the one that is there.

    Args:
        request: The checked request.
        folder: The run's folder, or that of a retry of its failed items: these are planned then.
        job: The job's surroundings.

    Raises:
        RunIdentityError: There is a plan, and it is for something else.
        BucketNotFoundError: A bucket is missing.
        ListingError: The source's keys do not strictly ascend.
        AccessDeniedError: The source may not be listed, or the destination not be written.
        InvalidRunRequest: The workload may not run here, or does not take these options.
        WorkloadUnavailableError: The workload, or what it needs, is not in this image.
        StoppedError: The job has to stop.
    """
    check_allowed(request.workload, job.settings.allowed_workloads)
    kept = _kept_plan(request, folder, job)
    if kept is not None:
        return kept
    # A class, a package or a program that is not in this image, or a bad option, is found before anything is listed.
    workload = job.load(request.workload, request.options)
    code_version = job.code_version(request.workload)
    before = _before(request, folder, job)
    skipped: Mapping[str, int] = dict.fromkeys(SKIPPED, 0)
    source = S3Uri.parse_folder(request.source, "source")
    if before:
        items = ItemStore(ascending(failed_items(before, source.bucket, job), source))
    else:
        items, skipped = source_items(request, job)
    items = mark_collisions(items, workload, source)
    known = known_pace(request, job.s3, code_version=code_version)
    shards = items.cut(request.shard, known.pace)
    retry_of = before[-1].plan.digest if before else ""
    digest = plan_digest(
        source=request.source,
        destination=request.destination,
        workload=request.workload,
        options=request.options,
        code_version=code_version,
        items_digests=(items_digest(items.lines(shard)) for shard in shards),
        retry_of=retry_of,
    )
    with own_part(request.workload, "merge_seconds"):
        merge_parts = parts_of_merge(workload, len(shards), items.total_bytes, request.merge_limit_seconds)
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
        code_version=code_version,
        digest=digest,
        planned_at=job.timestamp(),
        tolerated_failure_count=request.tolerated_failure_count,
        reads_per_second=request.reads_per_second,
        writes_per_second=request.writes_per_second,
        retry=folder.retry,
        retry_of=retry_of,
        merge_parts=merge_parts,
        pace=known.pace.known() if known.measured else None,
    )

    def write(index: int) -> None:
        job.stop.check()
        body = items.lines(shards[index])
        job.s3.put(folder.shard_items(index, digest), body, content_type="application/x-ndjson")

    for _ in in_order(write, range(len(shards)), job.settings.concurrency):
        pass
    if job.s3.put_if_absent(folder.plan, made.to_json(), content_type="application/json"):
        log.info("planned", extra={"fields": _figures(made)})
        return made
    # Our own earlier try, or another copy of this job: what it wrote is the plan.
    first = _kept_plan(request, folder, job)
    if first is None:
        raise DamagedFileError("plan.json vanished; plan again", operation="plan", target=str(folder.plan))
    return first


def _before(request: RunRequest, folder: RunFolder, job: Job) -> list[Generation]:
    """For a retry of failed items: the run, and its retries before this one; else nothing."""
    if not folder.retry:
        return []
    last = folder.of_retry(folder.retry - 1)
    before = read_generations(last, job.read_plan(last), job.s3)
    _check_same(request, before[0].plan, folder.base, job)
    return before


def _kept_plan(request: RunRequest, folder: RunFolder, job: Job) -> Plan | None:
    kept = plan_if_there(folder, job.s3)
    if kept is not None:
        _check_same(request, kept, folder, job)
        log.info("keeping the plan that is there", extra={"fields": _figures(kept)})
    return kept


def _check_same(request: RunRequest, kept: Plan, folder: RunFolder, job: Job) -> None:
    code_version = job.code_version(request.workload)
    asked = {
        "source": request.source,
        "destination": request.destination,
        "workload": request.workload,
        **{f"options.{name}": value for name, value in request.options.items()},
        "include": request.include,
        "exclude": request.exclude,
        "code version": code_version,
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
            what += f" ({what_differs(kept.code_version, code_version)})"
        raise RunIdentityError(
            f"the run folder holds another plan: {what}. Start a new run, or go on with what was planned.",
            operation="plan",
            target=str(folder.plan),
        )


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
