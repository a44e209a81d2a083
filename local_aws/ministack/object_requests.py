# ruff: noqa: SLF001 - to touch private names is what this file is for
"""The short way of S3 requests: nearly all that a run asks for, in a fraction of the time.

ministack looks at each request in some forty ways before it knows that S3 is meant: half a millisecond. A request that
the guard let through for S3, and that names a bucket which is there by its path, can only be one for S3: it goes
straight to ministack's S3, with all that is hooked in there. Whatever else comes, and everything where IAM is enforced,
takes the long way. A plain request for an object, as `local_aws.connections` finds them, needs not even most of that.
"""

import asyncio
import logging
import os
import re
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from local_aws.guard import HEADERS, has_body
from local_aws.ministack.hooks import Ministack
from local_aws.ministack.storage_hooks import MAX_KEY_BYTES
from local_aws.served_folders import FileChangedError, ServedFile, ServedObjects
from local_aws.signatures import Request

Application = Callable[..., Awaitable[None]]
Answer = tuple[int, dict[str, str], bytes]
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
_LONGEST_KEY = MAX_KEY_BYTES // 4
"""In characters, of at most four bytes each: such a key is certainly not too long."""
_NOT_WHOLE = frozenset({"range", "if-none-match"})
"""Headers for which a file may be sent in part, or not at all."""


class ObjectRequests:
    """Takes what it can answer by the short way."""

    def __init__(self, ministack: Ministack) -> None:
        """Answer from this ministack's S3."""
        self._ministack, self._storage = ministack, ministack.storage
        storage = ministack.storage
        self._aliases = storage._ACCESS_POINT_ALIAS_SUFFIX, storage._OBJECT_LAMBDA_ALIAS_SUFFIX
        self._last_modified: Callable[[str], str] = lru_cache(1024)(storage.iso_to_rfc7231)

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
            headers = (scope.get(HEADERS) or _headers(scope)) if scope["type"] == "http" else {}
            if not headers or not self._is_for_a_bucket(
                scope["path"], headers, scope["query_string"].decode("latin-1")
            ):
                await application(scope, receive, send)
                return
            body = await _body(receive) if has_body(headers) else b""
            if len(body) != int(headers.get("content-length") or 0):
                return  # the client is gone
            await self._send(send, scope, headers, body)

        return answered

    def at_once(
        self, method: str, path: str, headers: dict[str, str], body: bytes, *, is_given_away: Callable[[str], bool]
    ) -> Answer | None:
        """Answer a plain request for an object that the guard lets in, where IAM is not enforced.

        ministack's S3 is asked where it reads and writes objects, behind all that it does first for other requests:
        those with a query, of other accounts or Regions, through access points.

        Args:
            method: GET, HEAD or PUT.
            path: Decoded.
            headers: By lower-case name; none but those that a plain request may have.
            body: All of its body.
            is_given_away: Whether a bucket may be another account's.

        Returns:
            Status, headers and body; None: this is not done here, and nothing was.
        """
        # ministack keeps the account and the Region of a request in its context.
        context = Context()
        answer = context.run(self._at_once, method, path, headers, body, is_given_away)
        return None if answer is None else context.run(self._as_sent, method, path, headers, answer)

    def _at_once(
        self, method: str, path: str, headers: dict[str, str], body: bytes, is_given_away: Callable[[str], bool]
    ) -> Answer | None:
        self._ministack.take_scope(headers)
        bucket, _, key = path[1:].partition("/")
        objects = self._own_objects(bucket)
        if objects is None or not 0 < len(key) <= _LONGEST_KEY or is_given_away(bucket):
            return None
        if isinstance(objects, ServedObjects):
            if method == "PUT" and objects.served(key):
                return None
            objects.look_anew()
        if method == "PUT":
            return self._put(bucket, key, headers, body)
        try:
            return self._read(method, bucket, key, headers, objects)
        except Exception:  # noqa: BLE001 - the long way finds the same, and says so
            return None

    def _own_objects(self, bucket: str) -> dict[str, Any] | None:
        """A bucket's objects; None: it is not simply one of the caller's account, in the Region of the request."""
        record = self._storage._buckets.get(bucket)
        if record is None or bucket.endswith(self._aliases):
            return None
        if self._storage.bucket_region(bucket) != self._ministack.scope().region:
            return None
        objects: dict[str, Any] = record["objects"]
        return objects

    def _put(self, bucket: str, key: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            answer: Answer = self._storage._put_object(bucket, key, body, headers)
        except Exception:  # noqa: BLE001 - as the long way does: the client gets an answer
            _LOG.exception("PUT /%s/%s", bucket, key)
            answer = self._broken("We encountered an internal error. Please try again.")
        return answer

    def _read(
        self, method: str, bucket: str, key: str, headers: dict[str, str], objects: dict[str, Any]
    ) -> Answer | None:
        storage = self._storage
        answer: Answer
        if method == "HEAD":
            answer = storage._head_object(bucket, key, headers, {})
            return answer
        record: dict[str, Any] = objects.get(key) or {"size": 0}
        if record["size"] > _AT_ONCE:
            return None
        file = record.get("file")
        if file is None:
            answer = storage._get_object(bucket, key, headers, {})
            return answer
        if not _NOT_WHOLE.isdisjoint(headers) or headers.get("if-match", record["etag"]) != record["etag"]:
            return None
        marks = storage._object_tags, storage._object_retention, storage._object_legal_hold
        if any((bucket, key, None) in each for each in marks):
            return None
        # What ministack says of an object that has nothing but a body.
        fields = {
            "Content-Type": record["content_type"],
            "ETag": record["etag"],
            "Last-Modified": self._last_modified(record["last_modified"]),
            "Content-Length": str(len(file)),
            "Accept-Ranges": "bytes",
        }
        return 200, fields, file.encode()

    def _as_sent(self, method: str, path: str, headers: dict[str, str], answer: Answer) -> Answer:
        """An answer with what ministack adds to all of S3's."""
        fields = answer[1]
        if "x-amz-request-id" not in fields:
            fields["x-amz-request-id"] = self._storage.new_uuid()
        if "x-amz-id-2" not in fields:
            fields["x-amz-id-2"] = b64encode(os.urandom(48)).decode()
        if method == "HEAD":
            answer = self._storage.format_head_response(path, headers, answer)
        elif "Content-Length" not in fields:
            fields["Content-Length"] = str(len(answer[2]))
        answer[1]["Date"] = _date(int(time.time()))
        return answer

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
        answer = [(name.encode(), encoded(str(value))) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": answer})
        sent = len(chunk)
        while sent < len(content):
            # A file that changes by now breaks the connection off: nobody takes parts of two contents for one.
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await asyncio.to_thread(next, chunks)
            sent += len(chunk)
        await send({"type": "http.response.body", "body": chunk})

    def _broken(self, words: str) -> Answer:
        status, fields, content = self._storage._error("InternalError", words, 500)
        return status, {**fields, "Content-Length": str(len(content))}, content

    async def _answer(
        self, scope: dict[str, Any], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes | ServedFile]:
        method, path = scope["method"], scope["path"]
        asked = scope["query_string"]
        query = parse_qs(asked.decode(), keep_blank_values=True) if asked else {}
        self._ministack.take_scope(headers)
        answer = await self._storage.handle_request(method, path, headers, body, query)
        if method == "HEAD" and self._storage.is_standard_object_request(method, path, headers, query):
            answer = self._storage.format_head_response(path, headers, answer)
        status, fields, content = answer
        if method != "HEAD" and "Content-Length" not in fields:
            fields["Content-Length"] = str(len(content))
        fields["Date"] = _date(int(time.time()))
        return status, fields, content


@lru_cache(8)
def _date(timestamp: int) -> str:
    return formatdate(timestamp, usegmt=True)


def encoded(text: str) -> bytes:
    """A header's value as it is sent: S3's own in Latin-1, what others put there in UTF-8 where it must be.

    Args:
        text: The value.
    """
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
