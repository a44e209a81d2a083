"""Keys are not paths: which keys can be files below a folder, and under which names.

A key becomes the path of the same segments, character by character, or it is refused with the reason: nothing is
escaped, cut or normalised, so that a file's path always gives its key back.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from millrace.errors import MillraceError
from millrace.layout import MAX_KEY_BYTES
from millrace.text import visible

MAX_NAME_BYTES = 255
"""The longest file name: NAME_MAX of every common Linux and macOS file system."""


class NotAFileNameError(MillraceError):
    """A key cannot be a file below a folder, or a file cannot be an object."""

    exit_code = 2


def path_of(key: str) -> PurePosixPath:
    """The relative path that a key is written to.

    Args:
        key: The key, relative to the folder's prefix.

    Raises:
        NotAFileNameError: As a path it would name no file, another file, or one outside of the folder.
    """
    segments = key.split("/")
    if "" in segments:
        raise _refused(key, "a segment of the key is empty")
    if "." in segments or ".." in segments:
        raise _refused(key, "the key has a segment that means another folder")
    if "\0" in key:
        raise _refused(key, "the key holds a NUL character")
    if any(len(segment.encode()) > MAX_NAME_BYTES for segment in segments):
        raise _refused(key, f"a segment of the key is longer than {MAX_NAME_BYTES} bytes")
    return PurePosixPath(key)


def key_of(path: Path) -> str:
    """The key of a file, relative to the folder's prefix.

    Args:
        path: The file's path, relative to the folder.

    Raises:
        NotAFileNameError: The name is not UTF-8, or longer than a key may be.
    """
    key = path.as_posix()
    try:
        length = len(os.fsencode(key).decode().encode())
    except UnicodeDecodeError:
        raise _refused(key, "the file's name is not UTF-8; rename the file") from None
    if length > MAX_KEY_BYTES:
        raise _refused(key, f"the file's path has {length} bytes, a key at most {MAX_KEY_BYTES}")
    return key


def _refused(name: str, reason: str) -> NotAFileNameError:
    return NotAFileNameError(reason, target=visible(name))
