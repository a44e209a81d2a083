"""The S3 of a job: botocore's client, and obstore before it where the deployment lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import botocore.session

from millrace.s3.client import client_of
from millrace.s3.retry import Backoff
from millrace.s3.verbs import S3
from millrace.settings import bucket_owner

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def connect(connections: int) -> S3:
    """An S3 that finds endpoint, Region and credentials by botocore's own environment.

    obstore stays out where it could not do as botocore does: it cannot name the bucket's owner (it would send that
    header unsigned), nor go without credentials.

    Args:
        connections: How many calls may be under way at once.
    """
    session = botocore.session.get_session()
    client = client_of(session, connections)
    credentials = session.get_credentials()
    if credentials is None or bucket_owner() is not None:
        return S3(client, Backoff())
    from batch_jobs.s3.obstore_client import ObstoreClient  # noqa: PLC0415 - not where it is not used
    from batch_jobs.s3.obstore_stores import BotocoreStores  # noqa: PLC0415

    stores = BotocoreStores(client, credentials, session.get_config_variable("ca_bundle"))
    return S3(cast("S3Client", ObstoreClient(client, stores)), Backoff())
