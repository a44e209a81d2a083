"""An S3 in memory, behind the methods of the boto3 client that Millrace calls.

It answers and refuses as S3 does: botocore ClientErrors, ETags, conditional writes, ranges, pages in byte order.
Nothing in it depends on time, chance or threads of its own: the clock is given, and ids are counted.

Tests inject faults through two hooks, which may raise: `before(verb, bucket, key)` instead of the call, and
`after(verb, bucket, key, answer)` once it took effect, which may also give another answer (a truncated body).
"""

from __future__ import annotations

import hashlib
import io
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from millrace.s3.requests import BotocoreRequests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
"""The storage classes whose objects cannot be read."""


@dataclass
class Stored:
    """One version of an object."""

    body: bytes
    etag: str
    version_id: str
    modified: datetime
    storage_class: str
    content_type: str
    metadata: dict[str, str]


@dataclass
class Bucket:
    """A bucket: the versions of each key, the newest last; None is a delete marker."""

    versioned: bool = False
    versions: dict[str, list[Stored | None]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)


class InMemoryS3Client:
    """The client.

    Args:
        buckets: The names of the buckets there are.
        versioned: Those of them that keep versions.
        clock: What time it is.
        page_size: The most keys that a listing's page holds.

    Attributes:
        requests: How often each verb was called.
        denied: (bucket, key) pairs that may not be read or written.
        without_key: (bucket, key) pairs whose KMS key is disabled: they cannot be read.
        before: Called before each verb takes effect.
        after: Called after each verb took effect; what it returns, if anything, is the answer.
    """

    def __init__(
        self,
        *buckets: str,
        versioned: tuple[str, ...] = (),
        clock: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC),
        page_size: int = 1000,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.denied: set[tuple[str, str]] = set()
        self.without_key: set[tuple[str, str]] = set()
        self.before: Callable[[str, str, str], None] = lambda _verb, _bucket, _key: None
        self.after: Callable[[str, str, str, dict[str, Any]], dict[str, Any] | None] = lambda *_call: None
        self._buckets = {name: Bucket(versioned=name in versioned) for name in (*buckets, *versioned)}
        self._uploads: dict[str, dict[str, Any]] = {}
        self._clock = clock
        self._page_size = page_size
        self._ids = 0
        self._lock = threading.RLock()

    # What tests put in and look at, without a request being counted or a hook called.

    def store(self, bucket: str, key: str, body: bytes, storage_class: str = "STANDARD") -> str:
        """Put an object in; returns its ETag."""
        with self._lock:
            return self._store(bucket, key, body, storage_class=storage_class).etag

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object."""
        with self._lock:
            self._remove(self._buckets[bucket], key)

    def bodies(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """The objects whose keys begin with the prefix."""
        with self._lock:
            found = self._buckets[bucket]
            newest = ((key, found.versions[key][-1]) for key in found.keys if key.startswith(prefix))
            return {key: stored.body for key, stored in newest if stored is not None}

    @property
    def stub(self) -> BotocoreRequests:
        """Requests made by this client, as `S3` takes them."""
        return BotocoreRequests(cast("S3Client", self))

    def stored(self, bucket: str, key: str) -> Stored | None:
        """The newest version of an object."""
        with self._lock:
            versions = self._buckets[bucket].versions.get(key)
            return versions[-1] if versions else None

    # The client's methods.

    def get_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """GetObject: IfMatch, VersionId, Range."""

        def call() -> dict[str, Any]:
            found = self._find("GetObject", Bucket, Key, given)
            if found.storage_class in ARCHIVED:
                raise error("InvalidObjectState", 403, "GetObject", "The object's storage class does not allow this")
            answer, body = self._described(found), found.body
            if "Range" in given:
                first, _, last = given["Range"].removeprefix("bytes=").partition("-")
                if int(first) >= len(body):
                    raise error("InvalidRange", 416, "GetObject", "The requested range is not satisfiable")
                stop = min(int(last) + 1, len(body)) if last else len(body)
                answer["ContentRange"] = f"bytes {first}-{stop - 1}/{len(body)}"
                body = body[int(first) : stop]
            answer["ContentLength"] = len(body)
            answer["Body"] = StreamingBody(io.BytesIO(body), len(body))
            return answer

        return self._do("get_object", Bucket, Key, call)

    def head_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """HeadObject: errors carry the status alone, as there is no body to say more."""

        def call() -> dict[str, Any]:
            try:
                return self._described(self._find("HeadObject", Bucket, Key, given))
            except ClientError as refusal:
                status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
                raise error(str(status), status, "HeadObject", "") from None

        return self._do("head_object", Bucket, Key, call)

    def put_object(self, *, Bucket: str, Key: str, Body: Any = b"", **given: Any) -> dict[str, Any]:  # noqa: N803
        """PutObject: IfNoneMatch, IfMatch, Metadata."""

        def call() -> dict[str, Any]:
            self._check_write("PutObject", Bucket, Key, given)
            body = Body if isinstance(Body, bytes) else Body.read()
            stored = self._store(Bucket, Key, body, **_kept(given))
            return {"ETag": stored.etag, **self._version(Bucket, stored)}

        return self._do("put_object", Bucket, Key, call)

    def copy_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """CopyObject: CopySource, CopySourceIfMatch."""

        def call() -> dict[str, Any]:
            self._check_write("CopyObject", Bucket, Key, {})
            stored = self._store(Bucket, Key, self._copied("CopyObject", given))
            return {"CopyObjectResult": {"ETag": stored.etag}, **self._version(Bucket, stored)}

        return self._do("copy_object", Bucket, Key, call)

    def delete_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """DeleteObject: IfMatch. A key that is not there is no error."""

        def call() -> dict[str, Any]:
            if self._newest(Bucket, Key) is not None:
                self._check_write("DeleteObject", Bucket, Key, given)
            self._remove(self._bucket("DeleteObject", Bucket), Key)
            return {}

        return self._do("delete_object", Bucket, Key, call)

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", **given: Any) -> dict[str, Any]:  # noqa: N803
        """ListObjectsV2: StartAfter, ContinuationToken, MaxKeys, EncodingType."""

        def call() -> dict[str, Any]:
            bucket = self._bucket("ListObjectsV2", Bucket)
            if (Bucket, "") in self.denied:
                raise error("AccessDenied", 403, "ListObjectsV2", "Access Denied")
            # Code points sort as their UTF-8 bytes do.
            after = given.get("ContinuationToken") or given.get("StartAfter", "")
            start = max(bisect_left(bucket.keys, Prefix), bisect_right(bucket.keys, after) if after else 0)
            size = min(given.get("MaxKeys", 1000), self._page_size)
            found: list[str] = []
            truncated = False
            for key in bucket.keys[start:]:
                if not key.startswith(Prefix):
                    break
                if len(found) == size:
                    truncated = True
                    break
                found.append(key)
            encode = quote_plus if given.get("EncodingType") == "url" else str
            contents = []
            for key in found:
                stored = bucket.versions[key][-1]
                assert stored is not None, "a key of the listing has a version"
                contents.append(
                    {
                        "Key": encode(key),
                        "Size": len(stored.body),
                        "ETag": stored.etag,
                        "StorageClass": stored.storage_class,
                        "LastModified": stored.modified.astimezone(UTC).isoformat(),
                    }
                )
            answer = {"KeyCount": len(found), "IsTruncated": truncated, "Contents": contents}
            if "EncodingType" in given:
                answer["EncodingType"] = given["EncodingType"]
            if truncated:
                answer["NextContinuationToken"] = found[-1]
            return answer

        return self._do("list_objects_v2", Bucket, Prefix, call)

    def create_multipart_upload(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """CreateMultipartUpload."""

        def call() -> dict[str, Any]:
            self._check_write("CreateMultipartUpload", Bucket, Key, {})
            self._ids += 1
            upload = f"upload-{self._ids}"
            self._uploads[upload] = {"given": given, "parts": {}}
            return {"UploadId": upload}

        return self._do("create_multipart_upload", Bucket, Key, call)

    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> dict[str, Any]:  # noqa: N803
        """UploadPart."""

        def call() -> dict[str, Any]:
            self._upload("UploadPart", UploadId)["parts"][PartNumber] = Body
            return {"ETag": _etag(Body)}

        return self._do("upload_part", Bucket, Key, call)

    def complete_multipart_upload(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: dict[str, Any],  # noqa: N803
        **given: Any,
    ) -> dict[str, Any]:
        """CompleteMultipartUpload: the object appears now, and at once."""

        def call() -> dict[str, Any]:
            upload = self._upload("CompleteMultipartUpload", UploadId)
            self._check_write("CompleteMultipartUpload", Bucket, Key, given)
            parts = [upload["parts"][part["PartNumber"]] for part in MultipartUpload["Parts"]]
            if any(len(part) < 5 * 2**20 for part in parts[:-1]):
                raise error("EntityTooSmall", 400, "CompleteMultipartUpload", "A part is smaller than 5 MiB")
            del self._uploads[UploadId]
            joined = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
            stored = self._store(
                Bucket, Key, b"".join(parts), etag=f'"{joined}-{len(parts)}"', **_kept(upload["given"])
            )
            return {"ETag": stored.etag, **self._version(Bucket, stored)}

        return self._do("complete_multipart_upload", Bucket, Key, call)

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:  # noqa: N803
        """AbortMultipartUpload."""

        def call() -> dict[str, Any]:
            self._uploads.pop(UploadId, None)
            return {}

        return self._do("abort_multipart_upload", Bucket, Key, call)

    @property
    def unfinished_uploads(self) -> int:
        """How many multipart uploads were begun and neither completed nor aborted."""
        return len(self._uploads)

    def _do(self, verb: str, bucket: str, key: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            self.requests[verb] += 1
        self.before(verb, bucket, key)
        if verb != "list_objects_v2" and len(key.encode()) > 1024:
            raise error("KeyTooLongError", 400, verb, "Your key is too long")
        with self._lock:
            answer = call()
        changed = self.after(verb, bucket, key, answer)
        return answer if changed is None else changed

    def _bucket(self, operation: str, name: str) -> Bucket:
        if name not in self._buckets:
            raise error("NoSuchBucket", 404, operation, "The specified bucket does not exist")
        return self._buckets[name]

    def _newest(self, bucket: str, key: str) -> Stored | None:
        versions = self._buckets[bucket].versions.get(key) if bucket in self._buckets else None
        return versions[-1] if versions else None

    def _find(self, operation: str, bucket: str, key: str, given: dict[str, Any]) -> Stored:
        versions = self._bucket(operation, bucket).versions.get(key, [])
        if (bucket, key) in self.denied:
            raise error("AccessDenied", 403, operation, "Access Denied")
        wanted = given.get("VersionId")
        if wanted is None:
            found = versions[-1] if versions else None
            code = "NoSuchKey"
        else:
            found = next((one for one in versions if one and one.version_id == wanted), None)
            code = "NoSuchVersion"
        if found is None:
            raise error(code, 404, operation, "The specified key does not exist.")
        if given.get("IfMatch") not in {None, found.etag}:
            raise error("PreconditionFailed", 412, operation, "At least one of the pre-conditions did not hold")
        if (bucket, key) in self.without_key:
            raise error("KMS.DisabledException", 400, operation, "The key is disabled")
        return found

    def _copied(self, operation: str, given: dict[str, Any]) -> bytes:
        """The bytes that a copy is made of."""
        place = given["CopySource"]
        wanted = {"IfMatch": given["CopySourceIfMatch"], "VersionId": place.get("VersionId")}
        found = self._find(operation, place["Bucket"], place["Key"], wanted)
        if found.storage_class in ARCHIVED:
            raise error("InvalidObjectState", 403, operation, "The object's storage class does not allow this")
        return found.body

    def _check_write(self, operation: str, bucket: str, key: str, given: dict[str, Any]) -> None:
        self._bucket(operation, bucket)
        if (bucket, key) in self.denied:
            raise error("AccessDenied", 403, operation, "Access Denied")
        newest = self._newest(bucket, key)
        absent = "IfNoneMatch" in given and newest is not None
        other = "IfMatch" in given and (newest is None or newest.etag != given["IfMatch"])
        if absent or other:
            raise error("PreconditionFailed", 412, operation, "At least one of the pre-conditions did not hold")

    def _store(self, bucket: str, key: str, body: bytes, etag: str | None = None, **kept: Any) -> Stored:
        found = self._buckets[bucket]
        self._ids += 1
        stored = Stored(
            body=body,
            etag=etag or _etag(body),
            version_id=f"v{self._ids:08d}" if found.versioned else "null",
            modified=self._clock(),
            storage_class=kept.get("storage_class", "STANDARD"),
            content_type=kept.get("content_type", "binary/octet-stream"),
            metadata=kept.get("metadata", {}),
        )
        if not found.versions.get(key) or found.versions[key][-1] is None:
            insort(found.keys, key)
        if found.versioned:
            found.versions.setdefault(key, []).append(stored)
        else:
            found.versions[key] = [stored]
        return stored

    def _remove(self, bucket: Bucket, key: str) -> None:
        if not bucket.versions.get(key) or bucket.versions[key][-1] is None:
            return
        bucket.keys.remove(key)
        if bucket.versioned:
            bucket.versions[key].append(None)
        else:
            del bucket.versions[key]

    def _upload(self, operation: str, upload: str) -> dict[str, Any]:
        if upload not in self._uploads:
            raise error("NoSuchUpload", 404, operation, "The specified upload does not exist")
        return self._uploads[upload]

    def _described(self, stored: Stored) -> dict[str, Any]:
        return {
            "ETag": stored.etag,
            "ContentLength": len(stored.body),
            "ContentType": stored.content_type,
            "Metadata": dict(stored.metadata),
            "LastModified": format_datetime(stored.modified.astimezone(UTC), usegmt=True),  # as new_client leaves it
            "StorageClass": stored.storage_class,
            **({} if stored.version_id == "null" else {"VersionId": stored.version_id}),
        }

    def _version(self, bucket: str, stored: Stored) -> dict[str, str]:
        return {"VersionId": stored.version_id} if self._buckets[bucket].versioned else {}


def error(code: str, status: int, operation: str = "Operation", message: str = "") -> ClientError:
    """A refusal as S3 gives it."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": cast("Any", {"HTTPStatusCode": status})},
        operation,
    )


def slow_down() -> ClientError:
    """503 SlowDown."""
    return error("SlowDown", 503, message="Please reduce your request rate.")


def truncated(answer: dict[str, Any], length: int) -> dict[str, Any]:
    """The answer of `get_object` with a body that ends after `length` bytes, though ContentLength says more."""
    body = answer["Body"].read()
    return {**answer, "Body": StreamingBody(io.BytesIO(body[:length]), answer["ContentLength"])}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _kept(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "content_type": given.get("ContentType", "binary/octet-stream"),
        "metadata": dict(given.get("Metadata", {})),
    }
