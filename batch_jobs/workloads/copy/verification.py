"""Whether a copy is what its source is: by checksum, by ETag, by size, as far as S3 tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.errors import ErrorCode, ItemError

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
