"""Which code computes: the digests of what a job runs, as `millrace.records.code` puts them together.

A plan and its commits carry them, so a run is finished by the code that began it, or not at all.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import BYTECODE_SUFFIXES, all_suffixes
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import batch_jobs
import millrace
from batch_jobs.workloads.code_package import taken_code
from batch_jobs.workloads.own import own_class, own_place
from millrace.errors import WorkloadUnavailableError
from millrace.records.code import SHOWN_DIGITS, code_text
from millrace.settings import JobSettings
from millrace.workload.registry import is_own_workload

_PACKAGED = frozenset({"batch_jobs", "millrace"})
_MADE = (*BYTECODE_SUFFIXES, ".pyo", "~")
"""What is made of sources, or kept of them by an editor."""
_SUFFIXES = tuple(suffix for suffix in all_suffixes() if suffix not in BYTECODE_SUFFIXES)


def code_identity(settings: JobSettings, workload: str) -> str:
    """The code that this job runs a workload with.

    Args:
        settings: Millrace's version, and the image.
        workload: The workload's name.

    Raises:
        WorkloadUnavailableError: It is a user's own, and is not here.
    """
    identity = code_text(settings.code_version, packaged(), settings.image)
    taken = taken_code()
    if taken is not None:
        identity += f".code.{taken.sha256[:SHOWN_DIGITS]}"
    elif is_own_workload(workload):
        identity += f".own.{_own(workload)}"
    return identity


@cache
def packaged() -> str:
    """The digest of the packages that Millrace consists of, but for what was compiled from them."""
    return _digest(
        (f"{package.__name__}/{label}", path)
        for package in (batch_jobs, millrace)
        for place in package.__path__
        for label, path in _tree(Path(place))
        if path.suffix != ".so"
    )


def _own(workload: str) -> str:
    """The digest of the code of a user's own workload."""
    # The import comes first: code that is changed meanwhile gives a digest that no plan has.
    classes = own_class(workload).__mro__
    modules = {own_place(workload).partition(":")[0], *(found.__module__ for found in classes)}
    tops = {module.partition(".")[0] for module in modules} - _PACKAGED - sys.stdlib_module_names
    try:
        return _digest(found for top in tops for found in _files(top, sys.modules[top]))
    except (OSError, LookupError) as error:
        raise WorkloadUnavailableError(
            f"its code cannot be read, so no run can be identified by it: {error}",
            operation="load the workload",
            target=workload,
        ) from error


def _files(top: str, module: ModuleType) -> Iterator[tuple[str, Path]]:
    """The files of a module that is no part of a package, or of a package, and of what it imports from beside it.

    Raises:
        LookupError: There are none.
    """
    spec = module.__spec__
    archive = getattr(getattr(spec, "loader", None), "archive", None)
    places = list(getattr(spec, "submodule_search_locations", None) or [getattr(spec, "origin", None)])
    if archive:
        yield f"{top}.zip", Path(archive)
        return
    for place in places:
        if place is None or not Path(place).exists():
            raise LookupError(f"the module {top} has no file")
        yield from _beside(top, Path(place).parent)


def _beside(top: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A module or a package of a folder, and what it may import from there.

    All modules of the folder count, and those of its packages that are imported. Where the folder is one of libraries,
    only what is imported counts, and only what no other package has installed there.
    """
    left, seen = [top], set(_PACKAGED)
    if folder.name in {"site-packages", "dist-packages"} or (folder / "batch_jobs").is_dir():
        installed = packages_distributions()
        mine = set(installed.get(top, ()))
        seen |= {name for name, owners in installed.items() if name != top and not mine & set(owners)}
    else:
        names = {path.name.partition(".")[0] for path in folder.iterdir() if path.name.endswith(_SUFFIXES)}
        left += sorted(name for name in names if name.isidentifier() and not _is_test(name))
    while left:
        name = left.pop()
        if name in seen or (name in sys.stdlib_module_names and name != top):
            continue
        seen.add(name)
        for label, path in _of_name(folder, name):
            yield label, path
            if path.suffix == ".py":
                left += _imported(path)


def _of_name(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            yield path.name, path
    if (folder / name).is_dir():
        yield from ((f"{name}/{label}", path) for label, path in _tree(folder / name))


def _is_test(name: str) -> bool:
    return name == "conftest" or name.startswith("test_") or name.endswith("_test")


def _imported(path: Path) -> list[str]:
    """The first names of what a file imports, wherever in it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return []  # nothing imports it then
    names = [found.name for node in ast.walk(tree) if isinstance(node, ast.Import) for found in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return sorted({name.partition(".")[0] for name in names})


def _tree(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files below a folder, those of data too, but for caches and hidden ones."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = sorted(
            name
            for name in folders
            if name != "__pycache__" and name[0] != "." and os.path.realpath(Path(place, name)) not in seen
        )
        for name in files:
            path = Path(place, name)
            if name[0] != "." and not name.endswith(_MADE) and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _digest(files: Iterator[tuple[str, Path]]) -> str:
    """The digest of files, by their names and bytes, in whatever order they come."""
    digest = hashlib.sha256()
    for label, path in sorted(files):
        with path.open("rb") as file:
            digest.update(f"{label}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode(errors="replace"))
    return digest.hexdigest()[:SHOWN_DIGITS]
