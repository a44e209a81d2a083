"""Loading a workload by its name: one that comes with Millrace, or a user's own.

A user's own is `package.module:Class`, or an entry point of the group `millrace.workloads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from batch_jobs.workloads.own import own_class, own_part
from millrace.errors import InvalidRunRequest, WorkloadUnavailableError
from millrace.layout import MAX_PARTIAL_SUFFIX_BYTES
from millrace.workload.contract import Workload
from millrace.workload.options import check_options
from millrace.workload.record import WorkloadRecord, check_item_suffixes
from millrace.workload.registry import is_own_workload, known_workload, workload_records


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
        with own_part(name, "options"):
            options = check_options(getattr(made, "options", ()), options)
    else:
        made = _built_in_class(workload_records()[name])
    with own_part(name, "__init__"):
        workload: Workload[Any] = made(options)
    with own_part(name, "item_suffixes"):
        check_item_suffixes(f"item_suffixes of {name}", workload.item_suffixes)
    with own_part(name, "partial_suffix"):
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
