"""What `--code PATH[:NAME]` means: the folder to pack, and the workload in it. The code is read and never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from console.packing.files import packed_files, refused
from millrace.text import visible
from millrace.workload.registry import is_own_workload


@dataclass(frozen=True)
class CodePlace:
    """A workload in a folder.

    Attributes:
        folder: What is packed: imports find their modules in it.
        file: The module that has the workload.
        workload: As a run names it, `package.module:name`.
    """

    folder: Path
    file: Path
    workload: str


def find_code(given: str, workload: str | None = None) -> CodePlace:
    """Find the workload that the user means.

    Args:
        given: FILE.py, FILE.py:NAME, FOLDER, FOLDER:NAME or FOLDER:MODULE:NAME.
        workload: MODULE:NAME where the user gave `--workload` as well.

    Raises:
        CodePackageError: There is no such file, its module cannot be named or read, or it has no such workload, none,
            or several.
    """
    path, name = _split(given)
    if path.is_dir():
        folder, files = path.resolve(), None
        if (folder / "__init__.py").is_file():
            raise refused(
                "it is a package, which its modules import each other from; name the folder that it is in, and the "
                f"module: {visible(str(path.parent))}:{folder.name}.MODULE:NAME",
                given,
            )
    else:
        file = path.resolve()
        folder = file.parent
        while (folder / "__init__.py").is_file():
            folder = folder.parent
        files = [file]
    if folder in {Path.home(), Path(folder.anchor)}:
        raise refused(f"all of {visible(str(folder))} would be packed; put the module into a folder of its own", given)
    if workload is not None and ":" in workload:
        name = workload
    module, _, name = name.rpartition(":")
    if module:
        files = [_file_of(folder, module, given)]
    elif files is None:
        files = [path for label, path in packed_files(folder) if _may_have_workloads(label)]
    found = [CodePlace(folder, file, f"{_module(folder, file)}:{each}") for file in files for each in _workloads(file)]
    if name:
        found = [place for place in found if place.workload.rpartition(":")[2] == name]
        if not found and len(files) == 1 and name in _defined(files[0]):
            # Made by a call, or imported: the job will see whether it is one.
            found = [CodePlace(folder, files[0], f"{_module(folder, files[0])}:{name}")]
    return _only(found, given, name, files)


def _only(found: list[CodePlace], given: str, name: str, files: list[Path]) -> CodePlace:
    if len(found) == 1:
        if not is_own_workload(found[0].workload):
            raise refused(f"{found[0].workload} cannot name a workload: use letters, digits and _ only", given)
        return found[0]
    if found:
        names = ", ".join(place.workload for place in found)
        raise refused(f"it has several workloads, {names}; name one: --workload {found[0].workload}", given)
    there = sorted({each for file in files for each in _workloads(file)})
    has = f"; it has {', '.join(there)}" if there else ": no function with @workload() above it, and no class"
    raise refused(f"it has no workload {name}{has}" if name else f"it has no workload{has}", given)


def _split(given: str) -> tuple[Path, str]:
    """The path, and what follows it."""
    words = given.split(":")
    for count in range(len(words), 0, -1):
        path = Path(":".join(words[:count]))
        if path.exists():
            return path, ":".join(words[count:])
    raise refused("there is no such file or folder; a name stands behind it: jobs.py:count", given)


def _file_of(folder: Path, module: str, given: str) -> Path:
    path = folder.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    raise refused(f"there is no module {module} in {visible(str(folder))}", given)


def _module(folder: Path, file: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _may_have_workloads(label: str) -> bool:
    *folders, name = label.split("/")
    is_test = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    return name.endswith(".py") and not is_test and all(part.isidentifier() for part in (*folders, name[:-3]))


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise refused(f"Python cannot read it{line}: {why}", str(file)) from None


def _workloads(file: Path) -> Iterator[str]:
    """The names of functions with `@workload()` above them, and of classes with a method `migrate`."""
    for node in _parsed(file).body:
        match node:
            case ast.FunctionDef(name=name, decorator_list=decorators):
                called = [each.func if isinstance(each, ast.Call) else each for each in decorators]
                if any(ast.unparse(each).rpartition(".")[2] == "workload" for each in called):
                    yield name
            case ast.ClassDef(name=name, body=body):
                if any(isinstance(each, ast.FunctionDef) and each.name == "migrate" for each in body):
                    yield name


def _defined(file: Path) -> set[str]:
    """The other names that a module has at its top."""
    names: set[str] = set()
    for node in _parsed(file).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
