"""The objects that a request names one by one: looked up, where a folder is listed."""

from __future__ import annotations

from collections.abc import Iterable

from batch_jobs.job import Job
from batch_jobs.parallel import in_order
from millrace.layout import S3Uri
from millrace.s3.listing_page import ListedObject, Page

GONE = '"gone"'
"""The ETag in the plan of an object that was not there. No object ever has it: its read is refused for sure."""


def named_objects(source: S3Uri, keys: Iterable[str], job: Job) -> Page:
    """The objects of these keys, in the order in which a listing would name them.

    One that is not there is given all the same, with the ETag `GONE`: migrate is told so by S3, and its row says
    NOT_FOUND, or SOURCE_CHANGED where it came back meanwhile.

    Args:
        source: The source folder.
        keys: The objects' keys, relative to it.
        job: The job's surroundings.

    Raises:
        StorageError: S3 cannot be asked.
        StoppedError: The job has to stop.
    """

    def look_up(key: str) -> ListedObject:
        job.stop.check()
        # A listing of one key, rather than HEAD: it needs no right to read the object, which the plan job has not.
        found = next(job.s3.list(source.bucket, key, page_size=1), None)
        return found if found is not None and found.key == key else ListedObject(key, 0, GONE, "STANDARD")

    return list(in_order(look_up, sorted(source.key + key for key in keys), job.settings.concurrency))
