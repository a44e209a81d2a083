"""Writing objects as files below a folder: never outside of it, each file whole or not at all.

Only files that a run wrote are overwritten.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from console.file_names import NotAFileNameError, path_of
from console.find.aws import Aws, workers
from console.transfer.written import WrittenFiles, digest_of
from millrace.layout import S3Uri

Open = Callable[[S3Uri], AbstractContextManager[Iterable[bytes]]]
"""Opens an object: its content in pieces."""

Reader = Callable[[Sequence[S3Uri]], Open]

_TOGETHER = 128
"""So many objects that come together are written by one thread: to come back for each would cost as much as some."""

_REPOSITORIES = frozenset({".git", ".hg", ".svn"})
"""Folders in which a new file can do harm: a hook, a configuration that names a program."""


@dataclass
class Downloaded:
    """What a download did.

    Attributes:
        files: How many of the objects are files of the folder now.
        total_bytes: Their bytes.
        refused: The objects that are not written, each with the reason.
    """

    files: int = 0
    total_bytes: int = 0
    refused: list[tuple[S3Uri, str]] = field(default_factory=list)


def download(
    aws: Aws,
    objects: Iterable[tuple[str, S3Uri]],
    directory: Path,
    moved: Callable[[int, int], None],
    written: WrittenFiles,
    *,
    reader: Reader | None = None,
) -> Downloaded:
    """Write objects as files.

    A file of that name is overwritten if a run wrote it, or if it is the same; else the object is refused.

    Args:
        aws: Where the objects are.
        objects: The relative key under which each object is written, and the object.
        directory: The folder; it must be there.
        moved: Called with the number of files seen to and their whole number.
        written: What runs wrote into the folder; what is written now is added.
        reader: Takes the objects that will be read, and returns what opens them; None: each is a request of its own.

    Returns:
        What was written; an object whose key cannot be a file's name here is named in it, and is not an error.

    Raises:
        OSError: A file cannot be written for another reason: no space, no permission.
    """
    done = Downloaded()
    wanted: list[tuple[str, S3Uri]] = []
    taken: set[str] = set()
    fold = folding(directory)
    foreign: dict[str, bool] = {}
    made: set[tuple[str, ...]] = set()
    for key, uri in objects:
        try:
            segments = path_of(key).parts[:-1]
            if segments not in made:
                _refuse_repositories(directory, segments, written, foreign)
                _make_parents(directory, segments)
                made.add(segments)
        except NotAFileNameError as error:
            done.refused.append((uri, error.message))
            continue
        folded = fold(key)
        if folded in taken:
            done.refused.append((uri, "this file system takes its name for another object's"))
        else:
            taken.add(folded)
            wanted.append((key, uri))
    open_object = aws.s3.open if reader is None else reader([uri for _, uri in wanted])

    def get_some(some: Sequence[tuple[str, S3Uri]]) -> list[int | str]:
        return [_get(open_object, str(directory), key, uri, written) for key, uri in some]

    together = 1 if reader is None else _TOGETHER
    batches = [wanted[first : first + together] for first in range(0, len(wanted), together)]
    with workers() as pool, written.kept_open():
        got = (each for some in pool.map(get_some, batches) for each in some)
        for (_, uri), size in zip(wanted, got, strict=True):
            if isinstance(size, str):
                done.refused.append((uri, size))
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


def _refuse_repositories(
    directory: Path, segments: Sequence[str], written: WrittenFiles, foreign: dict[str, bool]
) -> None:
    """Nothing goes into a repository's own folder that was there before.

    Raises:
        NotAFileNameError: It would.
    """
    for count, segment in enumerate(segments, 1):
        if segment.casefold() not in _REPOSITORIES:
            continue
        prefix = "/".join(segments[:count]) + "/"
        if prefix not in foreign:  # asked before this download makes the folder
            foreign[prefix] = directory.joinpath(*segments[:count]).exists() and not written.has_below(prefix)
        if foreign[prefix]:
            raise NotAFileNameError(f"no run made the existing folder {prefix} that is there", target=str(directory))


def _get(open_object: Open, directory: str, key: str, uri: S3Uri, written: WrittenFiles) -> int | str:
    """Write one object, whose key is a path; its size, or why it was not written."""
    path = f"{directory}/{key}"  # text: a Path costs more than a small file
    folder, _, _ = path.rpartition("/")
    part = f"{folder}/.{token_hex(8)}.part"
    whole = sha256()
    try:
        size = 0
        with open_object(uri) as chunks, open(part, "xb") as file:  # noqa: PTH123 - as above
            for chunk in chunks:
                file.write(chunk)
                whole.update(chunk)
                size += len(chunk)
        digest = whole.hexdigest()
        reason = _in_the_way(path, key, digest, written)
        if reason is None:
            written.add(key, digest)
            os.replace(part, path)  # noqa: PTH105 - as above
            return size
    except IsADirectoryError:
        reason = "a folder of that name is in the way"
    except BaseException:
        _remove(part)
        raise
    _remove(part)
    return reason


def _in_the_way(path: str, key: str, digest: str, written: WrittenFiles) -> str | None:
    """Why a file of this content may not take the place of what is there; None: it may."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        return "a symbolic link is in the way"
    if stat.S_ISDIR(mode):
        return "a folder of that name is in the way"
    there = digest_of(Path(path)) if stat.S_ISREG(mode) else ""
    if there != digest and not written.wrote(key, there):
        return "a file that no run wrote, or that was changed since, is in the way"
    return None


def _remove(part: str) -> None:
    Path(part).unlink(missing_ok=True)


def folding(directory: Path) -> Callable[[str], str]:
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
