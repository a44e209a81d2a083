"""The plan job: list the source, cut it into shards, write the shard files and then plan.json.

A run that reuses an earlier one is compared with it here: shards that did not change are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batch_jobs.job import Job
from batch_jobs.migrating.take_over import take_over
from batch_jobs.planning.output_collisions import mark_collisions
from batch_jobs.planning.rerun_items import failed_items
from batch_jobs.planning.source_items import source_items
from batch_jobs.workloads.own import own_part
from millrace.layout import RunFolder, S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.key_order import ascending
from millrace.planning.making import MergeSeconds, PlanMaker, cut_by
from millrace.records.generations import Generation, read_generations
from millrace.records.plan import Plan
from millrace.request.run_request import RunRequest
from millrace.request.source_access import source_s3
from millrace.reuse.keeping import Keeping
from millrace.reuse.taken import name_removed
from millrace.source.filters import SKIPPED
from millrace.workload.contract import MergingInParts, writes_outputs


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
        CodePackageError: The zip of the run's code is missing or cannot be run.
        InvalidRunRequest: The workload may not run here, or does not take these options.
        WorkloadUnavailableError: The workload, or what it needs, is not in this image.
        NothingToReuseError: The request requires a run to reuse, and there is none.
        StoppedError: The job has to stop.
    """
    job = replace(job, s3=source_s3(job.s3, request))
    maker = job.plan_maker(request)
    kept = maker.kept(request, folder)
    if kept is not None:
        return _with_what_is_kept(kept, folder, job)
    # A class, a package or a program that is not in this image, or a bad option, is found before anything is listed.
    workload = job.load(request.workload, request.options)
    before = _before(request, folder, job, maker)
    keeping: Keeping | None = None
    if request.reuse is not None and not before:
        keeping = Keeping.of(request, folder, maker, writes_outputs=writes_outputs(workload))
    skipped: Mapping[str, int] = dict.fromkeys(SKIPPED, 0)
    source = S3Uri.parse_folder(request.source, "source")
    if before:
        failed = failed_items(before, source.bucket, job)
        # Behind kept shards the others begin anew: what failed in one that could not be taken over comes first.
        items = ItemStore(failed if before[0].plan.reuse else ascending(failed, source))
    else:
        items, skipped = source_items(request, job)
    items = mark_collisions(items, workload, source)
    known = maker.known_pace(request)
    made = maker.make(
        request,
        folder,
        items,
        skipped,
        known=known,
        merge_seconds=_merge_seconds(workload, request.workload),
        retry_of=before[-1].plan.digest if before else "",
        kept=keeping.keep(items, cut_by(known.pace, request, reuses=True)) if keeping else None,
    )
    return _with_what_is_kept(made, folder, job)


def _with_what_is_kept(plan: Plan, folder: RunFolder, job: Job) -> Plan:
    """Name what is gone, and take over what is kept; returns the plan."""
    name_removed(plan, folder, job.s3)
    take_over(plan, folder, job)
    return plan


def _merge_seconds(workload: object, name: str) -> MergeSeconds | None:
    with own_part(name, "merge_seconds"):
        estimated = workload.merge_seconds if isinstance(workload, MergingInParts) else None
    if estimated is None:
        return None

    def seconds(shards: int, total_bytes: int) -> float:
        with own_part(name, "merge_seconds"):
            return estimated(shards, total_bytes)

    return seconds


def _before(request: RunRequest, folder: RunFolder, job: Job, maker: PlanMaker) -> list[Generation]:
    """For a retry of failed items: the run, and its retries before this one; else nothing."""
    if not folder.retry:
        return []
    last = folder.of_retry(folder.retry - 1)
    before = read_generations(last, job.read_plan(last), job.s3)
    maker.check_same(request, before[0].plan, folder.base)
    return before
