"""Finding a user's own workload: `package.module:Class`, or an entry point of the group `millrace.workloads`.

Only what is declared is imported: an entry point of an installed package, or a module of the run's code folders. Which
module a name stands for is found out before anything of it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distributions
from typing import Any

from batch_jobs.workloads.code_package import taken_code
from batch_jobs.workloads.function.workload import class_of
from millrace.encoded_text import explained
from millrace.errors import MillraceError, WorkloadUnavailableError
from millrace.settings import workload_path
from millrace.workload.function import DECLARATION, Declaration
from millrace.workload.options import Option, type_names
from millrace.workload.registry import is_own_workload

ENTRY_POINTS = "millrace.workloads"
"""The entry point group (packaging.python.org, entry points specification)."""

_TYPES = (*type_names, tuple, Mapping)
_REQUIRED = ("partial_suffix", "item_suffixes", "migrate", "partial", "merge")


def own_class(name: str) -> Any:
    """The class of a user's own workload.

    Args:
        name: `package.module:Class`, or an entry point's name, which has a dot in it: `acme.line-count`.

    Raises:
        WorkloadUnavailableError: The module is not in the run's code folders, cannot be imported, or is hidden by
            another one, it has no such class, no package or several packages declare such an entry point, or the class
            is no workload.
    """
    place, folders = _declared(name)
    module_name, _, attribute = place.partition(":")
    if folders:
        _add_folder(_folder_of(name, module_name, folders))
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise _unavailable(name, f"the module {module_name} cannot be imported ({error})") from error
    except BaseException as error:  # whatever it is: KeyboardInterrupt and a native library's panic end no job silently
        raise _unavailable(
            name, f"the module {module_name} fails when it is imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, attribute, None)
    declaration = getattr(found, DECLARATION, None)
    if isinstance(declaration, Declaration):
        return class_of(declaration)
    _check_class(name, module_name, attribute, found)
    return found


def _check_class(name: str, module_name: str, attribute: str, found: Any) -> None:
    if not isinstance(found, type):
        what = "does not have @workload() above its function" if callable(found) else "has no class or function"
        raise _unavailable(name, f"the module {module_name} {what} {attribute}")
    missing = [wanted for wanted in _REQUIRED if not hasattr(found, wanted)]
    if missing:
        raise _unavailable(name, f"the class is no workload, it lacks {', '.join(missing)}")
    options = getattr(found, "options", ())
    if not isinstance(options, tuple | list) or not all(isinstance(option, Option) for option in options):
        raise _unavailable(name, "its options are no tuple of Option: one alone needs a comma, (Option(…),)")
    names = [option.name for option in options]
    for option in options:
        if not isinstance(option.name, str) or names.count(option.name) > 1:
            raise _unavailable(name, f"its options are to have names, each another one: {option.name!r} is not so")
        if not isinstance(option.default, _TYPES):
            kinds = "a number, a text, true or false, a tuple of texts or an object of texts"
            why = f"the default of its option {option.name} is {option.default!r}; it must be {kinds}"
            raise _unavailable(name, why)


def own_place(name: str) -> str:
    """Where a user's own workload is: `package.module:Class`.

    Raises:
        WorkloadUnavailableError: No package, or several, declare such an entry point.
    """
    return _declared(name)[0]


@contextmanager
def own_part(name: str, part: str) -> Iterator[None]:
    """Around what is asked of a workload, not of an item of it: where a user's own raises, no other try fares better.

    Args:
        name: The workload's name; errors of a built-in one pass.
        part: What is asked: "__init__".

    Raises:
        WorkloadUnavailableError: A user's own workload raised something that is no error of Millrace's.
    """
    try:
        yield
    except MillraceError:
        raise
    except BaseException as error:
        if not is_own_workload(name):
            raise
        raise _unavailable(name, f"its {part} raises {explained(error)}") from error


def _declared(name: str) -> tuple[str, tuple[str, ...]]:
    """What the name stands for, and the folders that must hold the module; none where its package is installed."""
    taken = taken_code()
    folders = workload_path() if taken is None else (taken.modules,)
    if ":" in name:
        if not folders:
            raise _unavailable(
                name, "no folder of own modules is named (MILLRACE_WORKLOAD_PATH; /opt/workload in Millrace's image)"
            )
        return name, folders
    every = list(_entry_points(folders))
    places = {place: where for entry, place, where in every if entry == name}
    if not places:
        known = ", ".join(sorted({entry for entry, _, _ in every})) or "none"
        raise _unavailable(name, f"no installed package declares it as an entry point of {ENTRY_POINTS}; here: {known}")
    if len(places) > 1:
        raise _unavailable(name, f"several packages declare it: {', '.join(sorted(places))}")
    return next(iter(places.items()))


def _entry_points(folders: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each declared workload's name, place and folders; of a package that is there twice the first one counts."""
    seen = set()
    installed = [folder for folder in sys.path if folder not in folders]
    for path, where in ((installed, ()), ([*folders], folders)):
        for package in distributions(path=path):
            title = package.metadata["Name"]
            if title in seen:
                continue
            seen.add(title)
            for found in package.entry_points.select(group=ENTRY_POINTS):
                # Its attributes `module` and `attr` raise AttributeError where the text is of another form.
                yield found.name, found.value.partition("[")[0].replace(" ", ""), where


def _folder_of(name: str, module: str, folders: tuple[str, ...]) -> str:
    """The one folder that the module is in; nothing is imported to find it.

    Raises:
        WorkloadUnavailableError: None has it, or another module of its name comes before it.
    """
    invalidate_caches()
    top, *rest = module.split(".")
    for folder in folders:
        found = PathFinder.find_spec(top, [folder])
        inner: ModuleSpec | None = found
        for part in rest:
            inner = PathFinder.find_spec(part, list(inner.submodule_search_locations or ())) if inner else None
        if found is None or inner is None or inner.loader is None:
            continue
        other = _before(top, folder)
        if other is not None and _place(other) != _place(found):
            raise _unavailable(
                name, f"{_place(found)} is hidden by another module of its name, {_place(other)}; rename yours"
            )
        return folder
    raise _unavailable(
        name,
        f"there is no module {module} in {' or '.join(folders)}; of a user's own only modules there, and entry points "
        f"of {ENTRY_POINTS}, are imported",
    )


def _before(top: str, folder: str) -> ModuleSpec | None:
    """What an import would find instead, if anything: own folders of the image come behind all others."""
    if top in sys.modules:
        return sys.modules[top].__spec__ or ModuleSpec(top, None, origin="a module that is at work")
    if top in sys.stdlib_module_names:
        return ModuleSpec(top, None, origin="Python's own")
    before = sys.path[: sys.path.index(folder)] if folder in sys.path else sys.path
    return PathFinder.find_spec(top, before)


def _place(spec: ModuleSpec) -> str:
    return spec.origin or next(iter(spec.submodule_search_locations or ()), spec.name)


def _add_folder(folder: str) -> None:
    """Behind everything: what Python, Millrace and installed packages have is never taken from there."""
    if folder not in sys.path:
        sys.path.append(folder)


def _unavailable(name: str, why: str) -> WorkloadUnavailableError:
    return WorkloadUnavailableError(why, operation="load the workload", target=name)
