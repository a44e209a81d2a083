"""Copying one object within S3: its bytes never come here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from batch_jobs.workloads.copy.attributes import CopyAttributes, Head
from millrace.errors import ErrorCode, ItemError, StorageError
from millrace.layout import S3Uri
from millrace.records.plan import Item
from millrace.s3.multipart import MAX_PARTS
from millrace.s3.verbs import S3

COPY_BYTES = 5 * 2**30
"""The most that CopyObject copies (S3 API reference, CopyObject); larger objects are copied in parts."""

PART_BYTES = 2**30
"""A part of such a copy, or more where there would be over 10,000; a part may have 5 GiB."""

_WITHOUT_WORDS = frozenset({"400", "403"})
"""What botocore takes for the code where an answer has no body."""


@dataclass(frozen=True)
class ObjectCopy:
    """One copy.

    Attributes:
        s3: Where.
        item: What, as planned.
        source: The object.
        destination: Where the copy goes.
        attributes: What it has besides its bytes.
        check: Raises once the job has to stop.
        copy_bytes: Up to which size it is one request.
        part_bytes: The size of a part, beyond.
    """

    s3: S3
    item: Item
    source: S3Uri
    destination: S3Uri
    attributes: CopyAttributes
    check: Callable[[], None]
    copy_bytes: int = COPY_BYTES
    part_bytes: int = PART_BYTES

    def make(self) -> tuple[int, str]:
        """Copy, and compare.

        Returns:
            The bytes copied, and what was compared: "checksum", "etag" or "size".

        Raises:
            ChangedError: The object is another one than was planned.
            StorageError: S3 refused, failed or could not be reached.
            ItemError: `COPY_DIFFERS`.
            StoppedError: The job has to stop.
        """
        condition = {"IfMatch": self.item.etag} if self.item.etag else {}
        head = self._head(self.source, **condition, **self._version)
        # A plan that was made from a manifest may not say what the object is, or wrongly.
        found = replace(self.item, etag=head["ETag"], size=head["ContentLength"])
        return replace(self, item=found).copied(head)

    def copied(self, head: Head) -> tuple[int, str]:
        """The same, once the source has been looked at; the item is what was found."""
        if self.item.size <= self.copy_bytes:
            self._copy(head)
        else:
            self._copy_parts(head)
        return self.item.size, verified_by(head, self._head(self.destination))

    @property
    def _version(self) -> dict[str, str]:
        return {} if self.item.version_id is None else {"VersionId": self.item.version_id}

    @property
    def _from(self) -> dict[str, Any]:
        """The parameters that name the source; botocore encodes the key."""
        place = {"Bucket": self.source.bucket, "Key": self.source.key, **self._version}
        return {"CopySource": place, "CopySourceIfMatch": self.item.etag}

    @property
    def _to(self) -> dict[str, Any]:
        return {"Bucket": self.destination.bucket, "Key": self.destination.key}

    def _head(self, uri: S3Uri, **given: Any) -> Head:
        place = {"Bucket": uri.bucket, "Key": uri.key}
        try:
            return self.s3.ask("head", uri, "head_object", **place, ChecksumMode="ENABLED", **given)
        except StorageError as error:
            if error.code in _WITHOUT_WORDS:
                # HEAD has no body to say why: expired credentials, a key of the customer's own, an archive.
                self.s3.open(uri, etag=given.get("IfMatch"), version_id=given.get("VersionId")).close()
            raise

    def _copy(self, head: Head) -> None:
        given = self.attributes.of_copy(self.item, head)
        self._ask("copy_object", **self._from, **self._to, **given)

    def _copy_parts(self, head: Head) -> None:
        size = self.item.size
        given = self.attributes.of_upload(self.item, head, self._tags())
        algorithm = whole_checksum(head)
        if algorithm:
            given |= {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
        begun = self._ask("create_multipart_upload", **self._to, **given)
        upload: dict[str, Any] = {**self._to, "UploadId": begun["UploadId"]}
        step = max(self.part_bytes, -(-size // MAX_PARTS))
        try:
            parts: list[Any] = []
            for number, first in enumerate(range(0, size, step), start=1):
                self.check()
                part = {"PartNumber": number, "CopySourceRange": f"bytes={first}-{min(first + step, size) - 1}"}
                made = self._ask("upload_part_copy", **upload, **self._from, **part)["CopyPartResult"]
                checksum = f"Checksum{algorithm}"
                known = {checksum: made[checksum]} if checksum in made else {}
                parts.append({"PartNumber": number, "ETag": made["ETag"], **known})
            whole: Any = {"MultipartUpload": {"Parts": parts}, **({"ChecksumType": "FULL_OBJECT"} if algorithm else {})}
            self._ask("complete_multipart_upload", **upload, **whole)
        except BaseException:
            with suppress(StorageError):
                self.s3.ask("copy", self.destination, "abort_multipart_upload", **upload)
            raise

    def _tags(self) -> dict[str, str]:
        if not self.attributes.copies_tags:
            return {}
        place: dict[str, Any] = {"Bucket": self.source.bucket, "Key": self.source.key, **self._version}
        found = self.s3.ask("get the tags", self.source, "get_object_tagging", **place)
        return {tag["Key"]: tag["Value"] for tag in found["TagSet"]}

    def _ask(self, method: str, **given: Any) -> dict[str, Any]:
        return self.s3.ask("copy", self.source, method, **given)


CHECKSUMS = ("ChecksumCRC64NVME", "ChecksumSHA256", "ChecksumCRC32C", "ChecksumCRC32", "ChecksumSHA1")


def verified_by(source: Mapping[str, Any], copy: Mapping[str, Any]) -> str:
    """Compare two answers of HeadObject, asked with ChecksumMode.

    Returns:
        What was compared beside the size: "checksum", "etag", or "size" where neither can be.

    Raises:
        ItemError: `COPY_DIFFERS`.
    """
    if copy["ContentLength"] != source["ContentLength"]:
        raise _differs("size", source["ContentLength"], copy["ContentLength"])
    for name in CHECKSUMS:
        if _whole(source, name) and _whole(copy, name):
            if copy[name] != source[name]:
                raise _differs(name, source[name], copy[name])
            return "checksum"
    if _is_md5(source) and _is_md5(copy):
        if copy["ETag"] != source["ETag"]:
            raise _differs("ETag", source["ETag"], copy["ETag"])
        return "etag"
    return "size"


def whole_checksum(head: Mapping[str, Any]) -> str | None:
    """The algorithm of a checksum over the whole object that a copy in parts can have too: "CRC64NVME"."""
    names = ("ChecksumCRC64NVME", "ChecksumCRC32C", "ChecksumCRC32")  # the others are of parts, in an upload of parts
    return next((name.removeprefix("Checksum") for name in names if _whole(head, name)), None)


def _whole(head: Mapping[str, Any], name: str) -> bool:
    """Whether that checksum is there, and over the whole object, not over checksums of its parts (which end in -N)."""
    return name in head and "-" not in head[name] and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"


def _is_md5(head: Mapping[str, Any]) -> bool:
    """Whether the ETag is the MD5 of the object's bytes (S3 API reference, Object: not in parts, not SSE-KMS)."""
    return "-" not in head["ETag"] and head.get("ServerSideEncryption", "AES256") == "AES256"


def _differs(what: str, source: object, copy: object) -> ItemError:
    return ItemError(ErrorCode.COPY_DIFFERS, f"the copy's {what} is {copy}, the source's is {source}")
