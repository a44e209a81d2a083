"""A folder as a source: the embedded AWS serves its files in place, as objects below a prefix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import realpath
from pathlib import Path

from console.file_names import key_of
from console.local.own_endpoints import ask
from millrace.layout import S3Uri


@dataclass
class Served:
    """What is served.

    Attributes:
        files: How many files the folder has.
        total_bytes: Their bytes.
        changed: How many are new, or have other content than when it was served last.
        deleted: How many are gone since.
        left_out: Paths that are not served: symbolic links that lead out of the folder or to a folder, and what is
            not a file at all.
    """

    files: int = 0
    total_bytes: int = 0
    changed: int = 0
    deleted: int = 0
    left_out: list[Path] = field(default_factory=list)


def serve(endpoint_url: str, directory: Path, folder: S3Uri) -> Served:
    """Let the embedded AWS serve a folder's files as the objects below a prefix. No file is copied or written.

    Args:
        endpoint_url: The embedded AWS.
        directory: The folder, absolute and resolved.
        folder: The prefix. Everything below it is of this folder.

    Raises:
        NotAFileNameError: A file's name cannot be a key.
        OSError: A file cannot be read.
        EmbeddedAwsError: The embedded AWS does not serve it.
    """
    served = Served()
    for path in _files(str(directory), directory, served.left_out):
        key_of(path)
        if not os.access(directory / path, os.R_OK):
            raise PermissionError(13, "Permission denied", str(directory / path))
    asked = {"bucket": folder.bucket, "prefix": folder.key, "directory": str(directory)}
    found = ask(endpoint_url, "folders", asked)
    served.files, served.total_bytes = found["files"], found["bytes"]
    served.changed, served.deleted = found["changed"], found["deleted"]
    return served


def _files(folder: str, root: Path, left_out: list[Path]) -> Iterator[Path]:
    """The paths of the files below a folder, relative to the root; links to files are followed within the root."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, root, left_out)
            elif entry.is_file(follow_symlinks=False) or (
                Path(entry.path).is_file() and Path(realpath(entry.path)).is_relative_to(root)
            ):
                yield Path(entry.path).relative_to(root)
            else:
                left_out.append(Path(entry.path))
