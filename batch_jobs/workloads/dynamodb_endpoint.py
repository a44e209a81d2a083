"""Calls to DynamoDB over HTTP; endpoint, credentials, TLS, proxies, time limits and signature are botocore's."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from batch_jobs.workloads.dynamodb_table import BusyError
from millrace import __version__
from millrace.errors import TableError
from millrace.settings import aws_region


class HttpEndpoint:
    """DynamoDB, found by botocore's own environment: region, endpoint, credentials.

    Safe to use from several threads. Nothing is tried twice here: the writer knows what of a batch is left.

    Args:
        connections: How many calls may be under way at once.
    """

    def __init__(self, connections: int) -> None:
        session = botocore.session.get_session()
        client: Any = session.create_client(
            "dynamodb",
            region_name=aws_region(),
            config=Config(max_pool_connections=connections, connect_timeout=10, read_timeout=30),
        )
        self._url: str = client.meta.endpoint_url.rstrip("/") + "/"
        self._region: str = client.meta.region_name
        self._credentials: Any = session.get_credentials()
        self._http = client._endpoint.http_session  # noqa: SLF001 - as botocore sets it up for this endpoint

    def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Make one call, signed, once.

        Args:
            operation: `BatchWriteItem`.
            body: Its parameters in DynamoDB's JSON.

        Returns:
            The HTTP status and the answer.

        Raises:
            BusyError: No answer came.
            TableError: There are no credentials.
        """
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "User-Agent": f"millrace/{__version__}",
            "Accept-Encoding": "identity",
        }
        request = AWSRequest(method="POST", url=self._url, data=body, headers=headers)
        try:
            # Asked for each time: credentials of a role expire, and are fetched anew before they do.
            credentials = self._credentials and self._credentials.get_frozen_credentials()
            SigV4Auth(credentials, "dynamodb", self._region).add_auth(request)
            answer = self._http.send(request.prepare())
        except (HTTPClientError, NoConnectionError) as error:
            raise BusyError(f"no answer came: {error}") from error
        except BotoCoreError as error:
            raise TableError(str(error), operation=operation) from error
        return answer.status_code, answer.content
