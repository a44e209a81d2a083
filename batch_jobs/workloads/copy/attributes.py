"""What a copy has besides its bytes: headers, metadata, tags, storage class, encryption; kept, or set by options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from millrace.errors import InvalidRunRequest
from millrace.records.plan import Item

Head = Mapping[str, Any]
"""What HeadObject answers."""

_HEADERS = (
    *("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Expires"),
    "WebsiteRedirectLocation",
)


class CopyAttributes:
    """The attributes of copies.

    Args:
        options: metadata, content_type, tags, keep_tags, storage_class, encryption and kms_key of the workload `copy`.

    Raises:
        InvalidRunRequest: Two options contradict each other.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._metadata: dict[str, str] = options["metadata"]
        self._content_type: str = options["content_type"]
        self._tags: dict[str, str] = options["tags"]
        self._keep_tags: bool = options["keep_tags"]
        self._storage_class: str = options["storage_class"]
        self._encryption: str = options["encryption"]
        self._kms_key: str = options["kms_key"]
        if self._kms_key and not self._encryption.startswith("aws:kms"):
            raise InvalidRunRequest("options.kms_key", self._kms_key, "given with encryption aws:kms or aws:kms:dsse")

    @property
    def copies_tags(self) -> bool:
        """Whether a copy has the tags of its source."""
        return self._keep_tags and not self._tags

    def of_copy(self, item: Item, head: Head) -> dict[str, Any]:
        """The parameters of CopyObject that decide the copy's attributes."""
        given = self._common(item, head)
        given["TaggingDirective"] = "COPY" if self.copies_tags else "REPLACE"
        if not self.copies_tags:
            given["Tagging"] = urlencode(self._tags)
        if not self._metadata and not self._content_type:
            return {**given, "MetadataDirective": "COPY"}
        return {**given, "MetadataDirective": "REPLACE", **self._headers(head)}

    def of_upload(self, item: Item, head: Head, tags: Mapping[str, str]) -> dict[str, Any]:
        """The parameters of CreateMultipartUpload, which copies nothing by itself; `tags` are the source's."""
        wanted = tags if self.copies_tags else self._tags
        return {**self._common(item, head), **self._headers(head), **({"Tagging": urlencode(wanted)} if wanted else {})}

    def _common(self, item: Item, head: Head) -> dict[str, Any]:
        # Left out, S3 takes STANDARD and the destination bucket's own encryption.
        given: dict[str, Any] = {"StorageClass": self._storage_class or item.storage_class}
        encryption, key = self._encryption, self._kms_key
        if encryption == "keep":
            encryption, key = head.get("ServerSideEncryption", ""), head.get("SSEKMSKeyId", "")
        if encryption != "bucket" and encryption:
            given["ServerSideEncryption"] = encryption
        if key:
            given["SSEKMSKeyId"] = key
        return given

    def _headers(self, head: Head) -> dict[str, Any]:
        given: dict[str, Any] = {name: head[name] for name in _HEADERS if name in head}
        # ExpiresString is the header as it came: Expires is parsed by some versions of botocore, and may be no date.
        if "ExpiresString" in head:
            given["Expires"] = head["ExpiresString"]
        if self._content_type:
            given["ContentType"] = self._content_type
        return {**given, "Metadata": self._metadata or dict(head.get("Metadata", {}))}
