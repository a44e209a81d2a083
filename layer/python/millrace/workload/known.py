"""Which workloads there are, and their options as users give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import permutations

from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json
from millrace.workload.built_in import WORKLOAD_OPTIONS
from millrace.workload.options import Option, check_options, unknown_name

_OWN_WORKLOAD = re.compile(
    r"(?=.{3,200}$)([a-z_]\w*(\.[a-z_]\w*)*:[a-z_]\w*|[\w-]+(\.[\w-]+)+)", re.ASCII | re.IGNORECASE
)


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
    if not isinstance(name, str) or not (name in WORKLOAD_OPTIONS or is_own_workload(name)):
        allowed = [*sorted(WORKLOAD_OPTIONS), "your own as package.module:Class or package.name"]
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
        InvalidRunRequest: An option is unknown, has the wrong type or lies outside its bounds, or two items could have
            one output.
    """
    if is_own_workload(workload):
        return dict(given)
    options = check_options(WORKLOAD_OPTIONS[workload], given)
    check_item_suffixes(options.get("output_suffixes", ()), "options.output_suffixes")
    return options


def check_item_suffixes(suffixes: object, name: str) -> None:
    """See that no two items can have one output, whatever their keys.

    Where one suffix ends in another, they could: `.json` of the item `a.meta` is `.meta.json` of the item `a`.

    Args:
        suffixes: What is put behind the items' keys.
        name: Whose they are, for the error.

    Raises:
        InvalidRunRequest: They are no tuple of texts, or two items could have one output.
    """
    if not isinstance(suffixes, tuple | list) or not all(isinstance(suffix, str) for suffix in suffixes):
        raise InvalidRunRequest(name, suffixes, 'a tuple of texts, (".lines",): with one alone, mind the comma')
    for one, other in permutations(suffixes, 2):
        if one.endswith(other):
            raise InvalidRunRequest(
                name,
                list(suffixes),
                f"suffixes of which none ends in another: with {one!r} and {other!r}, outputs of two items could have "
                f"one key, as a{one} is the output of a and, with {other!r}, of a{one.removesuffix(other)}",
            )


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
    declared = {option.name: option for option in WORKLOAD_OPTIONS[workload]}
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
