"""How a run reads its source: without credentials where it is public data, on this account's bill where it asks so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from millrace.errors import AccessDeniedError, InvalidRunRequest
from millrace.layout import S3Uri
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3


def source_s3(s3: S3, request: RunRequest) -> S3:
    """An S3 that reads the source, and the manifest, as the request asks: requester pays, or not.

    Args:
        s3: Where both are.
        request: The checked request.
    """
    if request.requester_pays:
        for uri in filter(None, (request.source, request.manifest)):
            s3 = s3.paying(S3Uri.parse(uri).bucket)
    return s3


def check_public(request: RunRequest, public: frozenset[str]) -> None:
    """See that a request does with the stack's public buckets what can be done with them.

    Args:
        request: The checked request.
        public: The buckets' names.

    Raises:
        InvalidRunRequest: The destination is in one, or the request would pay for one that is its source.
    """
    destination, source = S3Uri.parse(request.destination).bucket, S3Uri.parse(request.source).bucket
    if destination in public:
        raise InvalidRunRequest(
            "destination",
            request.destination,
            f"a folder of a bucket of your own; {destination} is among the stack's public buckets, which are only read",
        )
    if request.requester_pays and source in public:
        raise InvalidRunRequest(
            "requester_pays",
            True,  # noqa: FBT003 - the field's value
            f"false for {source}: it is among the stack's public buckets, which are read without credentials, "
            "and S3 cannot bill who does not say who they are",
        )


def refusal(request: RunRequest, public: frozenset[str]) -> str:
    """What may be behind S3's refusal to let the source be read: a sentence, or nothing.

    Args:
        request: The checked request.
        public: The names of the stack's public buckets.
    """
    bucket = S3Uri.parse(request.source).bucket
    if bucket in public:
        return (
            f"{bucket} is among the stack's public buckets and read without credentials: its owner may not allow that"
        )
    if request.requester_pays:
        return ""
    return f'If the owner of {bucket} has requesters pay, the request needs "requester_pays": true (--requester-pays)'


@contextmanager
def refusal_explained(request: RunRequest, public: frozenset[str]) -> Iterator[None]:
    """Add to an AccessDeniedError of the block what may be behind it.

    Args:
        request: The checked request, whose source the block reads.
        public: The names of the stack's public buckets.

    Raises:
        AccessDeniedError: The block's, with a longer message.
    """
    try:
        yield
    except AccessDeniedError as error:
        reason = refusal(request, public)
        if not reason:
            raise
        explained = AccessDeniedError(
            f"{error.message}. {reason}",
            operation=error.operation,
            target=error.target,
            http_status=error.http_status,
            of_item=error.of_item,
        )
        explained.code = error.code  # the message has it already
        raise explained from error
