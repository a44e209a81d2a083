"""The migrate job: work the items of one shard, then commit it.

Order matters: an item's outputs are there before its outcome counts, the partial before the commit that names it, and
the commit is written once. Whatever dies in between, the next attempt goes on; whichever of two copies commits first,
the other one's work has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from batch_jobs.host_faults import host_fault
from batch_jobs.in_flight import InFlight
from batch_jobs.job import Job
from batch_jobs.migrating.committing import remove_failed_outputs, write_commit, write_partial
from batch_jobs.migrating.failing_fast import FailingFast
from batch_jobs.migrating.item_worker import ItemWorker
from batch_jobs.migrating.progress import Progress, ProgressFiles
from batch_jobs.parallel import until_stopped
from batch_jobs.s3.paced_requests import paced
from batch_jobs.workloads.own import own_part
from millrace.errors import HostFaultError, InvalidRunRequest, MillraceError, StoppedError, TryAgainError
from millrace.layout import RunFolder, S3Uri
from millrace.run.commit import Commit
from millrace.run.files import read_commit
from millrace.run.outcome import Counts
from millrace.run.plan import Plan, Shard, items_digest
from millrace.workload.contract import NeedsPlan, SmallItems

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

TRIED = 20
"""So many items, and shards, are looked at to see whether anything of a source is readable."""

SAVE_SECONDS = 60.0
"""How often progress is saved: what a crash without a signal costs at most, or one item."""


def migrate(folder: RunFolder, index: int, job: Job) -> Commit:
    """Work one shard, unless it has its commit already.

    Args:
        folder: The run's folder.
        index: The shard's index.
        job: The job's surroundings.

    Returns:
        The shard's commit.

    Raises:
        InvalidRunRequest: The plan has no such shard, or the array has another size than the plan.
        AccessDeniedError: Nothing of the source is readable, or an output may not be written.
        StorageError: S3 failed for many items in a row, or for a file of the run folder.
        StoppedError: The job had to stop; its progress is saved.
        TryAgainError: All items were worked but those that the workload postponed; the progress is saved.
        HostFaultError: The host failed, a full disk say; the progress is saved.
        MillraceError: One with exit code 2: the workload cannot run here.
    """
    started_at = job.timestamp()
    plan = job.read_plan(folder)
    _check_index(index, plan, job)
    in_flight = InFlight(job.settings.concurrency, job.settings.most_in_flight)
    worker = _worker(plan, job, in_flight)
    commit = read_commit(folder, index, plan, job.s3)
    if commit is not None:
        log.info("the shard is committed already", extra={"fields": {"shard": index}})
    else:
        uri = folder.shard_items(index, plan.digest)
        lines = job.s3.read(uri)
        shard = Shard.from_lines(index, lines.split(b"\n")[:-1], str(uri))
        saved = ProgressFiles(folder, plan, index, job)
        asked = partial(_any_readable, folder, plan, shard, worker, job)
        progress = _work(shard, saved, worker, in_flight, job, any_readable=asked, retry=plan.retry > 0)
        outcomes = tuple(progress.outcomes[position] for position in range(len(shard.items)))
        mine = Commit(
            shard=index,
            plan_digest=plan.digest,
            code_version=plan.code_version,
            items_digest=items_digest(lines),
            partial=write_partial(folder, index, progress, worker.workload.partial_suffix, job.s3),
            counts=Counts.of(outcomes),
            outcomes=outcomes,
            job={"id": job.settings.job_id, "attempt": job.settings.attempt},
            started_at=started_at,
            finished_at=job.timestamp(),
        )
        commit = write_commit(folder, mine, job.s3)
        saved.delete()
    remove_failed_outputs(commit, worker, job)
    return commit


def _check_index(index: int, plan: Plan, job: Job) -> None:
    if not 0 <= index < plan.shards:
        allowed = f"0 to {plan.shards - 1}" if plan.shards else "none: the plan has no shards"
        raise InvalidRunRequest("index", index, allowed)
    size = job.settings.array_size
    if size is not None and size != plan.shards:
        raise InvalidRunRequest("AWS_BATCH_JOB_ARRAY_SIZE", size, f"{plan.shards}, the plan's number of shards")


def _worker(plan: Plan, job: Job, in_flight: InFlight) -> ItemWorker:
    workload = job.load(plan.workload, plan.options)
    if isinstance(workload, NeedsPlan):
        with own_part(plan.workload, "begin"):
            workload.begin(plan)
    return ItemWorker(
        s3=replace(job.item_s3(in_flight.note), requests=paced(job.s3.requests, plan, job)),
        workload=workload,
        source=S3Uri.parse(plan.source),
        destination=S3Uri.parse(plan.destination),
        output_mark=plan.output_mark,
        stop=job.stop,
        is_small=workload.is_small if isinstance(workload, SmallItems) else lambda _item: False,
    )


def _any_readable(folder: RunFolder, plan: Plan, shard: Shard, worker: ItemWorker, job: Job) -> bool:
    """Whether anything of the source is readable: some items of this shard are tried, then some other shards.

    Of these, a commit tells of its items; where there is none, the first item is tried.

    One prefix may be denied as a whole, and be a shard: its items are rows, as long as the role may read others.
    """
    if any(worker.may_read(item) for item in _spread(shard.items)):
        return True
    for index in _spread(range(plan.shards)):
        job.stop.check()
        commit = read_commit(folder, index, plan, job.s3)
        if commit is not None and commit.counts.succeeded:
            return True
        if commit is not None or index == shard.index:
            continue
        uri = folder.shard_items(index, plan.digest)
        with job.s3.open(uri) as chunks:  # its beginning alone
            line = next(chunks, b"").partition(b"\n")[0]
        if any(worker.may_read(item) for item in Shard.from_lines(index, [line], str(uri)).items):
            return True
    return False


def _spread(things: Sequence[Thing]) -> Sequence[Thing]:
    """Some of them, from the first to the last."""
    return things if len(things) <= TRIED else [things[at * (len(things) - 1) // (TRIED - 1)] for at in range(TRIED)]


def _work(
    shard: Shard,
    saved: ProgressFiles,
    worker: ItemWorker,
    in_flight: InFlight,
    job: Job,
    *,
    any_readable: Callable[[], bool],
    retry: bool,
) -> Progress:
    """Work what is not done yet.

    Raises:
        StoppedError: The job had to stop; the progress is saved.
        TryAgainError: A workload postponed items; the progress is saved.
        HostFaultError: The host failed; the progress is saved, if the host lets it.
    """
    progress = saved.load(worker.workload)
    left = [numbered for numbered in enumerate(shard.items) if numbered[0] not in progress.outcomes]
    fields = {"shard": shard.index, "items": len(shard.items), "done_before": len(progress.outcomes)}
    log.info("working the shard", extra={"fields": fields})
    watch = FailingFast(progress.outcomes.values(), readable=retry, any_readable=any_readable)
    postponed: TryAgainError | None = None
    saved_at = job.clock()
    working = until_stopped(
        worker.work,
        left,
        job.settings.concurrency,
        job.stop,
        in_flight=in_flight,
        small=lambda numbered: worker.is_small(numbered[1]),
    )
    with closing(working) as done_items:
        for worked in done_items:
            if worked.outcome is None:
                postponed = worked.postponed or postponed
                if isinstance(postponed, HostFaultError):
                    break  # the other items would fare no better here
                continue
            watch.see(worked.outcome, worked.cause)
            progress.add(worked.position, worked.outcome, worked.contribution)
            if job.clock() - saved_at >= SAVE_SECONDS:
                saved.save(progress)
                saved_at = job.clock()
    if len(progress.outcomes) < len(shard.items):
        done = f"{len(progress.outcomes)} of {len(shard.items)} items are done"
        try:
            saved.save(progress)
            done += " and saved"
        except Exception as error:
            if host_fault(error) is None:
                raise
            log.warning("progress could not be saved", exc_info=error)
        reason = job.stop.reason or (postponed.message if postponed else "")
        kind: type[MillraceError] = StoppedError
        if postponed and not job.stop.reason:
            kind = HostFaultError if isinstance(postponed, HostFaultError) else TryAgainError
        raise kind(f"{reason}; {done}, the next attempt goes on", operation=f"migrate shard {shard.index}")
    return progress
