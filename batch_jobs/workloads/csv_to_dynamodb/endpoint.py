"""Calls to DynamoDB over HTTP; endpoint, credentials, TLS, proxies, time limits and signature are botocore's."""

from __future__ import annotations

import socket
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from batch_jobs.workloads.csv_to_dynamodb.table import BusyError
from millrace.errors import TableError
from millrace.settings import aws_region, ca_bundle
from millrace.version import VERSION

_CONNECT_SECONDS = 10
_READ_SECONDS = 30


class HttpEndpoint:
    """DynamoDB, found by botocore's own environment: region, endpoint, credentials.

    Safe to use from several threads. Nothing is tried twice here: the writer knows what of a batch is left.

    Args:
        connections: How many calls may be under way at once.
    """

    def __init__(self, connections: int) -> None:
        session = botocore.session.get_session()
        client: Any = session.create_client("dynamodb", region_name=aws_region())
        self._url: str = client.meta.endpoint_url.rstrip("/") + "/"
        self._region: str = client.meta.region_name
        self._credentials: Any = session.get_credentials()
        # As a client sets it up: proxies and certificates are those of the environment and of the AWS configuration.
        as_clients: dict[str, Any] = {
            "verify": session.get_config_variable("ca_bundle") or ca_bundle() or True,
            "proxies": get_environ_proxies(self._url),
            "timeout": (_CONNECT_SECONDS, _READ_SECONDS),
            "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        }
        self._http = URLLib3Session(max_pool_connections=connections, **as_clients)

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
            "User-Agent": f"millrace/{VERSION}",
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
