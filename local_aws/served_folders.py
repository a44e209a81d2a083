# ruff: noqa: PTH112, PTH116 - paths are text here, as keys are, and looked at for each request
"""Folders of this machine as objects of S3: read in place, never copied, never written.

A folder stands for a prefix of a bucket. Each regular file below it is an object, and each symbolic link to one that
is within the folder; its key is the prefix and its path, its ETag the MD5 of its content. What a file's name, size,
times and inode say is remembered with the ETag: a file is read anew when one of them changed. A file that changes while
it is read is never given out in parts of both.
"""

import hashlib
import os
import stat
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import Any

from local_aws.sorted_objects import SortedObjects

Mark = tuple[int, ...]
"""What identifies the content of a file: its size and the time of its last change, before all."""

_SETTLED_NS = 100_000_000
"""A file that was changed so shortly before it was read may change again without another time: it is not remembered."""
_CHUNK = 1 << 20
_IN_PASSING = 1 << 20
"""How large a file may be that is read while others wait."""
_ABSENT = (FileNotFoundError, NotADirectoryError)


class FileChangedError(Exception):
    """Raised when a file is no longer the one that was looked at."""


class UnreadFileError(Exception):
    """Raised for a large file whose ETag is not known yet: `folder.learn(path)` takes a while."""

    def __init__(self, folder: "Folder", path: str) -> None:
        super().__init__(path)
        self.folder, self.path = folder, path


class ServedFile:
    """The content of one file, or a range of it, as it was when it was looked at.

    Args:
        path: Where it is.
        mark: What identifies this content.
        start: The first byte.
        stop: One behind the last.
    """

    def __init__(self, path: str, mark: Mark, start: int, stop: int) -> None:
        self.path, self.mark, self.start, self.stop = path, mark, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> "ServedFile":
        start, stop, _ = part.indices(len(self))
        return ServedFile(self.path, self.mark, self.start + start, self.start + max(start, stop))

    def encode(self, _encoding: str = "") -> bytes:
        """All of it. ministack asks so for the bytes of what it sends."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """Its bytes.

        Raises:
            FileChangedError: It is another file by now, or gone.
        """
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except _ABSENT as error:
            raise FileChangedError(self.path) from error
        try:
            place = self.start
            while place < self.stop:
                chunk = os.pread(file, min(_CHUNK, self.stop - place), place)
                if not chunk or _mark(os.fstat(file)) != self.mark:
                    raise FileChangedError(self.path)
                place += len(chunk)
                yield chunk
        finally:
            os.close(file)


@dataclass
class Learnt:
    """What looking at a whole folder found.

    Attributes:
        files: How many files it has.
        bytes: Theirs.
        changed: How many are new, or have other content than when it was looked at last.
        deleted: How many are gone since.
    """

    files: int = 0
    bytes: int = 0
    changed: int = 0
    deleted: int = 0


class Folder:
    """One folder.

    Args:
        root: Where it is, symbolic links followed.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._etags: dict[str, tuple[Mark, str]] = {}
        self._last: dict[str, str] = {}
        self._listed: dict[str, tuple[int, list[tuple[str, bool]]]] = {}
        self._direct: set[str] = set()
        self._found: dict[str, tuple[ServedFile, int] | None] = {}

    def look_anew(self) -> None:
        """Forget which files were there: whoever answers a request looks at each file once, as it is by then."""
        self._found = {}

    def record(self, path: str) -> dict[str, Any] | None:
        """The object of a file, by its path relative to the folder; None: there is none."""
        found = self._find(path)
        if found is None:
            return None
        file, modified_ns = found
        return _Record(
            lambda: self._etag(path, file),
            body=None,
            file=file,
            size=len(file),
            last_modified=f"{_second(modified_ns // 1_000_000_000)}.{modified_ns // 1_000_000 % 1000:03}Z",
            metadata={},
            preserved_headers={},
            checksums={},
            storage_class="STANDARD",
            content_type="application/octet-stream",
            content_encoding=None,
        )

    def holds(self, path: str) -> bool:
        """Whether a file is there."""
        return self._find(path) is not None

    def learn(self, path: str) -> None:
        """Read a file for its ETag, however large it is, once it has not changed for a moment."""
        found = self._look(path)
        if found is None:
            return
        file, _ = found
        time.sleep(min(max(file.mark[1] + 2 * _SETTLED_NS - time.time_ns(), 0), 2 * _SETTLED_NS) / 1e9)
        with suppress(FileChangedError):  # the next request reads it again
            self._read(path, file)

    def learn_all(self) -> Learnt:
        """Learn every file's ETag, which reads what is new or changed.

        Raises:
            OSError: One cannot be read.
        """
        self._direct.clear()
        self._listed.clear()
        self.look_anew()
        etags: dict[str, str] = {}
        total = 0
        for path in self.paths():
            found = self._find(path)
            if found is not None:
                with suppress(FileChangedError):
                    etags[path] = self._known(path, found[0]) or self._read(path, found[0])
                    total += len(found[0])
        before, self._last = self._last, etags
        self._etags = {path: self._etags[path] for path in etags if path in self._etags}
        changed = sum(before.get(path) != etag for path, etag in etags.items())
        return Learnt(len(etags), total, changed, len(before.keys() - etags.keys()))

    def paths(self, after: str = "", prefix: str = "", folder: str = "") -> Iterator[str]:
        """The paths of all files in the order of their UTF-8, those with a prefix and behind a path only.

        Args:
            after: The path.
            prefix: The prefix.
            folder: Where to look, relative to the folder: nothing, or a path with a slash behind it.
        """
        entries = self._entries(folder)
        first = max(_segment(after, folder), _segment(prefix, folder))
        for name, is_folder in islice(entries, bisect_left(entries, (first,)), None):
            path = folder + name
            if path > prefix and not path.startswith(prefix):
                return
            if is_folder:
                if (path > after or after.startswith(path)) and (path >= prefix or prefix.startswith(path)):
                    yield from self.paths(after, prefix, path)
            elif path > after and path.startswith(prefix) and self.holds(path):
                yield path

    def _find(self, path: str) -> tuple[ServedFile, int] | None:
        """A file and the time of its last change, as this request found it."""
        seen = self._found
        if path not in seen:
            seen[path] = self._look(path)
        return seen[path]

    def _look(self, path: str) -> tuple[ServedFile, int] | None:
        """A file and the time of its last change, as it is now."""
        folder, _, name = path.rpartition("/")
        place = f"{self.root}/{path}"
        try:
            if name in {"", ".", ".."} or path[0] == "/" or not (not folder or self._is_direct(folder)):
                return None
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode):
                place = os.path.realpath(place)
                if not place.startswith(f"{self.root}/"):
                    return None
                status = os.stat(place)
        except (OSError, ValueError):  # gone, a name that no file system takes, a loop of links, a NUL, no character
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return ServedFile(place, _mark(status), 0, status.st_size), status.st_mtime_ns

    def _is_direct(self, folder: str) -> bool:
        """Whether a path of folders names them as they are: no link, no other way to say the same."""
        if folder not in self._direct:
            place = f"{self.root}/{folder}"
            if os.path.realpath(place) != place or not os.path.isdir(place):
                return False
            self._direct.add(folder)
        return True

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """Names in a folder, those of folders with a slash behind them, in the order of the paths below it."""
        place = f"{self.root}/{folder}"
        try:
            changed = os.stat(place).st_mtime_ns
            known = self._listed.get(folder)
            if known is not None and known[0] == changed:
                return known[1]
            asked = time.time_ns()
            with os.scandir(place) as found:
                entries = sorted(filter(_is_text, map(_entry, found)))
        except _ABSENT:
            return []
        if changed < asked - _SETTLED_NS:
            self._listed[folder] = (changed, entries)
        return entries

    def _etag(self, path: str, file: ServedFile) -> str:
        """The ETag of a file, which is read for it where it must be.

        Raises:
            UnreadFileError: It is too large to be read in passing.
            FileChangedError: It changes at this moment.
            OSError: It cannot be read.
        """
        known = self._known(path, file)
        if known is None and len(file) > _IN_PASSING:
            raise UnreadFileError(self, path)
        return known or self._read(path, file)

    def _known(self, path: str, file: ServedFile) -> str | None:
        mark, etag = self._etags.get(path, ((), ""))
        return etag if mark == file.mark else None

    def _read(self, path: str, file: ServedFile) -> str:
        """The ETag of a file; it is kept unless a change without a sign can follow."""
        began = time.time_ns()
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in file.chunks():
            digest.update(chunk)
        etag = f'"{digest.hexdigest()}"'
        if file.mark[1] < began - _SETTLED_NS:
            self._etags[path] = (file.mark, etag)
        return etag


class _Record(dict[str, Any]):
    """What ministack keeps of an object; the ETag is looked for when it is asked for."""

    def __init__(self, etag: Callable[[], str], **fields: Any) -> None:
        super().__init__(fields)
        self._look = etag

    def __missing__(self, name: str) -> Any:
        if name != "etag":
            raise KeyError(name)
        return self.setdefault("etag", self._look())

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name == "etag" else super().get(name, default)


class ServedObjects(SortedObjects):
    """A bucket's objects: those that were put there, and the files of folders."""

    def __init__(self, stored: dict[str, dict[str, Any]]) -> None:
        super().__init__(stored)
        self.folders: dict[str, Folder] = {}

    def look_anew(self) -> None:
        """Answer from the files as they are now."""
        for folder in self.folders.values():
            folder.look_anew()

    def served(self, key: str) -> bool:
        """Whether a key belongs to a folder: nothing is ever put there."""
        return any(key.startswith(prefix) for prefix in self.folders)

    def keys_behind(self, after: str, prefix: str) -> Iterator[str]:
        """All keys with a prefix and behind a key, in the order of their UTF-8."""
        stored = super().keys_behind(after, prefix)
        return merge(stored, *(self._of_folder(place, after, prefix) for place in self.folders))

    def __getitem__(self, key: str) -> dict[str, Any]:
        record: dict[str, Any] | None = self.get(key)
        if record is None:  # of a folder: the file has just gone
            raise FileChangedError(key) if self.served(key) else KeyError(key)
        return record

    def get(self, key: str, default: Any = None) -> Any:  # noqa: D102 - as a dict's
        for prefix, folder in self.folders.items():
            if key.startswith(prefix):
                return folder.record(key[len(prefix) :]) or default
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        for prefix, folder in self.folders.items():
            if isinstance(key, str) and key.startswith(prefix):
                return folder.holds(key[len(prefix) :])
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        return self.keys_behind("", "")

    def _of_folder(self, place: str, after: str, prefix: str) -> Iterator[str]:
        if not place.startswith(prefix) and not prefix.startswith(place):
            return
        if after > place and not after.startswith(place):
            return
        rest = after[len(place) :] if after.startswith(place) else ""
        for path in self.folders[place].paths(rest, prefix[len(place) :]):
            yield place + path


@lru_cache(1024)
def _second(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%S}"


def _mark(status: os.stat_result) -> Mark:
    # The time of the last change to the inode: unlike that of the content, no program can set it.
    return status.st_size, status.st_ctime_ns, status.st_mtime_ns, status.st_ino, status.st_dev


def _entry(entry: os.DirEntry[str]) -> tuple[str, bool]:
    is_folder = entry.is_dir(follow_symlinks=False)
    return (f"{entry.name}/" if is_folder else entry.name), is_folder


def _is_text(entry: tuple[str, bool]) -> bool:
    """Whether a name is UTF-8, as keys are."""
    try:
        entry[0].encode()
    except UnicodeEncodeError:
        return False
    return True


def _segment(path: str, folder: str) -> str:
    """The part of a path that names something in a folder; empty for a path that is not below it."""
    return path[len(folder) :].partition("/")[0] if path.startswith(folder) else ""
