"""GetObject and PutObject by obstore, whose small request costs a tenth of botocore's CPU; all else by botocore.

Both clients stand behind the same verbs (`millrace.s3.verbs.S3`): this one has the methods of botocore's, gives the
same answers and raises the same errors. It is asked for what it carries unchanged and understands; botocore for the
rest: keys that obstore would alter or refuse, listings, parts of an upload, deletions, and any answer that obstore
makes nothing of.
"""

from __future__ import annotations

import re
from typing import Any, Protocol, cast

import obstore
from botocore.exceptions import ClientError

from batch_jobs.s3.obstore_body import FAILURES, ObstoreBody
from batch_jobs.s3.obstore_errors import botocore_error
from millrace.s3.header_values import content_type_fault, metadata_fault

_NOT_CARRIED = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f-\x9f]")
"""An empty, `.` or `..` segment, a slash at either end, a control character: object_store, `Path::parse`."""

_GET = frozenset({"IfMatch", "VersionId", "Range"})
_PUT = frozenset({"Body", "ContentType", "Metadata", "IfNoneMatch", "IfMatch"})
_OWN_ATTRIBUTES = frozenset(
    {"content-type", "content-disposition", "content-encoding", "content-language", "cache-control", "storage-class"}
)
"""What obstore takes for a header of the object rather than for metadata."""


class Stores(Protocol):
    """Where obstore's stores come from: `batch_jobs.s3.obstore_stores`."""

    def store(self, bucket: str) -> Any:
        """The store of a bucket; None where botocore has to be asked."""

    def answered(self, bucket: str) -> bool:
        """Whether S3 has answered the bucket's store yet."""

    def trust(self, bucket: str) -> None:
        """S3 has answered the bucket's store."""

    def doubt(self, bucket: str) -> None:
        """Botocore had to be asked for what the bucket's store was asked for; after a few times it is asked alone."""


def carries(key: str) -> bool:
    """Whether obstore asks for just this key."""
    return _NOT_CARRIED.search(key) is None


class ObstoreClient:
    """A client with the methods of botocore's S3 client. Safe to use from several threads.

    Args:
        client: Botocore's.
        stores: Obstore's stores, by bucket.
    """

    def __init__(self, client: Any, stores: Stores) -> None:
        self._client = client
        self._stores = stores

    def __getattr__(self, name: str) -> Any:
        """What botocore's client has."""
        return getattr(self._client, name)

    def get_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        """GetObject: IfMatch, VersionId, Range.

        Raises:
            ClientError: S3 refused.
            BotoCoreError: S3 could not be reached.
        """
        store = self._stores.store(Bucket) if _GET.issuperset(given) and carries(Key) else None
        if store is None:
            return cast("dict[str, Any]", self._client.get_object(Bucket=Bucket, Key=Key, **given))
        options: Any = {}
        if "IfMatch" in given:
            options["if_match"] = given["IfMatch"]
        if "VersionId" in given:
            options["version"] = given["VersionId"]
        if "Range" in given:
            options["range"] = _range(given["Range"])
        answer: dict[str, Any]
        try:
            answer = _got(obstore.get(store, Key, options=options), ranged="Range" in given)
        except FAILURES as failure:
            self._doubt_or_raise(failure, "GetObject", Bucket, Key)
            answer = self._client.get_object(Bucket=Bucket, Key=Key, **given)
        else:
            self._stores.trust(Bucket)
        return answer

    def put_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        """PutObject: Body, ContentType, Metadata, IfNoneMatch, IfMatch.

        Raises:
            ClientError: S3 refused.
            BotoCoreError: S3 could not be reached.
        """
        body, metadata = given.get("Body", b""), given.get("Metadata", {})
        carried = _PUT.issuperset(given) and isinstance(body, bytes) and carries(Key)
        carried = carried and all(name.lower() not in _OWN_ATTRIBUTES for name in metadata)
        # obstore panics at what no header can hold; botocore says what is wrong.
        carried = carried and content_type_fault(given.get("ContentType", "x")) is None
        carried = carried and metadata_fault(metadata) is None
        store = self._stores.store(Bucket) if carried else None
        if store is None:
            return cast("dict[str, Any]", self._client.put_object(Bucket=Bucket, Key=Key, **given))
        attributes = dict(metadata)
        if "ContentType" in given:
            attributes["Content-Type"] = given["ContentType"]
        mode: Any = "create" if "IfNoneMatch" in given else "overwrite"
        if "IfMatch" in given:
            mode = {"e_tag": given["IfMatch"]}

        answer: dict[str, Any]
        try:
            written = obstore.put(store, Key, body, attributes=attributes, mode=mode, use_multipart=False)
        except FAILURES as failure:
            self._doubt_or_raise(failure, "PutObject", Bucket, Key)
            answer = self._client.put_object(Bucket=Bucket, Key=Key, **given)
        else:
            self._stores.trust(Bucket)
            answer = {"ETag": written["e_tag"]}
        return answer

    def _doubt_or_raise(self, failure: Exception, operation: str, bucket: str, key: str) -> None:
        """Raise what obstore's error means; return where botocore is to be asked."""
        error = botocore_error(failure, operation, key)
        if isinstance(error, ClientError):
            self._stores.trust(bucket)
        elif error is None or not self._stores.answered(bucket):
            # A redirect to another Region, say: what botocore makes of it counts. Or it never got through: its
            # certificates may be others than botocore's, or the proxy.
            self._stores.doubt(bucket)
            return
        raise error from failure


def _range(text: str) -> Any:
    """A Range header as obstore has it: `bytes=5-9`, `bytes=5-`."""
    first, _, last = text.removeprefix("bytes=").partition("-")
    return (int(first), int(last) + 1) if last else {"offset": int(first)}


def _got(result: Any, *, ranged: bool) -> dict[str, Any]:
    meta = result.meta
    first, end = result.range
    answer = {"Body": ObstoreBody(result, end - first), "ContentLength": end - first, "ETag": meta["e_tag"]}
    if ranged:
        answer["ContentRange"] = f"bytes {first}-{end - 1}/{meta['size']}"
    return answer
