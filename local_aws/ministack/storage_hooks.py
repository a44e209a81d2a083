# ruff: noqa: SLF001 - to touch private names is what this file is for
"""S3: refuses keys that are too long, serves folders of this machine, and lists for less than ministack does."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from local_aws.ministack.hooks import Ministack
from local_aws.served_folders import FileChangedError, Folder, Learnt, ServedFile, ServedObjects, UnreadFileError
from local_aws.sorted_objects import SortedObjects

MAX_KEY_BYTES = 1024  # S3 user guide, "Naming Amazon S3 objects": in UTF-8
_MOST_TRIES = 5
_SMALL = 1 << 18
"""The largest object that is given out together with others."""
_BEHIND_ROWS = (b"<CommonPrefixes>", b"</ListBucketResult>")
_READS = frozenset({"GET", "HEAD"})


def refuse_long_keys(ministack: Ministack) -> None:
    """Answer a request for an object whose key is too long as S3 does: 400 KeyTooLongError."""
    storage: Any = ministack.storage
    handle = storage.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        _bucket, key = storage._parse_bucket_key(path, headers)
        length = len(key.encode(errors="surrogateescape"))
        if length > MAX_KEY_BYTES:
            limits = {"Size": str(length), "MaxSizeAllowed": str(MAX_KEY_BYTES)}
            return storage._error("KeyTooLongError", "Your key is too long", 400, extra=limits)
        return await handle(method, path, headers, body, query, *rest, **named)

    storage.handle_request = handle_request


class ServedFolders:
    """The folders of this machine that stand for prefixes of buckets."""

    def __init__(self, ministack: Ministack) -> None:
        """Let ministack's S3 find files among its objects, and put none there."""
        self._ministack, self._storage = ministack, ministack.storage
        self._whole: ContextVar[bool] = ContextVar("whole", default=True)
        self._serve_reads()
        self._refuse_writes()

    def serve(self, bucket: str, prefix: str, directory: str) -> Learnt:
        """Serve a folder from now on; its files are read once for their ETags.

        Args:
            bucket: Of this account and region.
            prefix: What the folder's keys begin with.
            directory: The folder, absolute.

        Raises:
            ValueError: There is no such bucket or folder, or the prefix overlaps another folder's.
            OSError: A file cannot be read.
        """
        record = self._storage._buckets.get(bucket)
        if record is None:
            raise ValueError(f"there is no bucket {bucket}")
        if not Path(directory).is_absolute() or not Path(directory).is_dir():
            raise ValueError(f"{directory} is not an absolute path of a folder")
        objects = record["objects"]
        if not isinstance(objects, ServedObjects):
            objects = record["objects"] = ServedObjects(objects)
        if not prefix.endswith("/"):
            raise ValueError(f"the prefix {prefix} must end with /")
        if any(each != prefix and (each.startswith(prefix) or prefix.startswith(each)) for each in objects.folders):
            raise ValueError(f"{prefix} is within the prefix of another folder, or around it")
        root = str(Path(directory).resolve())
        known = objects.folders.get(prefix)
        folder = known if known is not None and known.root == root.rstrip("/") else Folder(root)
        learnt = folder.learn_all()
        objects.folders[prefix] = folder
        return learnt

    def bodies(self, bucket: str, keys: list[str]) -> list[bytes | None]:
        """The contents of many small objects at once; None for one that is missing, or not small."""
        found = (self._storage._buckets.get(bucket) or {}).get("objects", {})
        if isinstance(found, ServedObjects):
            found.look_anew()
        return [_small_body(found.get(key)) for key in keys]

    def _serve_reads(self) -> None:
        """A file's content is read when it is asked for: for a GET, no more of it than what is asked for."""
        get, read = self._storage._get_object, self._storage._read_body

        def get_object(*arguments: Any) -> Any:
            token = self._whole.set(False)
            try:
                return get(*arguments)
            finally:
                self._whole.reset(token)

        def read_body(bucket: str, key: str, record: dict[str, Any]) -> Any:
            file: ServedFile | None = record.get("file")
            if file is None:
                return read(bucket, key, record)
            return file.encode() if self._whole.get() else file

        self._storage._get_object, self._storage._read_body = get_object, read_body

    def _refuse_writes(self) -> None:
        storage = self._storage
        handle = storage.handle_request

        async def handle_request(method: str, path: str, headers: Any, body: bytes, query: Any, *rest: Any) -> Any:
            bucket, key = storage._parse_bucket_key(path, headers)
            record = storage._buckets.get(bucket) or {}
            objects = record.get("objects")
            if isinstance(objects, ServedObjects) and method not in _READS:
                written = _deleted(storage, body) if not key and "delete" in query else [key]
                for each in filter(objects.served, written):
                    words = "the object is a file of a folder of this machine, which is only read"
                    return storage._error("AccessDenied", words, 403, f"/{bucket}/{each}")
            for _ in range(_MOST_TRIES):
                if isinstance(objects, ServedObjects):
                    objects.look_anew()
                try:
                    return await handle(method, path, headers, body, query, *rest)
                except UnreadFileError as error:
                    await asyncio.to_thread(error.folder.learn, error.path)
                except FileChangedError:
                    await asyncio.sleep(0.01)
                except PermissionError as error:
                    return storage._error("AccessDenied", f"{error.filename}: {error.strerror}", 403, path)
            return storage._error("InternalError", "the file changes while it is read", 500, path)

        storage.handle_request = handle_request


class QuickListings:
    """Pages of listings for a fraction of the work, of buckets with folders of this machine as well.

    For each page ministack goes through every key of the bucket, sorts those with the prefix and makes an element of
    each row. A run of 10,000 shards leaves 50,000 objects, and its page lists them again and again.
    """

    def __init__(self, ministack: Ministack) -> None:
        """Let ministack's S3 find the keys of a page in their order, and write its rows as text."""
        self._storage = ministack.storage
        self._rows: _Counted | None = None
        self._find_keys_in_order()
        self._write_pages()

    def _find_keys_in_order(self) -> None:
        collect = self._storage._collect_list_entries

        def collect_entries(objects: Any, prefix: str, delimiter: str, max_keys: int, after: str) -> Any:
            if not isinstance(objects, SortedObjects):
                return collect(objects, prefix, delimiter, max_keys, after)
            contents: list[str] = []
            groups: list[str] = []
            last = ""
            for key in objects.keys_behind(after, prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                row = key if end < 0 else key[: end + len(delimiter)]
                if end >= 0 and (row <= after or row == last):
                    continue
                if len(contents) + len(groups) >= max_keys:
                    return self._page(contents), groups, True, last
                (contents if end < 0 else groups).append(row)
                last = row
            return self._page(contents), groups, False, last

        self._storage._collect_list_entries = collect_entries

    def _page(self, keys: list[str]) -> Any:
        if self._rows is None:
            return keys
        self._rows.keys = keys
        return self._rows

    def _write_pages(self) -> None:
        """The rows of a page are written as text: to make an element of each costs more than to look at its file."""
        storage = self._storage
        listed = storage._list_objects_v2

        def list_objects(bucket: str, query: dict[str, Any]) -> Any:
            record = storage._buckets.get(bucket)
            if record is None or "fetch-owner" in query:
                return listed(bucket, query)
            objects = record["objects"]
            if not isinstance(objects, SortedObjects):
                objects = record["objects"] = SortedObjects(objects)
            self._rows = _Counted()
            try:
                status, headers, body = listed(bucket, query)
                if status != 200:
                    return status, headers, body
                encoded = storage._url_encode if storage._qp(query, "encoding-type", "") == "url" else str
                rows = "".join(_row(encoded(key), objects[key]) for key in self._rows.keys)
            finally:
                self._rows = None
            ends = [place for end in _BEHIND_ROWS if (place := body.find(end)) >= 0]
            return status, headers, body[: min(ends)] + rows.encode() + body[min(ends) :]

        storage._list_objects_v2 = list_objects


class _Counted:
    """The keys of a page to who counts them; none to who goes through them."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[str]:
        return iter(())


def _row(key: str, record: dict[str, Any]) -> str:
    """An object in a page of ListObjectsV2, as ministack writes it."""
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{record['last_modified']}</LastModified>"
        f"<ETag>{escape(record['etag'])}</ETag><Size>{record['size']}</Size>"
        f"<StorageClass>{record.get('storage_class') or 'STANDARD'}</StorageClass></Contents>"
    )


def _small_body(record: dict[str, Any] | None) -> bytes | None:
    body: bytes | None = record["body"] if record is not None and record["size"] <= _SMALL else None
    return body


def _deleted(storage: Any, body: bytes) -> list[str]:
    """The keys that a DeleteObjects names; none where the body is not XML, which ministack refuses."""
    try:
        root = storage.fromstring(body)
    except Exception:  # noqa: BLE001 - each parser has its own
        return []
    return [each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == "Key"]
