"""Publishing a result: result.json is one object, replaced whole, and only by a result that comes after it.

The run's own result.json names every file of the result, with its digest, and those files are never changed: whoever
follows it sees one result, however many retries there are. A copy of merge that was taken for dead, and goes on after
a later one, finds a result that outranks its own, and leaves it.
"""

from __future__ import annotations

import logging

from millrace.errors import ChangedError, ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.result import Result, rank_of
from millrace.s3 import S3

log = logging.getLogger(__name__)

TRIES = 10
"""Each lost race is one that another copy has won; there are only a few."""


def publish(uri: S3Uri, result: Result, s3: S3) -> None:
    """Write a result, unless one of its rank or of a higher one is there.

    Raises:
        ChangedError: Other copies wrote in between, again and again.
    """
    body = result.to_json()
    for _ in range(TRIES):
        try:
            with s3.open(uri) as chunks:
                etag, there = chunks.etag, b"".join(chunks)
        except ObjectNotFoundError:
            written = s3.put_if_absent(uri, body, content_type="application/json")
        else:
            if rank_of(there) >= result.rank:
                if there != body:
                    log.info("the result that is there stays", extra={"fields": {"uri": str(uri)}})
                return
            written = s3.put_if_same(uri, body, etag, content_type="application/json")
        if written:
            return
    raise ChangedError("other copies of merge keep writing it", operation="publish", target=str(uri))
