"""Committing a shard, once; and what to do when another copy was first."""

from __future__ import annotations

import logging

from batch_jobs.job import Job
from batch_jobs.migrating.item_worker import NEVER_READ, RUN_MARK, ItemWorker
from batch_jobs.parallel import in_order
from millrace.errors import ChangedError, ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)


def write_commit(folder: RunFolder, commit: Commit, s3: S3) -> Commit:
    """Write the commit, unless there is one.

    Returns:
        The commit that counts: the given one, or that of the copy which was first.
    """
    uri = folder.commit(commit.shard)
    fields = {"shard": commit.shard, "succeeded": commit.counts.succeeded, "failed": commit.counts.failed}
    if s3.put_if_absent(uri, commit.to_json(), content_type="application/json"):
        log.info("shard committed", extra={"fields": fields})
        return commit
    there = Commit.from_json(s3.read(uri), str(uri))
    if there.content_digest == commit.content_digest:
        log.info("shard was committed already, with the same content", extra={"fields": fields})
    else:
        log.warning("another copy of this child committed first", extra={"fields": {**fields, "by": there.job}})
    return there


def remove_failed_outputs(commit: Commit, worker: ItemWorker, job: Job) -> None:
    """Delete the outputs that this run made of items which the commit reports as failed.

    An earlier attempt, or the other copy, may have worked an item that this commit's writer could not: its source was
    deleted or changed in between. Called after the commit is there, by its writer, by the copy that came too
    late, and by every later attempt: before, one would delete what the copy that wins is about to report. An output
    without this run's mark is an earlier run's, and stays; so does what a row names, whatever the suffixes are.
    """
    named = {output for outcome in commit.outcomes for output in outcome.outputs}
    suspects = [
        output
        for outcome in commit.outcomes
        if outcome.error_code is not None and outcome.error_code not in NEVER_READ and outcome.first_byte is None
        for output in worker.outputs_of(outcome.key)
        if str(output) not in named
    ]

    def remove(output: S3Uri) -> None:
        try:
            head = job.s3.head(output)
            if head.metadata.get(RUN_MARK) == worker.output_mark:
                job.s3.delete(output, etag=head.etag)
                log.info("output of a failed item deleted", extra={"fields": {"output": str(output)}})
        except (ObjectNotFoundError, ChangedError):
            return

    for _ in in_order(remove, suspects, job.settings.concurrency):
        pass
