"""Putting a folder's files under a prefix: what changed is uploaded, what is gone is deleted, the rest stays.

An object that stays keeps its ETag, so that a run resumed with an earlier plan finds what was planned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import file_digest, md5
from os.path import realpath
from pathlib import Path
from typing import Any

from console.file_names import key_of
from console.find.aws import Aws, workers
from millrace.layout import S3Uri
from millrace.s3.multipart import PART_BYTES
from millrace.s3.verbs import ListedObject


@dataclass
class Uploaded:
    """What an upload did.

    Attributes:
        files: How many files the folder has.
        total_bytes: Their bytes.
        changed: How many were uploaded.
        deleted: How many objects were deleted, their files being gone.
        left_out: Paths that are not uploaded: symbolic links that lead out of the folder or to a folder, and what is
            not a file at all.
    """

    files: int = 0
    total_bytes: int = 0
    changed: int = 0
    deleted: int = 0
    left_out: list[Path] = field(default_factory=list)


def upload(aws: Aws, directory: Path, folder: S3Uri, moved: Callable[[int, int], None]) -> Uploaded:
    """Make the objects below a prefix the same as the files below a folder.

    Args:
        aws: Where the bucket is.
        directory: The folder, absolute and resolved.
        folder: The prefix. Everything below it belongs to this folder.
        moved: Called with the number of files seen to and their whole number.

    Raises:
        NotAFileNameError: A file's name cannot be a key. Nothing has been uploaded.
        OSError: A file cannot be read.
    """
    done = Uploaded()
    files = {key_of(path.relative_to(directory)): path for path in _files(directory, directory, done.left_out)}
    stored = {each.key.removeprefix(folder.key): each for each in aws.s3.list(folder.bucket, folder.key)}
    with workers() as pool:
        for _ in pool.map(lambda key: aws.s3.delete(folder.join(key)), set(stored) - set(files)):
            done.deleted += 1
        put = pool.map(lambda each: _put(aws, folder.join(each[0]), each[1], stored.get(each[0])), files.items())
        for changed, size in put:
            done.files += 1
            done.total_bytes += size
            done.changed += changed
            moved(done.files, len(files))
    return done


def etag_of(path: Path) -> str:
    """The ETag that S3 gives the file when `upload` puts it there, quotes included.

    One part: the MD5 of its bytes. Several: the MD5 of the parts' MD5s, and their number (S3 user guide, checking
    object integrity).
    """
    with path.open("rb") as file:
        if path.stat().st_size <= PART_BYTES:
            return f'"{file_digest(file, _md5).hexdigest()}"'
        parts = []
        while part := file.read(PART_BYTES):
            parts.append(_md5(part).digest())
    return f'"{_md5(b"".join(parts)).hexdigest()}-{len(parts)}"'


def _md5(data: bytes = b"") -> Any:
    return md5(data, usedforsecurity=False)


def _files(directory: Path, root: Path, left_out: list[Path]) -> Iterator[Path]:
    """The regular files below a folder, in name order; symbolic links to files are followed within the folder."""
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path, root, left_out)
        elif path.is_file() and Path(realpath(path)).is_relative_to(root):
            yield path
        else:
            left_out.append(path)


def _put(aws: Aws, uri: S3Uri, path: Path, stored: ListedObject | None) -> tuple[bool, int]:
    """Upload one file unless the object is the same; whether it was uploaded, and the file's size."""
    size = path.stat().st_size
    if stored is not None and stored.size == size and stored.etag == etag_of(path):
        return False, size
    with path.open("rb") as file:
        aws.s3.put(uri, file)
    return True, size
