"""Committing a shard: the partial, then the commit, once; and what to do when another copy was first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.item_worker import NEVER_READ, RUN_MARK, ItemWorker
from batch_jobs.migrating.outputs import file_digest, temporary_file
from batch_jobs.migrating.progress import Progress
from batch_jobs.parallel import in_order
from millrace.errors import ChangedError, DamagedFileError, ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit, PartialFile
from millrace.s3.verbs import S3
from millrace.workload.contract import Partial

log = logging.getLogger(__name__)


def write_partial(folder: RunFolder, index: int, progress: Progress, suffix: str, s3: S3) -> PartialFile | None:
    """Upload the shard's partial; None where no item succeeded."""
    if not any(outcome.status == "SUCCEEDED" for outcome in progress.outcomes.values()):
        return None
    return put_partial(progress.partial, lambda digest: folder.partial(index, digest, suffix), s3)


def put_partial(partial: Partial[Any], place: Callable[[str], S3Uri], s3: S3) -> PartialFile:
    """Upload a partial to where its digest says: it is named by its content."""
    with temporary_file() as file:
        partial.write(file)
        size, digest = file.tell(), file_digest(file)
        uri = place(digest)
        s3.put(uri, file)
    return PartialFile(str(uri), digest, size)


def copy_file(source: S3Uri, destination: S3Uri, job: Job, size: int | None = None) -> None:
    """Have S3 copy a file of a run, of this size if one is given.

    Raises:
        ObjectNotFoundError: It is not there.
        DamagedFileError: It has another size.
        ChangedError: It was replaced meanwhile.
    """
    head = job.s3.head(source)
    if size not in {None, head.size}:
        raise DamagedFileError(f"it has {head.size} bytes, not {size}", operation="reuse", target=str(source))
    job.s3.ask(
        "copy",
        source,
        "copy_object",
        Bucket=destination.bucket,
        Key=destination.key,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        CopySourceIfMatch=head.etag,
        TaggingDirective="REPLACE",  # by none: files of a run have no tags, and to copy some would take two more rights
    )


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
