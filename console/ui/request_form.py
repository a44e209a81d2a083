"""The form that starts a run: made from the request's own fields and from what the workload declares."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json
from millrace.request.run_request import RunRequest
from millrace.workload.registry import is_own_workload, workload_records

LEFT_OUT = ("workload", "options", "run_id", "retry_failed", "once")
"""The workload has its own place; the others belong to resuming, which a run's page does."""

FIRST = ("name", "source", "destination", "include", "exclude", "reuse", "tolerated_failure_percent", "tags")
"""What most runs need; the rest is folded away."""

CHOICES = {"plan": ("auto", "job"), "overlap": ("run", "skip", "queue"), "queue": ("standard", "urgent")}

OPTION = "option."
"""How the names of the workload's options begin in the form."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form.

    Attributes:
        name: As the form sends it.
        label: As people read it.
        kind: What it is: text, number, flag, choice, lines (a list, one a line), pairs (`key=value`, one a line) or
            json.
        default: What stands for no value, as JSON has it.
        doc: A sentence about it.
        choices: For a choice.
        required: Whether it has to be given.
        value: What the form holds now.
    """

    name: str
    label: str
    kind: str
    default: Any
    doc: str
    choices: tuple[str, ...] = ()
    required: bool = False
    value: str = ""

    @property
    def placeholder(self) -> str:
        """The default as the form would hold it."""
        return written(self.default, self.kind)


def request_fields(given: Mapping[str, str]) -> list[Field]:
    """The fields of the request, in its order.

    Args:
        given: What the form holds.
    """
    docs = _docs()
    found = []
    for each in fields(RunRequest):
        if each.name in LEFT_OUT:
            continue
        required = each.default is MISSING and each.default_factory is MISSING
        default: Any = None
        if not required:
            default = each.default_factory() if each.default_factory is not MISSING else each.default
        if each.name == "shard":
            default = {name: getattr(default, name) for name in ("target_bytes", "max_items", "max_shards")}
        kind = _kind(str(each.type), default)
        choices = CHOICES.get(each.name, ())
        doc = docs.get(each.name, "")
        label = each.name.replace("_", " ")
        found.append(
            Field(
                each.name,
                label,
                "choice" if choices else kind,
                default,
                doc,
                choices,
                required,
                given.get(each.name, ""),
            )
        )
    return found


def option_fields(workload: str, given: Mapping[str, str]) -> list[Field]:
    """The options of a built-in workload; none for one of the user's own, whose options the page does not know."""
    record = workload_records().get(workload)
    found = []
    for option in record.options if record is not None else ():
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        kind = "choice" if option.choices and isinstance(default, str) else _kind(type(default).__name__, default)
        name = OPTION + option.name
        label = option.name.replace("_", " ")
        shown = None if option.required else default
        found.append(
            Field(name, label, kind, shown, option.doc, tuple(option.choices), option.required, given.get(name, ""))
        )
    return found


def read_form(given: Mapping[str, str]) -> dict[str, Any]:
    """The execution input that a form stands for; what was left empty is left to its default.

    Raises:
        InvalidRunRequest: A value cannot be read.
    """
    workload = given.get("workload", "").strip() or RunRequest.workload
    request: dict[str, Any] = {"workload": workload}
    for field in request_fields(given):
        value = _read(field, given)
        if value is not None and value != field.default:
            request[field.name] = value
    options = {}
    for field in option_fields(workload, given):
        value = _read(field, given)
        if value is not None and value != field.default:
            options[field.name.removeprefix(OPTION)] = value
    if is_own_workload(workload) and given.get("options", "").strip():
        options = _json("options", given["options"])
    return {**request, **({"options": options} if options else {})}


def command_of(request: Mapping[str, Any], flags: str) -> str:
    """The command line that starts the same run."""
    text = json.dumps(request, ensure_ascii=False)
    return " ".join(filter(None, ("echo", shlex.quote(text), "| millrace start --input -", flags)))


def written(value: Any, kind: str) -> str:
    """A value as the form holds it."""
    if value is None:
        return ""
    if kind == "lines":
        return "\n".join(map(str, value))
    if kind == "pairs":
        return "\n".join(f"{key}={text}" for key, text in value.items())
    if kind == "json":
        return json.dumps(value)
    return ("true" if value else "") if isinstance(value, bool) else str(value)


def _kind(type_name: str, default: Any) -> str:
    if isinstance(default, bool):
        return "flag"
    if isinstance(default, int | float):
        return "number"
    if "list" in type_name:
        return "lines"
    if isinstance(default, dict) and (not default or all(isinstance(each, str) for each in default.values())):
        return "pairs"
    return "json" if "dict" in type_name or isinstance(default, dict) else "text"


def _read(field: Field, given: Mapping[str, str]) -> Any:
    text = given.get(field.name, "").replace("\r\n", "\n")
    if field.kind == "flag":
        # A browser sends nothing for an empty box: only a form that was sent says false.
        return text == "true" if text or given.get("sent") else None
    if not text.strip():
        return None
    if field.kind == "lines":
        lines = [line for line in text.split("\n") if line]
        return [_number(line) for line in lines] if _numbers(field) else lines
    if field.kind == "pairs":
        return dict(line.partition("=")[::2] for line in text.split("\n") if line.strip())
    if field.kind == "json":
        found = _json(field.label, text)
        return {**field.default, **found} if isinstance(field.default, dict) else found
    return _number(text.strip()) if field.kind == "number" else text.strip()


def _numbers(field: Field) -> bool:
    return bool(field.default) and all(isinstance(each, int | float) for each in field.default)


def _number(text: str) -> float | str:
    """A number; what is none stays a text, which the request's own rules refuse with the field's name."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else number


def _json(name: str, text: str) -> Any:
    try:
        found = read_json(text)
    except ValueError as error:
        raise InvalidRunRequest(name, text, f"a JSON object; {error}") from None
    if not isinstance(found, dict):
        raise InvalidRunRequest(name, text, "a JSON object")
    return found


def _docs() -> dict[str, str]:
    """What the request's class says of each field."""
    text = (RunRequest.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(r"^ {8}(\w+): (.*?)(?=^ {8}\w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(words.split()) for name, words in found}
