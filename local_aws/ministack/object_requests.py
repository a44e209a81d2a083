# ruff: noqa: SLF001 - to touch private names is what this file is for
"""The short way of S3 requests: nearly all that a run asks for, in a fraction of the time.

ministack looks at each request in some forty ways before it knows that S3 is meant: half a millisecond. A request that
the guard let through for S3, and that names a bucket which is there by its path, can only be one for S3: it goes
straight to ministack's S3, with all that is hooked in there. Whatever else comes, and everything where IAM is enforced,
takes the long way.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from local_aws.ministack.hooks import Ministack
from local_aws.served_folders import FileChangedError, ServedFile
from local_aws.signatures import Request

Application = Callable[..., Awaitable[None]]
_SIGNED_FOR_S3 = "/s3/aws4_request"
_SIGNED_IN_QUERY = re.compile("X-Amz-|AWSAccessKeyId|Signature", re.IGNORECASE)
_LONG_WAY = frozenset({
    "x-amz-target", "x-amz-trailer", "x-amz-decoded-content-length", "transfer-encoding", "content-encoding",
    "x-amz-account-id",
})  # fmt: skip
"""Headers of requests that need more than S3 itself: a body in chunks of its own, say."""

_MOST_TRIES = 5
_LOG = logging.getLogger("local_aws")
_AT_ONCE = 1 << 17
"""How much is read from a file while others wait."""


class ObjectRequests:
    """Takes what it can answer by the short way."""

    def __init__(self, ministack: Ministack) -> None:
        """Answer from this ministack's S3."""
        self._ministack, self._storage = ministack, ministack.storage

    def service_of(self, request: Request, path: str) -> str:
        """The service that a request to this path, decoded, goes to."""
        if self._is_for_a_bucket(path, request.headers, request.query):
            return "s3"
        query: dict[str, list[str]] = {}
        for name, value in request.pairs():
            query.setdefault(name, []).append(value)
        return self._ministack.service_of(request.method, path, dict(request.headers), query)

    def before(self, application: Application) -> Application:
        """An ASGI application that answers the short way, and leaves the rest to `application`."""
        if self._ministack.enforces_iam:
            return application

        async def answered(scope: dict[str, Any], receive: Any, send: Any) -> None:
            headers = _headers(scope) if scope["type"] == "http" else {}
            if not headers or not self._is_for_a_bucket(
                scope["path"], headers, scope["query_string"].decode("latin-1")
            ):
                await application(scope, receive, send)
                return
            body = await _body(receive)
            if len(body) != int(headers.get("content-length") or 0):
                return  # the client is gone
            await self._send(send, scope, headers, body)

        return answered

    def _is_for_a_bucket(self, path: str, headers: Mapping[str, str], query: str) -> bool:
        """Whether a request is signed for S3, in its header, or not at all, and names a bucket of the account."""
        signed_for = headers.get("authorization")
        # What is signed in its query goes the long way, too.
        for_s3 = _SIGNED_FOR_S3 in signed_for if signed_for else _SIGNED_IN_QUERY.search(query) is None
        if not for_s3 or not _LONG_WAY.isdisjoint(headers):
            return False
        return path[1:].partition("/")[0] in self._storage._buckets

    async def _send(self, send: Any, scope: dict[str, Any], headers: dict[str, str], body: bytes) -> None:
        for _ in range(_MOST_TRIES):
            try:
                status, fields, content = await self._answer(scope, headers, body)
                chunks = content.chunks() if isinstance(content, ServedFile) else iter((content,))
                at_once = len(content) <= _AT_ONCE or isinstance(content, bytes)
                chunk = next(chunks, b"") if at_once else await asyncio.to_thread(next, chunks)
                break
            except FileChangedError:
                continue
            except Exception:  # noqa: BLE001 - as the long way does: the client gets an answer
                _LOG.exception("%s %s", scope["method"], scope["path"])
                status, fields, content = self._broken("We encountered an internal error. Please try again.")
                chunk, chunks = content, iter(())
                break
        else:
            status, fields, content = self._broken("the file changes while it is read")
            chunk, chunks = content, iter(())
        answer = [(name.encode(), _encoded(str(value))) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": answer})
        sent = len(chunk)
        while sent < len(content):
            # A file that changes by now breaks the connection off: nobody takes parts of two contents for one.
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await asyncio.to_thread(next, chunks)
            sent += len(chunk)
        await send({"type": "http.response.body", "body": chunk})

    def _broken(self, words: str) -> tuple[int, dict[str, str], bytes]:
        status, fields, content = self._storage._error("InternalError", words, 500)
        return status, {**fields, "Content-Length": str(len(content))}, content

    async def _answer(
        self, scope: dict[str, Any], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes | ServedFile]:
        method, path = scope["method"], scope["path"]
        query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        self._ministack.take_scope(headers)
        answer = await self._storage.handle_request(method, path, headers, body, query)
        if method == "HEAD" and self._storage.is_standard_object_request(method, path, headers, query):
            answer = self._storage.format_head_response(path, headers, answer)
        status, fields, content = answer
        if method != "HEAD" and "Content-Length" not in fields:
            fields["Content-Length"] = str(len(content))
        fields["Date"] = formatdate(usegmt=True)
        return status, fields, content


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _body(receive: Any) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
