"""Writing objects as files below a folder: never outside of it, each file whole or not at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from console.aws import Aws, workers
from console.file_names import NotAFileNameError, path_of
from millrace.layout import S3Uri


@dataclass
class Downloaded:
    """What a download did.

    Attributes:
        files: How many files were written.
        total_bytes: Their bytes.
        refused: The objects that are not written, each with the reason.
    """

    files: int = 0
    total_bytes: int = 0
    refused: list[tuple[S3Uri, str]] = field(default_factory=list)


def download(
    aws: Aws, objects: Iterable[tuple[str, S3Uri]], directory: Path, moved: Callable[[int, int], None]
) -> Downloaded:
    """Write objects as files; a file of that name is overwritten.

    Args:
        aws: Where the objects are.
        objects: The relative key under which each object is written, and the object.
        directory: The folder; it must be there.
        moved: Called with the number of files seen to and their whole number.

    Returns:
        What was written; an object whose key cannot be a file's name here is named in it, and is not an error.

    Raises:
        OSError: A file cannot be written for another reason: no space, no permission.
    """
    done = Downloaded()
    wanted: list[tuple[Path, S3Uri]] = []
    taken: dict[str, str] = {}
    fold = _folding(directory)
    for key, uri in objects:
        try:
            path = path_of(key)
            _make_parents(directory, path.parent.parts)
        except NotAFileNameError as error:
            done.refused.append((uri, error.message))
            continue
        if taken.setdefault(fold(key), key) == key:
            wanted.append((directory / path, uri))
        else:
            done.refused.append((uri, "this file system does not tell its name from another object's"))
    with workers() as pool:
        for (_, uri), size in zip(wanted, pool.map(lambda each: _get(aws, *each), wanted), strict=True):
            if size is None:
                done.refused.append((uri, "a folder of that name is in the way"))
            else:
                done.files += 1
                done.total_bytes += size
            moved(done.files, len(wanted))
    return done


def _make_parents(directory: Path, segments: Iterable[str]) -> None:
    """Make the folders on the way; none of them may be a symbolic link, which could lead anywhere.

    Raises:
        NotAFileNameError: A file or a link is in the way.
    """
    for segment in segments:
        directory /= segment
        if directory.is_symlink():
            raise NotAFileNameError("a symbolic link is in the way", target=str(directory))
        try:
            directory.mkdir(exist_ok=True)
        except FileExistsError:
            raise NotAFileNameError("a file is in the way of its folder", target=str(directory)) from None


def _get(aws: Aws, path: Path, uri: S3Uri) -> int | None:
    """Write one object; its size, or None where a folder has its name."""
    part = path.with_name(f".{token_hex(8)}.part")
    try:
        with aws.s3.open(uri) as chunks, part.open("xb") as file:
            file.writelines(chunks)
            size = file.tell()
        part.replace(path)
    except IsADirectoryError:
        return None
    finally:
        part.unlink(missing_ok=True)
    return size


def _folding(directory: Path) -> Callable[[str], str]:
    """What makes two keys one file name here: nothing on most of Linux; case and Unicode form on most Macs."""
    probe = directory / f".{token_hex(8)}-\N{LATIN SMALL LETTER E WITH ACUTE}.part"
    probe.touch()
    try:
        same = (probe.name.upper(), unicodedata.normalize("NFD", probe.name))
        folds = any(probe.with_name(name).exists() for name in same)
    finally:
        probe.unlink()
    return _folded if folds else str


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", name).casefold()
