"""Uploading a large file in parts. Nothing of it is visible before the last request has succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from millrace.errors import StorageError
from millrace.layout import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Answer = TypeVar("Answer")

PART_BYTES = 8_388_608
"""A file that is larger goes up in parts of this size, or larger ones where it would need more than `MAX_PARTS`."""

MAX_PARTS = 10_000
"""S3 user guide, multipart upload limits: at most 10,000 parts of 5 MiB to 5 GiB."""


class RetriedCall(Protocol):
    """`S3._call`: makes one call to S3 and retries it."""

    def __call__(self, operation: str, uri: S3Uri, call: Callable[[], Answer], /) -> Answer:
        """Make the call."""


def upload_parts(
    client: S3Client, call: RetriedCall, uri: S3Uri, file: BinaryIO, *, size: int, given: Mapping[str, Any]
) -> None:
    """Upload a file in parts, one after the other: memory for one part.

    Args:
        client: A boto3 S3 client.
        call: Makes one call to S3 and retries it.
        uri: Where to.
        file: Read from its beginning.
        size: Its size in bytes, more than 0.
        given: ContentType and Metadata of the object.

    Raises:
        StorageError: A request failed; the parts that were uploaded are thrown away.
    """
    part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
    where: dict[str, Any] = {"Bucket": uri.bucket, "Key": uri.key}
    begun = call("put", uri, lambda: client.create_multipart_upload(**where, **given))
    upload = {**where, "UploadId": begun["UploadId"]}
    try:
        parts: list[Any] = []
        for number, start in enumerate(range(0, size, part_bytes), start=1):
            file.seek(start)
            part = {**upload, "PartNumber": number, "Body": file.read(part_bytes)}
            parts.append({"PartNumber": number, "ETag": call("put", uri, _upload_part(client, part))["ETag"]})
        call("put", uri, lambda: client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}))
    except BaseException:
        # Parts that no request completes cost storage for ever, unless the bucket has a lifecycle rule for them.
        with suppress(StorageError):
            call("put", uri, lambda: client.abort_multipart_upload(**upload))
        raise


def _upload_part(client: S3Client, part: dict[str, Any]) -> Callable[[], Any]:
    return lambda: client.upload_part(**part)
