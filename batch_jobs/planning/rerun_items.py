"""The items of a retry: the failed rows of a run, and of its retries before, as the objects are now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from batch_jobs.job import Job
from batch_jobs.parallel import in_order
from millrace.records.generations import Generation, RowReader
from millrace.records.outcome import Outcome
from millrace.records.plan import Item


def failed_items(generations: list[Generation], bucket: str, job: Job) -> Iterator[Item]:
    """An item for each failed row, in the rows' order.

    An object that was changed since is planned as it is now, unless a manifest named its version. One that is gone is
    planned as it was, and so stays NOT_FOUND. A range of an object is planned as it was, whatever became of the object:
    other ranges of it may have succeeded, and the parts of two versions make no sum.

    Args:
        generations: The run, and its retries so far; all of their shards have their commits.
        bucket: The source bucket.
        job: The job's surroundings.

    Raises:
        MissingCommitError: A shard has no commit.
        AccessDeniedError: The source may not be listed.
        StoppedError: The job has to stop.
    """

    def present(failed: Outcome) -> Item:
        job.stop.check()
        planned = Item(
            failed.key,
            failed.size,
            failed.etag,
            version_id=failed.version_id,
            first_byte=failed.first_byte,
            last_byte=failed.last_byte,
            first_line=failed.first_line,
            head_bytes=failed.head_bytes,
        )
        if planned.first_byte is not None or planned.version_id is not None:
            return planned
        # A listing, not HEAD: it shows an object that may not be read as well, and in the words of the first plan.
        found = next(iter(job.s3.list(bucket, failed.key)), None)
        if found is None or found.key != failed.key or found.etag == failed.etag:
            return planned
        return Item(found.key, found.size, found.etag, storage_class=found.storage_class)

    with (
        closing(RowReader(job.s3, job.settings.concurrency, job.stop.check).shards(generations)) as shards,
        closing(
            in_order(
                present,
                (row.outcome for _, rows in shards for row in rows if row.outcome.status == "FAILED"),
                job.settings.concurrency,
            )
        ) as items,
    ):
        yield from items
    for generation in generations:
        generation.check_sum()
