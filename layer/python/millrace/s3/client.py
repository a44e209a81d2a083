"""Making the boto3 S3 client: explicit retries, time limits and connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from millrace.s3.listing_page import take_objects
from millrace.s3.public import read_unsigned
from millrace.settings import aws_region, bucket_owner, public_buckets

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


CONNECT_SECONDS = 10
READ_SECONDS = 60
"""How long a connection, and any further bytes of an answer, may take."""

USER_AGENT = "millrace"


def new_client(connections: int) -> S3Client:
    """A client that finds endpoint, region and credentials by botocore's own environment.

    It is botocore's, without boto3 around it: the same object, with less to import.

    Args:
        connections: How many calls may be under way at once.
    """
    # Imported here: a job that only prints its help, or refuses its arguments, starts in a tenth of the time.
    import botocore.session  # noqa: PLC0415

    return client_of(botocore.session.get_session(), connections)


def client_of(session: Any, connections: int) -> S3Client:
    """As `new_client`, of a botocore session."""
    from botocore.config import Config  # noqa: PLC0415 - as above
    from botocore.handlers import add_expect_header  # noqa: PLC0415

    # Nobody reads a listing's dates, and parsing them takes two thirds of its time.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    client: Any = session.create_client(
        "s3",
        region_name=aws_region(),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=connections,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            user_agent_extra=USER_AGENT,
        ),
    )
    # botocore asks for "100 Continue" before every PUT of a file: a round trip more for each small object.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    read_pages_fast(client)
    owner, public = bucket_owner(), public_buckets()
    read_unsigned(client, public)
    if owner is not None:
        client.meta.events.register("provide-client-params.s3", _require_owner(owner, public))
    made: S3Client = client
    return made


def read_pages_fast(client: Any) -> None:
    """Take the objects out of a listing's page before botocore looks at it, which it does twice.

    Args:
        client: A client of S3. The verbs of `millrace.s3.verbs` know where the objects are then, and nobody else does:
            in an answer to ListObjectsV2 there is no `Contents` any more, where it was asked for with
            `EncodingType="url"`.
    """
    from botocore import handlers  # noqa: PLC0415 - as above

    def before_parse(operation_model: Any, **given: Any) -> None:
        if operation_model.name == "ListObjectsV2":
            take_objects(**given)

    # botocore first searches any answer with status 200 for an error, and parses all of it to do so. Its handler goes
    # behind ours; where it has none of that name, the page is only slower.
    error_search = getattr(handlers, "_handle_200_error", None)
    events = client.meta.events
    if error_search:
        events.unregister("before-parse.s3.*", error_search)
    events.register_first("before-parse.s3.*", before_parse)
    if error_search:
        events.register_first("before-parse.s3.*", error_search)


def _require_owner(account: str, public: frozenset[str]) -> Callable[..., dict[str, Any] | None]:
    """Add ExpectedBucketOwner to every call: S3 answers 403 where the bucket belongs to another account.

    After a bucket is deleted, anyone can create one with the same name (API: ExpectedBucketOwner). Public buckets
    belong to another account.
    """

    def add(params: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        return None if params.get("Bucket") in public else {"ExpectedBucketOwner": account, **params}

    return add
