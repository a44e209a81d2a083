"""Finding a user's own workload: `package.module:Class`, or an entry point of the group `millrace.workloads`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from millrace.encoded_text import explained
from millrace.errors import MillraceError, WorkloadUnavailableError
from millrace.workload.known import is_own_workload
from millrace.workload.options import Option, type_names

ENTRY_POINTS = "millrace.workloads"
"""The entry point group (packaging.python.org, entry points specification)."""

_TYPES = (*type_names, tuple, Mapping)
_REQUIRED = ("partial_suffix", "item_suffixes", "migrate", "partial", "merge")


def own_class(name: str) -> Any:
    """The class of a user's own workload.

    Args:
        name: `package.module:Class`, or an entry point's name, which has a dot in it: `acme.line-count`.

    Raises:
        WorkloadUnavailableError: The module cannot be imported, it has no such class, no package or several packages
            declare such an entry point, or the class is no workload.
    """
    module_name, _, attribute = own_place(name).partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise _unavailable(
            name, f"the module {module_name} cannot be imported ({error}); is it in the image, below PYTHONPATH?"
        ) from error
    except (Exception, SystemExit) as error:
        raise _unavailable(
            name, f"the module {module_name} fails when it is imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        raise _unavailable(name, f"the module {module_name} has no class {attribute}")
    missing = [wanted for wanted in _REQUIRED if not hasattr(found, wanted)]
    if missing:
        raise _unavailable(name, f"the class is no workload, it lacks {', '.join(missing)}")
    options = getattr(found, "options", ())
    if not isinstance(options, tuple | list) or not all(isinstance(option, Option) for option in options):
        raise _unavailable(name, "its options are no tuple of Option: one alone needs a comma, (Option(…),)")
    for option in options:
        if not isinstance(option.default, _TYPES):
            kinds = "a number, a text, true or false, a tuple of texts or an object of texts"
            why = f"the default of its option {option.name} is {option.default!r}; it must be {kinds}"
            raise _unavailable(name, why)
    return found


def own_place(name: str) -> str:
    """Where a user's own workload is: `package.module:Class`.

    Raises:
        WorkloadUnavailableError: No package, or several, declare such an entry point.
    """
    return name if ":" in name else _entry_point(name)


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
    except (Exception, SystemExit) as error:
        if not is_own_workload(name):
            raise
        raise _unavailable(name, f"its {part} raises {explained(error)}") from error


def _entry_point(name: str) -> str:
    """What an entry point's name stands for: `package.module:Class`."""
    places = sorted({f"{found.module}:{found.attr}" for found in entry_points(group=ENTRY_POINTS, name=name)})
    if not places:
        known = ", ".join(sorted(entry_points(group=ENTRY_POINTS).names)) or "none"
        raise _unavailable(name, f"no installed package declares it as an entry point of {ENTRY_POINTS}; here: {known}")
    if len(places) > 1:
        raise _unavailable(name, f"several packages declare it: {', '.join(places)}")
    return places[0]


def _unavailable(name: str, why: str) -> WorkloadUnavailableError:
    return WorkloadUnavailableError(why, operation="load the workload", target=name)
