"""This project's rules for every state: its comment, its time limit, what it lets into the history."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import Sources

JSONATA_FIELDS = ("QueryLanguage", "Assign", "Arguments", "Output")
"""The machine is JSONPath without variables, so that it runs unchanged on Step Functions Local too."""
KEPT_OF_A_JOB = (
    "JobId",
    "JobArn",
    "JobName",
    "Status",
    "StatusReason",
    "ArrayProperties",
    "CreatedAt",
    "StartedAt",
    "StoppedAt",
)
"""What a ResultSelector may keep of DescribeJobs' answer; Container holds the whole environment."""
LAMBDA = "arn:aws:states:::lambda:invoke"
GOING_ON = frozenset({"HandedBackError"})
"""Errors of the functions that are no failures: they say which state is next, without a Choice for each run."""

PATH = re.compile(r"(?<!\$)\$(?!\$)(?:\.(?P<member>\w+))?(?P<rest>[^\s,)'\"]*)")


def check(sources: Sources) -> Iterator[Fault]:
    """Comments, time limits, no Catch of a failure, and results that keep ids and counts only."""
    for machine in sources.machines:
        for field in ("Comment", "TimeoutSeconds"):
            if field not in machine.definition:
                yield Fault(machine.path, f"the machine has no {field}")
        if "QueryLanguage" in machine.definition:
            yield Fault(machine.path, "QueryLanguage: the machine is written in JSONPath, the default")
        for name, state in machine.states():
            where = machine.where(name)
            yield from _state_faults(state, where)
            yield from _catch_faults(state, machine.definition["States"], where)
            if state.get("Type") == "Task":
                yield from _task_faults(state, where)


def _state_faults(state: dict[str, Any], where: str) -> Iterator[Fault]:
    if not state.get("Comment"):
        yield Fault(where, "has no Comment: say what the state is for")
    for field in JSONATA_FIELDS:
        if field in state:
            yield Fault(where, f"has {field}: the machine is written in JSONPath without variables")


def _catch_faults(state: dict[str, Any], states: dict[str, Any], where: str) -> Iterator[Fault]:
    """A function may ask by an error of its own to go on elsewhere; that error and no other, and not to an end."""
    for catch in state.get("Catch", ()):
        asks = state.get("Resource") == LAMBDA and set(catch.get("ErrorEquals", ())) <= GOING_ON
        if not asks or states.get(catch.get("Next"), {}).get("Type") != "Task":
            yield Fault(where, "has a Catch: a failure that is caught cannot be redriven; EventBridge reports it")


def _task_faults(state: dict[str, Any], where: str) -> Iterator[Fault]:
    resource = state.get("Resource", "")
    if "TimeoutSeconds" not in state and "TimeoutSecondsPath" not in state:
        yield Fault(where, "has no TimeoutSeconds: a task without one waits for a year")
    if resource == "arn:aws:states:::batch:submitJob":
        yield Fault(where, "submits a job and does not wait for it: end the Resource with .sync")
    if not resource.endswith((".sync", ".sync:2")):
        return
    if "ResultSelector" not in state:
        yield Fault(where, "has no ResultSelector: the job's environment would enter the history")
        return
    for path in PATH.finditer(json.dumps(list(_paths(state["ResultSelector"])))):
        if path["member"] not in KEPT_OF_A_JOB:
            kept = ", ".join(KEPT_OF_A_JOB)
            yield Fault(f"{where}/ResultSelector", f"keeps {path[0]}, which may hold the environment: keep only {kept}")


def _paths(selector: Any) -> Iterator[str]:
    if isinstance(selector, list):
        for element in selector:
            yield from _paths(element)
    elif isinstance(selector, dict):
        for key, value in selector.items():
            if key.endswith(".$"):
                yield str(value)
            else:
                yield from _paths(value)
