"""The S3 of a job: by obstore where the deployment lets it, else by botocore alone."""

from __future__ import annotations

import botocore.session

from millrace.s3.client import client_of
from millrace.s3.requests import BotocoreRequests
from millrace.s3.retry import Backoff
from millrace.s3.verbs import S3
from millrace.settings import bucket_owner, public_buckets


def connect(connections: int) -> S3:
    """An S3 that finds endpoint, Region and credentials by botocore's own environment.

    obstore stays out where it could not do as botocore does: it cannot name the bucket's owner (it would send that
    header unsigned), nor go without credentials. A public bucket, of which no owner is named, needs neither.

    Args:
        connections: How many calls may be under way at once.
    """
    session = botocore.session.get_session()
    client = client_of(session, connections)
    requests = BotocoreRequests(client)
    credentials = session.get_credentials() if bucket_owner() is None else None
    public = public_buckets()
    if credentials is None and not public:
        return S3(requests, Backoff())
    from batch_jobs.s3.obstore_requests import ObstoreRequests  # noqa: PLC0415 - not where it is not used
    from batch_jobs.s3.obstore_stores import BotocoreStores  # noqa: PLC0415

    stores = BotocoreStores(client, credentials, session.get_config_variable("ca_bundle"), public=public)
    return S3(ObstoreRequests(requests, stores), Backoff())
