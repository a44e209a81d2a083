"""GetObject and PutObject by obstore, whose small request costs a tenth of botocore's CPU; all else by botocore.

obstore is asked for what it carries unchanged and understands; botocore for the rest: keys that obstore would alter or
refuse, listings, parts of an upload, deletions, and any answer that obstore does not understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http.client import responses
from typing import Any, Protocol
from xml.etree import ElementTree as ET

import obstore
from obstore.exceptions import BaseError

from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.s3.errors import refused
from millrace.s3.header_values import content_type_fault, metadata_fault
from millrace.s3.requests import Content, Requests

FAILURES = (BaseError, OSError)
"""What obstore raises: its own errors, and FileNotFoundError for 404."""

_AT_ONCE = 262_144
"""A body is read from the connection in steps of up to this many bytes."""

_NOT_CARRIED = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f]")
"""An empty, `.` or `..` segment, a slash at either end, a control character: object_store, `Path::parse`."""

_OWN_ATTRIBUTES = frozenset(
    {"content-type", "content-disposition", "content-encoding", "content-language", "cache-control", "storage-class"}
)
"""What obstore takes for a header of the object rather than for metadata."""

_REFUSED = re.compile(
    r"Error performing [A-Z]+ \S+ in \S+ - Server returned non-2xx status code: (\d{3})[^:]*: (.*)", re.DOTALL
)
_UNREACHED = re.compile(r"HTTP error: ([^\n]*)")

_BOTOCORE_KNOWS = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"}
)
"""The bucket is in another Region: botocore follows the redirect."""


class Stores(Protocol):
    """Where obstore's stores come from: `batch_jobs.s3.obstore_stores`."""

    def store(self, bucket: str) -> Any:
        """The store of a bucket; None where botocore has to be asked."""

    def only_reads(self, bucket: str) -> bool:
        """Whether the bucket's store shows no credentials: nothing is written by it."""

    def answered(self, bucket: str) -> bool:
        """Whether S3 has answered the bucket's store yet."""

    def trust(self, bucket: str) -> None:
        """S3 has answered the bucket's store."""

    def doubt(self, bucket: str) -> None:
        """Botocore had to be asked for what the bucket's store was asked for; after a few times it is asked alone."""

    def paying(self, bucket: str) -> Stores:
        """The same, with what reads this bucket on the bill of who asks."""


def carries(key: str) -> bool:
    """Whether obstore asks for just this key."""
    return _NOT_CARRIED.search(key) is None


class ObstoreRequests:
    """Requests by obstore where it can make them, else by botocore. Safe to use from several threads.

    Args:
        botocore: Makes all other requests.
        stores: Obstore's stores, by bucket.
    """

    def __init__(self, botocore: Requests, stores: Stores) -> None:
        self._botocore = botocore
        self._stores = stores
        self.ask = botocore.ask

    def paying(self, bucket: str) -> ObstoreRequests:
        """The same requests, with what reads this bucket on the bill of who asks."""
        return ObstoreRequests(self._botocore.paying(bucket), self._stores.paying(bucket))

    def get(
        self,
        uri: S3Uri,
        *,
        etag: str | None = None,
        version_id: str | None = None,
        first_byte: int | None = None,
        last_byte: int | None = None,
    ) -> Content:
        """GetObject.

        Raises:
            StorageError: The request failed.
        """
        store = self._stores.store(uri.bucket) if carries(uri.key) else None
        if store is not None:
            options: Any = {}
            if etag:
                options["if_match"] = etag
            if version_id is not None:
                options["version"] = version_id
            if first_byte is not None:
                options["range"] = {"offset": first_byte} if last_byte is None else (first_byte, last_byte + 1)
            try:
                result = obstore.get(store, uri.key, options=options)
                meta = result.meta
                first, end = result.range
                self._stores.trust(uri.bucket)
                return Content(_ObstoreBody(result, end - first, uri), end - first, meta["size"], meta["e_tag"] or "")
            except FAILURES as failure:
                self._doubt_or_raise(failure, "get", uri)
        return self._botocore.get(uri, etag=etag, version_id=version_id, first_byte=first_byte, last_byte=last_byte)

    def put(
        self,
        uri: S3Uri,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_etag: str | None = None,
    ) -> None:
        """PutObject.

        Raises:
            StorageError: The request failed.
        """
        attributes = dict(metadata or {})
        carried = carries(uri.key) and all(name.lower() not in _OWN_ATTRIBUTES for name in attributes)
        # obstore panics at what no header can hold; botocore says what is wrong.
        carried = carried and content_type_fault(content_type) is None and metadata_fault(attributes) is None
        carried = carried and not self._stores.only_reads(uri.bucket)
        store = self._stores.store(uri.bucket) if carried else None
        if store is not None:
            attributes["Content-Type"] = content_type
            mode: Any = "create" if if_absent else "overwrite" if if_etag is None else {"e_tag": if_etag}
            try:
                obstore.put(store, uri.key, body, attributes=attributes, mode=mode, use_multipart=False)
            except FAILURES as failure:
                self._doubt_or_raise(failure, "put", uri)
            else:
                self._stores.trust(uri.bucket)
                return
        self._botocore.put(
            uri, body, content_type=content_type, metadata=metadata, if_absent=if_absent, if_etag=if_etag
        )

    def _doubt_or_raise(self, failure: Exception, operation: str, uri: S3Uri) -> None:
        """Raise what obstore's error means; return where botocore is to be asked."""
        error = storage_error_of(failure, operation, uri)
        if error is not None and error.http_status:
            self._stores.trust(uri.bucket)
        elif error is None or not self._stores.answered(uri.bucket):
            # A redirect to another Region, say: what botocore makes of it counts. Or it never got through: its
            # certificates may be others than botocore's, or the proxy.
            self._stores.doubt(uri.bucket)
            return
        raise error from failure


class _ObstoreBody:
    """An object's bytes on their way."""

    def __init__(self, result: Any, length: int, uri: S3Uri) -> None:
        self._result = result
        self._uri = uri
        self._at_once = length <= _AT_ONCE
        self._chunks: Iterator[Any] | None = None
        self._rest = memoryview(b"")

    def read(self, amount: int) -> bytes:
        """So many bytes at most; none at the end.

        Raises:
            StorageError: The connection broke.
        """
        if not self._rest:
            if self._result is None:
                return b""
            try:
                self._rest = memoryview(self._next())
            except FAILURES as failure:
                raise _broken(
                    "ResponseStreamingError",
                    f"the connection broke: {_first_line(failure)}",
                    "get",
                    self._uri,
                ) from failure
        taken, self._rest = self._rest[:amount], self._rest[amount:]
        return bytes(taken)

    def close(self) -> None:
        """Release the connection."""
        self._result = self._chunks = None

    def _next(self) -> Any:
        if self._at_once:
            result, self._result = self._result, None
            return result.bytes()
        if self._chunks is None:
            self._chunks = iter(self._result.stream(min_chunk_size=_AT_ONCE))
        return next(self._chunks, b"")


def storage_error_of(failure: Exception, operation: str, uri: S3Uri) -> StorageError | None:
    """The StorageError that obstore's error means; None where botocore should be asked.

    Args:
        failure: Its text holds the status and the body of S3's answer, and an account of itself below them.
        operation: The verb: "get".
        uri: The object, whose key the text may begin with.
    """
    text = str(failure).partition("\n\nDebug source:\n")[0]
    text = text.partition(uri.key)[2] or text  # whatever a key says, it is no status
    answer = _REFUSED.search(text)
    if answer is None:
        unreached = _UNREACHED.search(text)
        if unreached is None:
            return None
        return _broken("HTTPClientError", f"S3 could not be reached: {unreached[1]}", operation, uri)
    status, body = int(answer[1]), answer[2]
    # As botocore has it where there is no body to say more.
    code, message = str(status), responses.get(status, "")
    if body:
        try:
            root = ET.fromstring(body)  # noqa: S314 - S3's answer over TLS, no DTD in it
        except ET.ParseError:
            return None
        code, message = root.findtext("Code", ""), root.findtext("Message", "")
    if status < 400 or not code or code in _BOTOCORE_KNOWS:
        return None
    return refused(code, message, status, operation, uri)


def _broken(code: str, message: str, operation: str, uri: S3Uri) -> StorageError:
    """A broken connection, under the code that botocore's error would give it."""
    return StorageError(message, operation=operation, target=str(uri), code=code, transient=True)


def _first_line(failure: Exception) -> str:
    return str(failure).partition("\n")[0]
