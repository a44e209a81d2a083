"""The S3 of `benchmarks.reuse`: a source that is computed, not stored, and changes as asked; all else is on disk.

So the memory that a plan job takes is its own. What the answers cost is noted, to be taken off.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import threading
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millrace.errors import ChangedError, ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.s3.listing_page import take_objects
from millrace.s3.requests import Content

SOURCE = S3Uri("letters", "documents/")
PAGE = 1000
SIZE = 10_000
"""The bytes of an object."""

Row = tuple[bytes, bytes, bytes]
"""An object: its key, its ETag between the quotes, and its size."""

_HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>letters</Name><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>"
)
_WRITTEN = (
    b"<Contents><Key>%b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;%b&quot;</ETag>"
    b"<Size>%b</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_TAIL = b"</ListBucketResult>"
"""An answer to ListObjectsV2, as S3 writes it; no key here has a character that it would encode."""

KINDS, PLACES = ("inserted", "changed", "deleted"), ("one place", "scattered")


@dataclass(frozen=True)
class Change:
    """What became of a source since the run before.

    Attributes:
        objects: How many there were.
        kind: "inserted", "changed" or "deleted"; empty where nothing is.
        place: "one place", in the middle, or "scattered".
        count: How many objects that is.
    """

    objects: int
    kind: str = ""
    place: str = ""
    count: int = 0

    def touched(self) -> array[int]:
        """The numbers of the objects that are changed or deleted, or behind which one is inserted, ascending."""
        if not self.kind:
            return array("I")
        if self.place == "one place":
            start = (self.objects - self.count) // 2
            return array("I", range(start, start + self.count))
        dice = random.Random(5)  # noqa: S311 - the same objects every time is the point
        return array("I", sorted(dice.sample(range(self.objects), self.count)))


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self._left = memoryview(content)

    def read(self, amount: int) -> bytes:
        taken, self._left = self._left[:amount], self._left[amount:]
        return bytes(taken)

    def close(self) -> None:
        """Nothing is held."""


class ChangedSource:
    """Single requests to S3, answered here.

    Args:
        folder: Where what is written lies: a file for each object, named by bucket and key.
        change: What the source is.

    Attributes:
        requests: How many there were, by kind: LIST, GET, HEAD, PUT, COPY.
        seconds: CPU that went into the answers.
    """

    def __init__(self, folder: Path, change: Change) -> None:
        self.requests: Counter[str] = Counter()
        self.seconds = 0.0
        self._folder = folder
        self._change = change
        self._touched = change.touched()
        self._lock = threading.Lock()

    def paying(self, bucket: str) -> ChangedSource:  # noqa: ARG002 - the protocol's
        """The same: nobody is billed here."""
        return self

    def get(
        self,
        uri: S3Uri,
        *,
        etag: str | None = None,
        version_id: str | None = None,
        first_byte: int | None = None,
        last_byte: int | None = None,
    ) -> Content:
        """GetObject."""
        with self._answering("GET"):
            body = self._read(uri)
            found = _etag(body)
            if etag not in {None, found} or version_id is not None:
                raise ChangedError("it is another one", operation="get", target=str(uri))
            part = body[first_byte or 0 : None if last_byte is None else last_byte + 1]
            return Content(_Bytes(part), len(part), len(body), found)

    def put(
        self,
        uri: S3Uri,
        body: bytes,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_etag: str | None = None,
    ) -> None:
        """PutObject; types and metadata are not kept."""
        del content_type, metadata
        with self._answering("PUT"):
            path = self._path(uri)
            if if_absent and path.exists():
                raise ChangedError("there is one", operation="put", target=str(uri))
            if if_etag is not None and _etag(path.read_bytes()) != if_etag:
                raise ChangedError("it is another one", operation="put", target=str(uri))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def ask(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """ListObjectsV2, HeadObject and CopyObject."""
        if method == "list_objects_v2":
            after = given.get("ContinuationToken") or given.get("StartAfter", "")
            with self._answering("LIST"):
                if uri.bucket != SOURCE.bucket:
                    return self._files(uri, after)
                body, more, last = self._listed(uri, after)
            # To read the answer is the plan job's own work.
            added: dict[str, Any] = {}
            take_objects({"status_code": 200, "body": body}, added)
            return {**added, "IsTruncated": more, "NextContinuationToken": last}
        if method == "head_object":
            with self._answering("HEAD"):
                body = self._read(uri)
                return {"ContentLength": len(body), "ETag": _etag(body), "Metadata": {}}
        if method != "copy_object":
            raise NotImplementedError(f"{operation}: {method}")
        with self._answering("COPY"):
            target = self._path(S3Uri(given["Bucket"], given["Key"]))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(
                self._path(S3Uri(**{name.lower(): text for name, text in given["CopySource"].items()})), target
            )
            return {"LastModified": datetime.now(UTC)}

    @contextmanager
    def _answering(self, kind: str) -> Iterator[None]:
        begin = time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self.seconds += time.thread_time() - begin
                self.requests[kind] += 1

    def _path(self, uri: S3Uri) -> Path:
        return self._folder / uri.bucket / uri.key

    def _read(self, uri: S3Uri) -> bytes:
        try:
            return self._path(uri).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFoundError("there is none", operation="get", target=str(uri)) from None

    def _files(self, uri: S3Uri, after: str) -> dict[str, Any]:
        """What was written, a folder's files alone: no deeper folder of the destination is listed."""
        folder = self._path(uri)
        if not folder.is_dir():
            return {"IsTruncated": False, "Contents": []}
        keys = sorted(f"{uri.key}{each.name}" for each in folder.iterdir() if each.is_file())
        page = [key for key in keys if key > after][: PAGE + 1]
        contents = [{"Key": key, "Size": 1, "ETag": '"e"'} for key in page[:PAGE]]
        return {
            "IsTruncated": len(page) > PAGE,
            "Contents": contents,
            "NextContinuationToken": page[-1:] and page[:PAGE][-1],
        }

    def _listed(self, uri: S3Uri, after: str) -> tuple[bytes, bool, str]:
        """The answer as S3 writes it, whether there is more, and the last key."""
        rows: list[Row] = []
        number = self._first(after) if after > uri.key else 0
        while number < self._change.objects and len(rows) < PAGE:
            rows += [row for row in self._rows(number) if row[0].decode() > after]
            number += 1
        last = rows[-1][0].decode() if rows else after
        return _HEAD + b"".join(map(_WRITTEN.__mod__, rows)) + _TAIL, number < self._change.objects, last

    def _first(self, after: str) -> int:
        """The first number of which a key may be behind this one."""
        low, high = 0, self._change.objects
        while low < high:
            middle = (low + high) // 2
            if _key(middle).decode() + "~" <= after:
                low = middle + 1
            else:
                high = middle
        return low

    def _rows(self, number: int) -> list[Row]:
        """The object of a number, and the one that was inserted behind it, as far as they are there."""
        at = bisect_left(self._touched, number)
        kind = self._change.kind if at < len(self._touched) and self._touched[at] == number else ""
        key, size = _key(number), b"%d" % SIZE
        etag = b"%032x" % (number + (2**100 if kind == "changed" else 0))
        own: Row = (key, etag, size)
        if kind == "deleted":
            return []
        return [own, (key + b".new", etag, size)] if kind == "inserted" else [own]


def _key(number: int) -> bytes:
    return b"%bcustomer-%08d/letter-%010d.txt" % (SOURCE.key.encode(), number // 10, number)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
