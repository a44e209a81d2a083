"""The steps of a run as people see them, read from the execution's history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

STATES: dict[str, tuple[str, ...]] = {
    "Prepare Run": ("Prepare Run",),
    "Plan": ("Plan",),
    "Read Plan": ("Read Plan",),
    "Migrate": ("Migrate Shards", "Migrate And Merge Shards", "Read Plan, again"),
    "Merge": ("Merge Parts", "Merge"),
    "Migrate And Merge": ("Migrate And Merge",),
    "Read Result": ("Read Result",),
}
"""The steps that people see, in order, and the states of the state machine that each stands for. Once something was
migrated, Read Plan is part of that step: it sizes the next array."""

AGAIN = ", again"
"""What `states_of` calls Read Plan by then."""

APART, TOGETHER = ("Migrate", "Merge"), "Migrate And Merge"
"""Two jobs, or one: of these, only what a run came to is shown; the two, as long as nothing is known."""

SKIPPED = {"Plan": "done by Prepare Run", "Merge": "done by Migrate"}
"""What became of a step that the state machine went past: nothing, but for these."""

Status = Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]


@dataclass(frozen=True)
class Children:
    """The children of the array job at work, or of the last one, by status; or the one job that does it all."""

    total: int
    succeeded: int = 0
    failed: int = 0
    running: int = 0
    starting: int = 0
    runnable: int = 0
    cancelled: int = 0

    @property
    def done(self) -> int:
        """How many have ended, either way."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def at_work(self) -> int:
        """How many have a container, or are about to."""
        return self.running + self.starting


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: As `STATES` has it.
        status: "skipped" where the state machine went past it.
        started: When its state was entered, None before.
        ended: When it was left or failed, None before.
        children: How the children stand, for Migrate only, and only once they are known.
        job_id: The job that the step submitted last, None for what is no job.
    """

    name: str
    status: Status = "waiting"
    started: datetime | None = None
    ended: datetime | None = None
    children: Children | None = None
    job_id: str | None = None


def steps_from(states: Mapping[str, Step]) -> tuple[Step, ...]:
    """The steps, from what `states_of` found: a step begins with the first of its states, and stands as the last."""
    named = {state: step for step, states in STATES.items() for state in states}
    seen: dict[str, Step] = {}
    for name, state in states.items():
        if name in named:
            first = seen.get(named[name], state)
            seen[named[name]] = replace(state, name=named[name], started=first.started)
    last = max((list(STATES).index(name) for name in seen), default=-1)
    hidden = {*APART} - {*seen} if TOGETHER in seen else {TOGETHER}
    return tuple(
        seen.get(name) or Step(name, "skipped" if position < last else "waiting")
        for position, name in enumerate(STATES)
        if name in seen or name not in hidden
    )


def states_of(events: Iterable[dict[str, Any]], *, ended: bool, cancelled: bool = False) -> dict[str, Step]:
    """The states in a history, by their own names, the one that was entered last at the end.

    A state that is entered several times began with the first; Read Plan after the first array is a step of its own.
    Where a small job has handed back, the plan is read again behind Read Result: what that said counts for nothing.

    Args:
        events: The history, oldest first.
        ended: Whether the execution has ended: a state that was entered and never left has failed then.
        cancelled: Whether it was stopped: such a state was cancelled then.
    """
    seen: dict[str, Step] = {}
    at = None
    for event in events:
        at = event["timestamp"]
        if name := event.get("stateEnteredEventDetails", {}).get("name"):
            name = _told_apart(name, seen)
            if name == "Read Plan":
                seen.pop("Read Result", None)
            before = seen.pop(name, None)
            seen[name] = Step(name, "running", before.started if before else at)
        elif name := event.get("stateExitedEventDetails", {}).get("name"):
            name = _told_apart(name, seen)
            seen[name] = Step(name, "succeeded", seen[name].started if name in seen else at, at)
    status: Status = "cancelled" if cancelled else "failed"
    return {name: _closed(state, at if ended else None, status) for name, state in seen.items()}


def _told_apart(name: str, seen: Mapping[str, Step]) -> str:
    migrated = any(state in seen for state in STATES["Migrate"])
    return name + AGAIN if name == "Read Plan" and migrated else name


def submitted_jobs(events: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The last job that each step submitted, by the step's name, from the history's TaskSubmitted events."""
    named = {state: step for step, states in STATES.items() for state in states}
    jobs: dict[str, str] = {}
    state = ""
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event["type"] == "TaskSubmitted" and state in named:
            job_id = json.loads(event["taskSubmittedEventDetails"]["output"]).get("JobId")
            if job_id:
                jobs[named[state]] = job_id
    return jobs


def state_outputs(events: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last output of each state that was left, by the state's name, where it is an object."""
    outputs: dict[str, dict[str, Any]] = {}
    for event in events:
        details = event.get("stateExitedEventDetails", {})
        found = json.loads(details["output"]) if details.get("output") else None
        if isinstance(found, dict):
            outputs[details["name"]] = found
    return outputs


def _closed(step: Step, at: datetime | None, status: Status) -> Step:
    """A step that was still running when its execution ended."""
    return step if at is None or step.ended else Step(step.name, status, step.started, at)
