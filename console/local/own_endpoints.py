"""Endpoints of the embedded AWS's own: what S3 has no request for."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from console import embedded_aws
from console.find.aws import Aws
from millrace.layout import S3Uri

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_NOT_FOUND = 404
TOGETHER = 128
"""How many objects are asked for at once."""


def ask(endpoint_url: str, path: str, body: dict[str, Any]) -> Any:
    """Ask an endpoint of the embedded AWS's own.

    Raises:
        EmbeddedAwsError: It refuses.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - `millrace --help` must not wait for it
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
    from botocore.credentials import Credentials  # noqa: PLC0415 - as above

    found = embedded_aws.credentials(endpoint_url)
    url, content = f"{endpoint_url}/_local_aws/{path}", json.dumps(body).encode()
    request = AWSRequest("POST", url, {"Content-Type": "application/json"}, content)
    SigV4Auth(Credentials(found.access_key, found.secret_key), "millrace", embedded_aws.REGION).add_auth(request)
    sent = urllib.request.Request(url, content, dict(request.headers), method="POST")  # noqa: S310 - http, ours
    try:
        with _OPENER.open(sent) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == _NOT_FOUND:
            msg = f"the embedded AWS at {endpoint_url} is of another version; end it with: millrace local down"
        else:
            msg = f"the embedded AWS refused {path}: {json.load(error).get('message')}"
        raise embedded_aws.EmbeddedAwsError(msg) from error


class ObjectsTogether:
    """Reads objects that are known beforehand, many with one request; large ones each by its own.

    Args:
        aws: The embedded AWS.
        uris: The objects, in the order in which they will be opened, more or less.
    """

    def __init__(self, aws: Aws, uris: Sequence[S3Uri]) -> None:
        self._aws, self._uris = aws, uris
        self._places = {uri: place for place, uri in enumerate(uris)}
        self._bodies: dict[S3Uri, bytes | None] = {}
        self._locks = [Lock() for _ in range(0, len(uris), TOGETHER)]

    @contextmanager
    def open(self, uri: S3Uri) -> Iterator[Iterable[bytes]]:
        """An object's content, once.

        Raises:
            ObjectNotFoundError: There is none.
        """
        block = self._places[uri] // TOGETHER
        with self._locks[block]:  # other threads are at other blocks
            if uri not in self._bodies:
                self._ask_for(block, uri.bucket)
            body = self._bodies.pop(uri)
        if body is not None:
            yield (body,)
            return
        with self._aws.s3.open(uri) as chunks:
            yield chunks

    def _ask_for(self, block: int, bucket: str) -> None:
        some = self._uris[block * TOGETHER : (block + 1) * TOGETHER]
        uris = [each for each in some if each.bucket == bucket]
        asked = {"bucket": bucket, "keys": [each.key for each in uris]}
        bodies = ask(str(self._aws.endpoint_url), "bodies", asked)["bodies"]
        for each, body in zip(uris, bodies, strict=True):
            self._bodies[each] = None if body is None else b64decode(body)
