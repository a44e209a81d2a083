"""Work the shards and merge, without a start in between: a small run in one job, a short array by its last child.

In an array nobody waits for the others: a child that finds every shard committed merges. A claim keeps most of them
from doing it twice; two that do it write the same bytes, as two merge jobs would.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from batch_jobs.job import Job
from batch_jobs.merging.merge import merge
from batch_jobs.migrating.claims import Claims
from batch_jobs.migrating.migrate import migrate
from millrace.errors import TooManyFailuresError
from millrace.layout import RunFolder
from millrace.records.files import listed_shards
from millrace.records.sizing import FULL, SMALL, SMALL_VCPUS

log = logging.getLogger(__name__)


def migrate_and_merge(
    folder: RunFolder,
    job: Job,
    tolerated_failure_percent: float | None = None,
    tolerated_failure_count: int | None = None,
    size: str = FULL,
) -> None:
    """Work what has no commit, then merge.

    A job alone works it all, and ends with `_SUCCESS` or `_INCOMPLETE`, or with an error. The child of an array works
    as `migrate` has it, and merges if nothing is left; what it leaves is the next array's, or the merge job's.

    Args:
        folder: The run's folder, or the retry's.
        job: The job's surroundings.
        tolerated_failure_percent: As for `merge`.
        tolerated_failure_count: As for `merge`.
        size: What the job has, `small` or `full`. A small one has one attempt: it may have had too little memory. The
            next attempt says so and exits 0, without a result, and a full job works what is left.

    Raises:
        StoppedError: The job had to stop; what was done is kept.
        TooManyFailuresError: As for `merge`; a child of an array leaves that to the merge job.
        MillraceError: As for `migrate` and `merge`.
    """
    if size == SMALL and job.settings.attempt > 1:
        _hand_back(folder, job)
    elif job.settings.array_size is None:
        if size == SMALL:
            job = replace(job, settings=replace(job.settings, vcpus=SMALL_VCPUS))  # its pace is that of a slow job
        migrate(folder, job, whole=True)
        job.stop.check()
        merge(folder, job, tolerated_failure_percent, tolerated_failure_count)
    elif migrate(folder, job) and _is_mine(folder, job):
        job.stop.check()
        try:
            merge(folder, job, tolerated_failure_percent, tolerated_failure_count)
        except TooManyFailuresError as error:
            # A child that failed would have its whole array started again by a redrive.
            log.warning("left to the merge job", extra={"fields": {"why": error.message}})


def _hand_back(folder: RunFolder, job: Job) -> None:
    """Say that the job leaves what is left: Read Result finds the mark and trusts no result that is there."""
    job.read_plan(folder)  # other code than the plan's is refused here as elsewhere
    mark = {"job": job.settings.job_id, "attempt": job.settings.attempt, "at": job.timestamp()}
    job.s3.put(folder.handed_back(job.settings.job_id), json.dumps(mark).encode(), content_type="application/json")
    log.warning("left to a job of full size", extra={"fields": {"attempt": job.settings.attempt}})


def _is_mine(folder: RunFolder, job: Job) -> bool:
    """Whether every shard is committed, and no other child of the array merges."""
    shards = job.read_plan(folder).shards
    committed = sum(1 for _ in listed_shards(folder.commit, range(shards), job.s3))
    return committed == shards and Claims(folder, job).take_merge()
