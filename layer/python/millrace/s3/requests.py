"""Single requests to S3: the protocol that the verbs are built on, and its implementation on botocore.

A request is tried once, apart from botocore's own retries, and raises a StorageError when it fails: `millrace.s3.verbs`
retries, so every implementation is retried alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError

from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.s3.errors import storage_error, storage_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


PAYER = "requester"
"""What says that who asks knows that they pay: S3 user guide, Requester Pays."""

_PAID = frozenset(
    {"list_objects_v2", "head_object", "get_object", "get_object_tagging", "copy_object", "upload_part_copy"}
)
"""The requests that read and can say so."""


class Body(Protocol):
    """An object's bytes, as they arrive."""

    def read(self, amount: int) -> bytes:
        """At most this many bytes; none at the end.

        Raises:
            StorageError: The connection broke, or the bytes do not match their checksum.
        """

    def close(self) -> None:
        """Release the connection."""


@dataclass(slots=True)
class Content:
    """The answer to a GET.

    Attributes:
        body: The bytes asked for.
        length: How many bytes the body has.
        object_length: How many bytes the object has, also where only a range was asked for.
        etag: The object's ETag, with its quotes.
    """

    body: Body
    length: int
    object_length: int
    etag: str


class Requests(Protocol):
    """Single requests to S3. Safe to use from several threads."""

    def paying(self, bucket: str) -> Requests:
        """The same requests, with what reads this bucket on the bill of who asks: `x-amz-request-payer`."""

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

        Args:
            uri: The object.
            etag: Only if this is its ETag.
            version_id: This version.
            first_byte: Where the range starts, counted from 0; None for the whole object.
            last_byte: The range's last byte, inclusive; None for the object's end.

        Raises:
            StorageError: The request failed.
        """

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

        Args:
            uri: The object.
            body: Its bytes.
            content_type: Its Content-Type.
            metadata: Its user-defined metadata; ASCII.
            if_absent: Only if there is no such object.
            if_etag: Only over the object with this ETag.

        Raises:
            StorageError: The request failed.
        """

    def ask(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """Any other request, by botocore's name and with botocore's parameters and answer.

        Args:
            operation: What an error calls it: "head".
            uri: The object that an error names.
            method: "head_object".
            given: The method's parameters.

        Raises:
            StorageError: The request failed.
        """


@dataclass(frozen=True, slots=True)
class BotocoreRequests:
    """Requests by botocore.

    Attributes:
        client: A boto3 S3 client.
        paid: The buckets whose reads are on the bill of who asks.
    """

    client: S3Client
    paid: frozenset[str] = frozenset()

    def paying(self, bucket: str) -> BotocoreRequests:
        """The same requests, with what reads this bucket on the bill of who asks."""
        return replace(self, paid=self.paid | {bucket})

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
        given: dict[str, Any] = {}
        if etag:
            given["IfMatch"] = etag
        if version_id is not None:
            given["VersionId"] = version_id
        if first_byte is not None:
            given["Range"] = f"bytes={first_byte}-{'' if last_byte is None else last_byte}"
        if uri.bucket in self.paid:
            given["RequestPayer"] = PAYER
        with storage_errors("get", uri):
            answer = self.client.get_object(Bucket=uri.bucket, Key=uri.key, **given)
        length = answer["ContentLength"]
        object_length = length
        if first_byte is not None:
            if "ContentRange" not in answer:
                raise StorageError(
                    "the whole object came where a range was asked for", operation="get", target=str(uri), of_item=True
                )
            object_length = int(answer["ContentRange"].rpartition("/")[2])
        return Content(_BotocoreBody(answer["Body"], uri), length, object_length, answer["ETag"])

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
        given: dict[str, Any] = {"Body": body, "ContentType": content_type}
        if metadata:
            given["Metadata"] = dict(metadata)
        if if_absent:
            given["IfNoneMatch"] = "*"
        if if_etag is not None:
            given["IfMatch"] = if_etag
        self.ask("put", uri, "put_object", Bucket=uri.bucket, Key=uri.key, **given)

    def ask(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """Any other request.

        Raises:
            StorageError: The request failed.
        """
        if self.paid and method in _PAID and _bucket_read(given) in self.paid:
            given["RequestPayer"] = PAYER
        with storage_errors(operation, uri):
            answer: dict[str, Any] = getattr(self.client, method)(**given)
        return answer


def _bucket_read(given: Mapping[str, Any]) -> str:
    """The bucket that a request reads: of a copy, the source's."""
    source: Mapping[str, str] = given.get("CopySource", given)
    return source["Bucket"]


@dataclass(slots=True)
class _BotocoreBody:
    body: Any
    uri: S3Uri

    def read(self, amount: int) -> bytes:
        try:
            content: bytes = self.body.read(amount)
        except (BotoCoreError, OSError) as error:
            raise storage_error(error, "get", self.uri) from error
        return content

    def close(self) -> None:
        self.body.close()
