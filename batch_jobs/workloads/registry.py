"""Loading a workload by its name: one that comes with Millrace, or a user's own.

A user's own is `package.module:Class`, or an entry point of the group `millrace.workloads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from millrace.errors import InvalidRunRequest, WorkloadUnavailableError
from millrace.layout import MAX_PARTIAL_SUFFIX_BYTES
from millrace.workload.contract import Workload
from millrace.workload.options import Option, check_options
from millrace.workload.record import WorkloadRecord, check_item_suffixes
from millrace.workload.registry import is_own_workload, known_workload, workload_records

ENTRY_POINTS = "millrace.workloads"
"""The entry point group (packaging.python.org, entry points specification)."""

_REQUIRED = ("partial_suffix", "item_suffixes", "migrate", "partial", "merge")


def load_workload(name: str, options: Mapping[str, Any]) -> Workload[Any]:
    """The workload of that name, made with these options.

    Args:
        name: A built-in workload's, or that of a user's own: `package.module:Class`, or an entry point's name.
        options: Checked where the workload is built in. A user's own are checked here, if its class declares them: the
            class attribute `options`, a tuple of `millrace.workload.Option`.

    Raises:
        InvalidRunRequest: There is no such workload, or it does not take these options.
        WorkloadUnavailableError: A user's own workload, or what a workload needs, is not in this image.
    """
    if is_own_workload(known_workload(name)):
        made = own_class(name)
        options = check_options(getattr(made, "options", ()), options)
    else:
        made = _built_in_class(workload_records()[name])
    workload: Workload[Any] = made(options)
    check_item_suffixes(f"item_suffixes of {name}", workload.item_suffixes)
    suffix = workload.partial_suffix
    if not isinstance(suffix, str) or len(suffix.encode()) > MAX_PARTIAL_SUFFIX_BYTES:
        raise InvalidRunRequest(
            f"partial_suffix of {name}", suffix, f"text of at most {MAX_PARTIAL_SUFFIX_BYTES} bytes, as '.json'"
        )
    return workload


def _built_in_class(record: WorkloadRecord) -> Any:
    """The class, imported only now: a job starts without the libraries of other workloads."""
    module, _, attribute = record.class_path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = record.extra
        where = (
            f"batch_jobs/requirements-{extra}.txt holds what it needs; build the image with: make image EXTRAS={extra}"
            if extra
            else "batch_jobs/requirements.txt holds what it needs"
        )
        raise WorkloadUnavailableError(
            f"the Python package {error.name} is not installed; {where}",
            operation="load the workload",
            target=record.name,
        ) from error


def own_class(name: str) -> Any:
    """The class of a user's own workload.

    Args:
        name: `package.module:Class`, or an entry point's name, which has a dot in it: `acme.line-count`.

    Raises:
        WorkloadUnavailableError: The module cannot be imported, it has no such class, no package or several packages
            declare such an entry point, or the class is no workload.
    """
    place = name if ":" in name else _entry_point(name)
    module_name, _, attribute = place.partition(":")
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
    return found


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
