"""The state machine, read from its real file: which state comes next, and what each one is asked to do.

It knows what statemachine/migration.asl.json uses and refuses all else, so that a state which nobody taught the
simulator makes it fail instead of being left out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.simulation.errors import UnknownStateError

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "statemachine" / "migration.asl.json"

LAMBDA, BATCH = "arn:aws:states:::lambda:invoke", "arn:aws:states:::batch:submitJob.sync"

STATES = {
    "Prepare Run": "prepare_run",
    "Plan": "plan",
    "Read Plan": "read_plan",
    "How Many Children?": "",
    "Planned?": "",
    "Skip Run": "",
    "Wait For The Run At Work": "",
    "Migrate And Merge": "migrate-and-merge",
    "Migrate And Merge Shards": "migrate-and-merge",
    "Migrate Shards": "migrate",
    "Merge In Parts?": "",
    "Merge Parts": "merge",
    "Merge": "merge",
    "Read Result": "read_result",
}
"""The states, and the function or the job's verb that each one runs."""

_FIELDS = {
    "Task": {
        *("Type", "Comment", "Resource", "Parameters", "ResultSelector", "ResultPath", "OutputPath", "TimeoutSeconds"),
        *("Retry", "Catch", "Next", "End"),
    },
    "Choice": {"Type", "Comment", "Choices", "Default"},
    "Succeed": {"Type", "Comment", "OutputPath"},
    "Wait": {"Type", "Comment", "SecondsPath", "Next"},
}
_ARGUMENT = re.compile(r"'([^']*)'|(\$[\w.$]*)")
_ARRAY = re.compile(r"States\.Array\((.*)\)")
_FORMAT = re.compile(r"States\.Format\('([^']*)', *(\$[\w.]+)\)")


class StateMachine:
    """A state machine of Task, Choice, Wait and Succeed states.

    Args:
        text: The definition.

    Raises:
        UnknownStateError: It has a state, or a field of one, that the simulator does not know.
    """

    def __init__(self, text: str) -> None:
        definition = json.loads(text)
        self.start: str = definition["StartAt"]
        self.states: dict[str, dict[str, Any]] = definition["States"]
        for name, state in self.states.items():
            if name not in STATES:
                raise UnknownStateError(f"{FILE.name} has a state that the simulator does not know: {name}")
            unknown = set(state) - _FIELDS.get(state["Type"], set())
            if unknown:
                raise UnknownStateError(f"state {name} has fields that the simulator does not know: {sorted(unknown)}")
            if state["Type"] == "Task":
                _check_task(name, state)

    @classmethod
    def of_the_repository(cls) -> StateMachine:
        """The real one."""
        return cls(FILE.read_text(encoding="utf-8"))

    def choose(self, name: str, data: dict[str, Any]) -> str:
        """The state that comes after a Choice."""
        state = self.states[name]
        for choice in state["Choices"]:
            (comparison,) = set(choice) - {"Variable", "Next"}
            if comparison not in {"NumericEquals", "BooleanEquals", "StringEquals"}:
                raise UnknownStateError(
                    f"state {name} compares in a way that the simulator does not know: {comparison}"
                )
            if value(choice["Variable"], data, {}) == choice[comparison]:
                return str(choice["Next"])
        return str(state["Default"])

    def caught(self, name: str, error: str) -> str | None:
        """The state that follows an error of a function; None where nothing catches it. The data is as it was."""
        for rule in self.states[name].get("Catch", ()):
            if set(rule) != {"ErrorEquals", "ResultPath", "Next"} or rule["ResultPath"] is not None:
                raise UnknownStateError(f"state {name} catches in a way that the simulator does not know: {rule}")
            if error in rule["ErrorEquals"]:
                return str(rule["Next"])
        return None

    def retries(self, name: str, error: str) -> bool:
        """Whether a state is tried again after an error."""
        return any(error in rule["ErrorEquals"] for rule in self.states[name]["Retry"])


def after(state: dict[str, Any], data: Any, raw: dict[str, Any]) -> Any:
    """What a Task state hands to the next one, given its input and what its resource answered."""
    result = filled(state["ResultSelector"], raw, {}) if "ResultSelector" in state else raw
    path = state.get("ResultPath", "$")
    if path == "$":
        data = result
    else:
        data = json.loads(json.dumps(data))
        *parents, last = path.removeprefix("$.").split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = result
    return value(state["OutputPath"], data, {}) if "OutputPath" in state else data


def filled(template: Any, data: Any, context: dict[str, Any]) -> Any:
    """A payload template with its paths looked up."""
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): value(given, data, context) if name.endswith(".$") else filled(given, data, context)
        for name, given in template.items()
    }


def value(expression: str, data: Any, context: dict[str, Any]) -> Any:
    """What a path, `States.Array` or `States.Format` stands for.

    Raises:
        UnknownStateError: It is something else.
    """
    array = _ARRAY.fullmatch(expression)
    if array:
        return [text if not path else value(path, data, context) for text, path in _ARGUMENT.findall(array[1])]
    text = _FORMAT.fullmatch(expression)
    if text:
        return text[1].replace("{}", str(value(text[2], data, context)))
    if not re.fullmatch(r"\$\$?(\.\w+)*", expression):
        raise UnknownStateError(f"the simulator does not know the expression {expression}")
    found: Any = context if expression.startswith("$$") else data
    for name in expression.lstrip("$").split(".")[1:]:
        found = found[name]
    return found


def _check_task(name: str, state: dict[str, Any]) -> None:
    parameters = state["Parameters"]
    if state["Resource"] == LAMBDA:
        placeholder = "".join(part.title() for part in STATES[name].split("_"))
        known = parameters["FunctionName"] == f"${{{placeholder}FunctionArn}}"
    else:
        begin = f"States.Array('{STATES[name]}',"
        known = state["Resource"] == BATCH and parameters["ContainerOverrides"]["Command.$"].startswith(begin)
    if not known:
        raise UnknownStateError(f"state {name} does not run what the simulator takes it for: {STATES[name]}")
