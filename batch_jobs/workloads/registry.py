"""The workloads by name: those that come with Millrace, and users' own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from batch_jobs.workloads.own import own_class, own_part
from millrace.errors import InvalidRunRequest, WorkloadUnavailableError
from millrace.layout import MAX_PARTIAL_SUFFIX_BYTES
from millrace.workload.contract import Workload
from millrace.workload.known import check_item_suffixes, is_own_workload, known_workload
from millrace.workload.options import check_options

_MODULES = {
    "word-count": ("batch_jobs.workloads.word_count.workload", "WordCount"),
    "csv-to-dynamodb": ("batch_jobs.workloads.csv_to_dynamodb.workload", "CsvToDynamoDB"),
    "images": ("batch_jobs.workloads.images.workload", "Images"),
    "command": ("batch_jobs.workloads.command.workload", "Command"),
    "copy": ("batch_jobs.workloads.copy.workload", "CopyObjects"),
}
"""Imported only when asked for, so that a job starts without the libraries of other workloads."""


def load_workload(name: str, options: Mapping[str, Any]) -> Workload[Any]:
    """The workload of that name, made with these options.

    Args:
        name: A built-in workload's, or that of a user's own: `package.module:Class`, or an entry point's name.
        options: Checked where the workload is built in. A user's own are checked here, if its class declares them: the
            class attribute `options`, a tuple of `millrace.workload.options.Option`.

    Raises:
        InvalidRunRequest: There is no such workload, or it does not take these options.
        WorkloadUnavailableError: A user's own workload, or what a workload needs, is not in this image, or its
            `__init__` raises something else.
    """
    if is_own_workload(known_workload(name)):
        made = own_class(name)
        with own_part(name, "options"):
            options = check_options(getattr(made, "options", ()), options)
    else:
        made = _built_in_class(name)
    with own_part(name, "__init__"):
        workload: Workload[Any] = made(options)
    with own_part(name, "item_suffixes"):
        check_item_suffixes(workload.item_suffixes, f"item_suffixes of {name}")
    with own_part(name, "partial_suffix"):
        suffix = workload.partial_suffix
    if not isinstance(suffix, str) or len(suffix.encode()) > MAX_PARTIAL_SUFFIX_BYTES:
        raise InvalidRunRequest(
            f"partial_suffix of {name}", suffix, f"text of at most {MAX_PARTIAL_SUFFIX_BYTES} bytes, as '.json'"
        )
    return workload


def _built_in_class(name: str) -> Any:
    module, attribute = _MODULES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise WorkloadUnavailableError(
            f"the Python package {error.name} is not installed; batch_jobs/requirements-{name}.txt holds what it needs",
            operation="load the workload",
            target=name,
        ) from error
