"""Publishing a result: result.json is one object, replaced whole, and only by a result that comes after it.

The run's own result.json names every file of the result, with its digest, and those files are never changed: a
reader who follows it sees one result, however many retries there are. A copy of merge that was taken for dead, and
continues after a later one, finds a result that outranks its own, and leaves it. Nothing is believed because it is
there: two merges of one rank write the same bytes, and what outranks a result has to be what some merge wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from millrace.errors import ChangedError, ObjectNotFoundError
from millrace.layout import MAX_RETRIES, RunFolder, S3Uri
from millrace.records.result import Result, rank_of
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)

TRIES = 10
"""Each lost race is one that another copy has won; there are only a few."""


def publish(
    uri: S3Uri, result: Result, s3: S3, outranks: Callable[[tuple[int, bool], bytes], bool] = lambda _rank, _there: True
) -> None:
    """Write a result, unless it is there, or one of a higher rank is.

    Args:
        uri: Where to.
        result: The result.
        s3: Where.
        outranks: Given the rank and the bytes of one that says it is higher: whether a merge wrote it.

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
            rank = rank_of(there)
            if there == body:
                return
            if rank > result.rank and outranks(rank, there):
                log.info("the existing result is kept", extra={"fields": {"uri": str(uri)}})
                return
            if rank >= result.rank:
                log.warning(
                    "what is there is not the result of a merge; replacing it", extra={"fields": {"uri": str(uri)}}
                )
            written = s3.put_if_same(uri, body, etag, content_type="application/json")
        if written:
            return
    raise ChangedError("other copies of merge keep writing it", operation="publish", target=str(uri))


def is_of_retry(folder: RunFolder, number: int, there: bytes, s3: S3) -> bool:
    """Whether a result is that of a retry: its merge writes it into the retry's own folder before."""
    if number > MAX_RETRIES:
        return False
    try:
        return s3.read(folder.of_retry(number).file("result.json")) == there
    except ObjectNotFoundError:
        return False
