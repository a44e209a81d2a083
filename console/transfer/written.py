"""Which files of a folder earlier runs wrote: those alone may be overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from threading import Lock
from typing import IO


class WrittenFiles:
    """Remembers what runs wrote into a folder, by key and content.

    A file that was changed since is the user's.

    Args:
        record: Where it is kept, JSON Lines, apart from the folder; None: only until this is gone.
    """

    def __init__(self, record: Path | None) -> None:
        self._record = record
        self._known: dict[str, set[str]] = {}
        self._lock = Lock()
        self._file: IO[bytes] | None = None
        for line in record.read_bytes().splitlines() if record and record.exists() else []:
            try:
                key, digest = json.loads(line)
            except (ValueError, TypeError):
                continue  # empty, or the command was killed as it wrote this line; the file it was for is not there
            self._known.setdefault(key, set()).add(digest)

    def is_ours(self, key: str, path: Path) -> bool:
        """Whether a run wrote this file, and it has not changed since.

        Args:
            key: The file's key, relative to the folder.
            path: Where it is.
        """
        return not path.is_symlink() and path.is_file() and self.wrote(key, digest_of(path))

    def wrote(self, key: str, digest: str) -> bool:
        """Whether a run wrote this content under this key."""
        return digest in self._known.get(key, ())

    def has_below(self, prefix: str) -> bool:
        """Whether a run wrote any file whose key begins like this."""
        return any(key.startswith(prefix) for key in self._known)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Within it, the record stays open: to open it for each of many files costs as much as to write one."""
        if self._record is None:
            yield
            return
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with self._record.open("ab", buffering=0) as file:
            self._file = file
            try:
                yield
            finally:
                self._file = None

    def add(self, key: str, digest: str) -> None:
        """Remember a file, before it gets its name."""
        with self._lock:
            known = self._known.setdefault(key, set())
            if digest in known:
                return
            known.add(digest)
            line = b"\n" + json.dumps([key, digest]).encode()  # behind a line that was cut off, too
            if self._file is not None:
                self._file.write(line)
            elif self._record is not None:
                self._record.parent.mkdir(parents=True, exist_ok=True)
                with self._record.open("ab") as file:
                    file.write(line)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
