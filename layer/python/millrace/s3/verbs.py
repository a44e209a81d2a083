"""The few S3 verbs that Millrace uses: retried, and with errors of the StorageError tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Self

from millrace.errors import ChangedError, ObjectNotFoundError, StorageError
from millrace.layout import S3Uri
from millrace.s3.client import new_client
from millrace.s3.listing_page import ListedObject, Page, objects_of
from millrace.s3.multipart import PART_BYTES, upload_parts
from millrace.s3.reader import ObjectReader, read_small
from millrace.s3.requests import BotocoreRequests, Requests
from millrace.s3.retry import Backoff

__all__ = ["S3", "ListedObject", "ObjectHead", "connect"]


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD says of an object; size in bytes, the ETag with its quotes, the user's metadata."""

    size: int
    etag: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class S3:
    """S3, as far as Millrace needs it. Safe to use from several threads.

    Every verb may raise StorageError: the subclass says why, the message names the verb and the URI.

    Attributes:
        requests: Makes single requests.
        backoff: How they are retried, beyond botocore's own retries.
    """

    requests: Requests
    backoff: Backoff = field(default_factory=Backoff)

    def paying(self, bucket: str) -> Self:
        """The same S3, with what reads this bucket on the bill of who asks: Requester Pays."""
        return replace(self, requests=self.requests.paying(bucket))

    def list(
        self, bucket: str, prefix: str = "", start_after: str = "", *, page_size: int | None = None
    ) -> Iterator[ListedObject]:
        """Every object whose key begins with the prefix, in the order of the keys' UTF-8 bytes, page by page.

        Args:
            bucket: The bucket.
            prefix: The keys' beginning; empty for the whole bucket.
            start_after: Only keys behind this one.
            page_size: How many to ask for at once; None for as many as S3 gives, a thousand.
        """
        for page, _ in self._pages(bucket, prefix, start_after, page_size):
            yield from page

    def list_page(self, bucket: str, prefix: str = "", start_after: str = "") -> tuple[Page, bool]:
        """The first objects behind a key, as many as S3 gives at once: a thousand at most.

        Returns:
            The objects, as `list` gives them, and whether there are more behind the last.
        """
        return next((page for page in self._pages(bucket, prefix, start_after) if page[0]), ([], False))

    def open(
        self,
        uri: S3Uri,
        *,
        etag: str | None = None,
        version_id: str | None = None,
        first_byte: int | None = None,
        last_byte: int | None = None,
    ) -> ObjectReader:
        """Begin to read an object, or a range of its bytes.

        Args:
            uri: The object.
            etag: Read only if this still is its ETag.
            version_id: Read this version.
            first_byte: Where the range starts, counted from 0; None for the object's beginning.
            last_byte: The range's last byte, inclusive; None for the object's end.

        Raises:
            ChangedError: Its ETag is another one.
        """
        return ObjectReader(
            self.requests,
            self.backoff,
            uri,
            etag=etag,
            version_id=version_id,
            first_byte=first_byte,
            last_byte=last_byte,
        )

    def read(self, uri: S3Uri) -> bytes:
        """A whole object at once."""
        with self.open(uri) as chunks:
            return b"".join(chunks)

    def read_small(
        self, uri: S3Uri, most_bytes: int, *, etag: str | None = None, version_id: str | None = None
    ) -> bytes | None:
        """A small object at once, for less than `open` costs; where the connection breaks, it is read again.

        Args:
            uri: The object.
            most_bytes: How long it may be.
            etag: Read only if this still is its ETag.
            version_id: Read this version.

        Returns:
            Its bytes; None where it is longer.

        Raises:
            ChangedError: Its ETag is another one.
        """
        return self.backoff.run(lambda: read_small(self.requests, uri, most_bytes, etag, version_id))

    def head(self, uri: S3Uri) -> ObjectHead:
        """Size, ETag and metadata of an object."""
        answer = self.ask("head", uri, "head_object", Bucket=uri.bucket, Key=uri.key)
        return ObjectHead(answer["ContentLength"], answer["ETag"], answer["Metadata"])

    def put(
        self,
        uri: S3Uri,
        body: bytes | BinaryIO,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object, over what is there: in one request, or in parts where it is a large file.

        Args:
            uri: Where to.
            body: The bytes, or a file that can be rewound; it is read from its beginning.
            content_type: The object's Content-Type.
            metadata: The object's user-defined metadata; ASCII.
        """
        if not isinstance(body, bytes):
            size = body.seek(0, 2)
            if size > PART_BYTES:
                given = {"ContentType": content_type, "Metadata": dict(metadata or {})}
                upload_parts(self.ask, uri, body, size=size, given=given)
                return
            body.seek(0)
            body = body.read()
        whole = body
        self.backoff.run(lambda: self.requests.put(uri, whole, content_type=content_type, metadata=metadata))

    def put_if_absent(self, uri: S3Uri, body: bytes, *, content_type: str = "application/octet-stream") -> bool:
        """Write an object unless there is one: `If-None-Match: *`.

        Returns:
            Whether it was written. False also where an earlier try of this very call wrote it and its answer was lost:
            who needs to know compares what is there.
        """
        return self._put_if(uri, body, content_type=content_type, if_absent=True)

    def put_if_same(
        self, uri: S3Uri, body: bytes, etag: str, *, content_type: str = "application/octet-stream"
    ) -> bool:
        """Write an object over the one with this ETag: `If-Match`.

        Returns:
            Whether it was written; False as for `put_if_absent`.

        Raises:
            ObjectNotFoundError: There is none any more.
        """
        return self._put_if(uri, body, content_type=content_type, if_etag=etag)

    def put_if_unchanged(
        self, uri: S3Uri, body: bytes, etag: str | None, *, content_type: str = "application/octet-stream"
    ) -> bool:
        """Write an object if there still is what was read.

        Args:
            uri: The object.
            body: Its new content.
            etag: The ETag that was read; None: there was no object.
            content_type: Its media type.

        Returns:
            Whether it was written; False as for `put_if_absent`, and where the object was deleted meanwhile.
        """
        if etag is None:
            return self.put_if_absent(uri, body, content_type=content_type)
        try:
            return self.put_if_same(uri, body, etag, content_type=content_type)
        except ObjectNotFoundError:
            return False

    def delete(self, uri: S3Uri, *, etag: str | None = None) -> None:
        """Delete an object; one that is not there is no error.

        Args:
            uri: The object.
            etag: Delete only if this still is its ETag.

        Raises:
            ChangedError: Its ETag is another one.
        """
        given: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        self.ask("delete", uri, "delete_object", Bucket=uri.bucket, Key=uri.key, **given)

    def ask(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """Any other request, by botocore's name and with botocore's parameters and answer.

        Args:
            operation: What an error calls it: "copy".
            uri: The object that an error names.
            method: "copy_object".
            given: The method's parameters.
        """
        return self.backoff.run(lambda: self.requests.ask(operation, uri, method, **given))

    def _pages(
        self, bucket: str, prefix: str, start_after: str, page_size: int | None = None
    ) -> Iterator[tuple[Page, bool]]:
        uri = S3Uri(bucket, prefix)
        # XML 1.0 cannot carry every character that a key may have. botocore decodes keys only where it chose the
        # encoding itself, so `objects_of` does.
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "EncodingType": "url"}
        if start_after:
            request["StartAfter"] = start_after
        if page_size is not None:
            request["MaxKeys"] = page_size
        more = True
        while more:
            page = self.ask("list", uri, "list_objects_v2", **request)
            more = bool(page.get("IsTruncated"))
            yield objects_of(page), more
            request["ContinuationToken"] = page.get("NextContinuationToken")

    def _put_if(self, uri: S3Uri, body: bytes, **given: Any) -> bool:
        try:
            self.backoff.run(lambda: self.requests.put(uri, body, **given))
        except ChangedError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ReadOnce(S3):
    """An S3 that reads each whole object once: for code whose parts need the same small documents."""

    _read: dict[S3Uri, bytes | StorageError] = field(default_factory=dict)

    def read(self, uri: S3Uri) -> bytes:
        """A whole object at once; the next time, the same bytes, or the same error unless it was transient."""
        if uri not in self._read:
            try:
                self._read[uri] = S3.read(self, uri)
            except StorageError as error:
                if error.transient:
                    raise
                self._read[uri] = error
        found = self._read[uri]
        if isinstance(found, StorageError):
            raise found
        return found


def connect(*, connections: int = 10, backoff: Backoff | None = None) -> S3:
    """An S3 that finds endpoint, region and credentials by botocore's own environment.

    Args:
        connections: How many calls may be under way at once.
        backoff: How calls are retried beyond botocore's own retries.
    """
    return S3(BotocoreRequests(new_client(connections)), backoff or Backoff())
