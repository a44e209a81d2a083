"""Which workloads there are, and their options as users give them.

A built-in workload is a folder of `batch_jobs/workloads` with a `record.py`. This one look-up by name points from the
layer to the jobs' code: docs/adr/0011-one-record-a-workload.md. The layer's build brings the records, and nothing else
of `batch_jobs`, into the Lambdas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json
from millrace.workload.options import Option, check_options, unknown_name
from millrace.workload.record import WorkloadRecord

RECORDS = "batch_jobs.workloads"
"""The package whose folders are the built-in workloads."""

_OWN_WORKLOAD = re.compile(
    r"(?=.{3,200}$)([a-z_]\w*(\.[a-z_]\w*)*:[a-z_]\w*|[\w-]+(\.[\w-]+)+)", re.ASCII | re.IGNORECASE
)


@cache
def workload_records() -> Mapping[str, WorkloadRecord]:
    """The records of the built-in workloads, by name."""
    package = import_module(RECORDS)
    modules = [f"{RECORDS}.{found.name}.record" for found in iter_modules(package.__path__) if found.ispkg]
    records: dict[str, WorkloadRecord] = {}
    for module in filter(find_spec, modules):
        record: WorkloadRecord = import_module(module).RECORD
        if record.name in records or is_own_workload(record.name):
            raise ValueError(f"{module}: {record.name!r} is taken, or has a dot or a colon; choose another name")
        records[record.name] = record
    return records


def is_own_workload(name: str) -> bool:
    """Whether the name can only be that of a user's own workload: no built-in one has a dot or a colon in it.

    `package.module:Class` names a class, `package.name` an entry point of the group `millrace.workloads`.
    """
    return _OWN_WORKLOAD.fullmatch(name) is not None


def known_workload(name: object) -> str:
    """The workload's name, checked. Whether there is a user's own workload of that name, only the job can find out.

    Raises:
        InvalidRunRequest: There is no such workload.
    """
    if not isinstance(name, str) or not (name in workload_records() or is_own_workload(name)):
        allowed = [*sorted(workload_records()), "your own as package.module:Class or package.name"]
        raise InvalidRunRequest("workload", name, " or ".join(allowed))
    return name


def check_allowed(workload: str, allowed: Sequence[str]) -> None:
    """See that this deployment lets the workload run.

    Args:
        workload: The workload's name.
        allowed: Names of workloads, in which a star stands for anything. Case counts.

    Raises:
        InvalidRunRequest: None of them is the workload's.
    """
    if not any(fnmatchcase(workload, name) for name in allowed):
        raise InvalidRunRequest(
            "workload",
            workload,
            f"{' or '.join(allowed)}: the stack's parameter AllowedWorkloads lets nothing else run",
        )


def checked_options(workload: str, given: Mapping[str, object]) -> dict[str, object]:
    """The options with defaults filled in, in the order of their declaration; a user's own workload's as they are.

    Raises:
        InvalidRunRequest: An option is unknown, has the wrong type or is outside its bounds, or two items could have
            one output.
    """
    if is_own_workload(workload):
        return dict(given)
    return check_options(workload_records()[workload].options, given)


def option_value(workload: str, text: str) -> tuple[str, object]:
    """An option as a command line gives it: `top=20`, `stop_words=and,the`, `command=["wc", "-w", "{input}"]`.

    What a user's own workload declares is not known here: its value is read as JSON where it is JSON, else as text.

    Returns:
        The option's name and its value, of the option's type; `checked_options` looks at the rest.

    Raises:
        InvalidRunRequest: It is not NAME=VALUE, there is no such option, or the value is not of its type.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRunRequest("option", text, "NAME=VALUE")
    if is_own_workload(known_workload(workload)):
        return name, _json_or_text(value)
    declared = {option.name: option for option in workload_records()[workload].options}
    if name not in declared:
        raise InvalidRunRequest(f"options.{name}", value, unknown_name(name, declared))
    return name, _typed(declared[name], value)


def _typed(option: Option, text: str) -> object:
    """The value as the option's type reads it; as it stands where it cannot be read, for the check to name."""
    kind = type(option.default)
    if kind is tuple:
        read = _json_or_text(text) if text.startswith("[") else text
        return [word for word in text.split(",") if word] if isinstance(read, str) else read
    if kind is dict:
        return _json_or_text(text)
    if kind is bool and text in {"true", "false"}:
        return text == "true"
    if kind is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return text


def _json_or_text(text: str) -> object:
    try:
        return read_json(text)
    except ValueError:
        return text
