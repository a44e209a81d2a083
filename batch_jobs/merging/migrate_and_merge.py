"""A small run in one job: work its shards, then merge, so that one start is waited for and billed, not two."""

from __future__ import annotations

from batch_jobs.job import Job
from batch_jobs.merging.merge import merge
from batch_jobs.migrating.migrate import migrate
from millrace.layout import RunFolder


def migrate_and_merge(
    folder: RunFolder,
    job: Job,
    tolerated_failure_percent: float | None = None,
    tolerated_failure_count: int | None = None,
) -> None:
    """Work every shard that has no commit, then merge. It ends with `_SUCCESS` or `_INCOMPLETE`, or with an error.

    Args:
        folder: The run's folder, or the retry's.
        job: The job's surroundings.
        tolerated_failure_percent: As for `merge`.
        tolerated_failure_count: As for `merge`.

    Raises:
        StoppedError: The job had to stop; what was done is kept.
        TooManyFailuresError: As for `merge`.
        MillraceError: As for `migrate` and `merge`.
    """
    migrate(folder, job, whole=True)
    job.stop.check()
    merge(folder, job, tolerated_failure_percent, tolerated_failure_count)
