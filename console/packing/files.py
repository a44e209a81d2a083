"""Which files of a folder are packed: those that git would track, hidden ones and what Python makes aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from pathspec import GitIgnoreSpec

from millrace.errors import CodePackageError
from millrace.request.code_package import MAX_FILES, MAX_UNPACKED_BYTES
from millrace.text import bytes_text, visible

_MADE = (".pyc", ".pyo", "~", ".egg-info", ".dist-info")
_Rules = tuple[tuple[Path, GitIgnoreSpec], ...]


def packed_files(folder: Path) -> list[tuple[str, Path]]:
    """The files to pack, by their names in the zip, sorted.

    Left out: what a `.gitignore` says, in the folder, below it and above it up to the repository's top; hidden files
    and folders; `__pycache__` and other things that Python makes; virtual environments.

    Args:
        folder: The folder, absolute.

    Raises:
        CodePackageError: A link leads out of the folder, a name is not UTF-8, or there is more than a zip may hold.
    """
    found: list[tuple[str, Path]] = []
    total = 0
    for path in _walk(folder, _rules_above(folder)):
        if not path.resolve().is_relative_to(folder):
            raise refused(f"{_label(path, folder)} is a link that leads out of the folder; copy what it stands for, "
                           "or exclude it by a .gitignore", folder)  # fmt: skip
        if path.is_file():
            total += path.stat().st_size
            found.append((_label(path, folder), path))
            if total > MAX_UNPACKED_BYTES or len(found) > MAX_FILES:
                raise _too_much(folder)
    return sorted(found)


def _walk(folder: Path, rules: _Rules) -> Iterator[Path]:
    """Files and links below a folder; no link to a folder is followed."""
    own = _rules_of(folder)
    rules = (*rules, (folder, own)) if own else rules
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path, is_folder = Path(entry.path), entry.is_dir(follow_symlinks=False)
            if entry.name[0] == "." or entry.name == "__pycache__" or entry.name.endswith(_MADE):
                continue
            if _ignored(path, rules, is_folder=is_folder) or (is_folder and (path / "pyvenv.cfg").is_file()):
                continue
            if is_folder:
                yield from _walk(path, rules)
            elif entry.is_symlink() or entry.is_file():
                yield path


def _rules_above(folder: Path) -> _Rules:
    """The rules of the folders above, up to the top of the repository; none where it is in no repository."""
    above = [folder, *folder.parents]
    top = next((place for place in above if (place / ".git").exists()), None)
    if top is None:
        return ()
    between = [*takewhile(lambda place: place != top, above), top][1:]
    rules = ((place, _rules_of(place)) for place in reversed(between))
    return tuple((place, spec) for place, spec in rules if spec)


def _rules_of(folder: Path) -> GitIgnoreSpec | None:
    file = folder / ".gitignore"
    return GitIgnoreSpec.from_lines(file.read_text("utf-8", "replace").splitlines()) if file.is_file() else None


def _ignored(path: Path, rules: _Rules, *, is_folder: bool) -> bool:
    """The last rule that fits decides, the deepest file's last (gitignore, "pattern format")."""
    for folder, spec in reversed(rules):
        fits = spec.check_file(path.relative_to(folder).as_posix() + ("/" if is_folder else "")).include
        if fits is not None:
            return fits
    return False


def _label(path: Path, folder: Path) -> str:
    label = path.relative_to(folder).as_posix()
    try:
        label.encode()
    except UnicodeEncodeError:
        raise refused(
            f"the name {visible(label)} is not UTF-8; rename it, or exclude it by a .gitignore", folder
        ) from None
    return label


def _too_much(folder: Path) -> CodePackageError:
    """What is large, so that the user sees what to exclude."""
    sizes: dict[str, int] = {}
    files = 0
    for path in _walk(folder, _rules_above(folder)):
        first = path.relative_to(folder).parts[0]
        sizes[first] = sizes.get(first, 0) + (path.stat().st_size if path.is_file() else 0)
        files += 1
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])[:3]
    named = ", ".join(f"{visible(name)} ({bytes_text(size)})" for name, size in largest)
    return refused(
        f"the folder has {bytes_text(sum(sizes.values()))} in {files:,} files, and code may have "
        f"{bytes_text(MAX_UNPACKED_BYTES)} in {MAX_FILES:,}; the largest: {named}. Put what is no code into "
        ".gitignore, or the module into a folder of its own",
        folder,
    )


def refused(why: str, given: str | Path) -> CodePackageError:
    """The error of code that cannot be packed."""
    return CodePackageError(why, operation="pack the code", target=visible(str(given)))
