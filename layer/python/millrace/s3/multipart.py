"""Uploading a large file in parts. Nothing of it is visible before the last request has succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

from millrace.errors import StorageError
from millrace.layout import S3Uri

PART_BYTES = 8_388_608
"""A file that is larger goes up in parts of this size, or larger ones where it would need more than `MAX_PARTS`."""

MAX_PARTS = 10_000
"""S3 user guide, multipart upload limits: at most 10,000 parts of 5 MiB to 5 GiB."""


class Ask(Protocol):
    """`S3.ask`: makes one request and retries it."""

    def __call__(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """Make the request."""


def upload_parts(ask: Ask, uri: S3Uri, file: BinaryIO, *, size: int, given: Mapping[str, Any]) -> None:
    """Upload a file in parts, one after the other: memory for one part.

    Args:
        ask: Makes one request and retries it.
        uri: Where to.
        file: Read from its beginning.
        size: Its size in bytes, more than 0.
        given: ContentType and Metadata of the object.

    Raises:
        StorageError: A request failed; the parts that were uploaded are thrown away.
    """
    part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
    where: dict[str, Any] = {"Bucket": uri.bucket, "Key": uri.key}
    upload = {**where, "UploadId": ask("put", uri, "create_multipart_upload", **where, **given)["UploadId"]}
    try:
        parts: list[Any] = []
        for number, start in enumerate(range(0, size, part_bytes), start=1):
            file.seek(start)
            made = ask("put", uri, "upload_part", **upload, PartNumber=number, Body=file.read(part_bytes))
            parts.append({"PartNumber": number, "ETag": made["ETag"]})
        ask("put", uri, "complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # Parts that no request completes cost storage forever, unless the bucket has a lifecycle rule for them.
        with suppress(StorageError):
            ask("put", uri, "abort_multipart_upload", **upload)
        raise
