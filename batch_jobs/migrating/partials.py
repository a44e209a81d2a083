"""Partials of a run: written to where their content says, and read to be added up."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, BinaryIO

from batch_jobs.job import Job
from batch_jobs.migrating.outputs import file_digest, temporary_file
from batch_jobs.migrating.progress import Progress
from batch_jobs.parallel import in_order
from millrace.errors import DamagedFileError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import PartialFile
from millrace.s3.verbs import S3
from millrace.workload.contract import Partial


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


def open_partials(partials: list[PartialFile], job: Job) -> Generator[BinaryIO, None, None]:
    """The partials, each open for reading until the next is asked for; a few are fetched ahead."""
    fetched: list[BinaryIO] = []

    def fetch(partial: PartialFile) -> BinaryIO:
        job.stop.check()
        file = temporary_file()
        fetched.append(file)
        with job.s3.open(S3Uri.parse(partial.uri)) as chunks:
            for chunk in chunks:
                file.write(chunk)
        if (file.tell(), file_digest(file)) != (partial.bytes, partial.sha256):
            raise DamagedFileError("it is not the partial that was committed", operation="merge", target=partial.uri)
        file.seek(0)
        return file

    try:
        with closing(in_order(fetch, partials, job.settings.concurrency)) as files:
            for file in files:
                yield file
                file.close()
                fetched.remove(file)
    finally:
        for file in fetched:
            file.close()
