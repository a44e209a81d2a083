"""How far a run is: its states, and the children of the array job at work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from console.aws import Aws

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

STATES: dict[str, tuple[str, ...]] = {
    "Prepare Run": ("Prepare Run",),
    "Plan": ("Plan",),
    "Read Plan": ("Read Plan",),
    "Migrate": ("Migrate Shards", "Migrate One Shard"),
    "Merge": ("Merge",),
    "Read Result": ("Read Result",),
}
"""The steps that people see, in order, and the states of the state machine that each stands for."""

Status = Literal["waiting", "running", "succeeded", "failed", "skipped"]


@dataclass(frozen=True)
class Children:
    """The children of an array job by status, or the one job of a run with one shard."""

    total: int
    succeeded: int = 0
    failed: int = 0
    running: int = 0

    @property
    def done(self) -> int:
        """How many have ended, either way."""
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: As `STATES` has it.
        status: "skipped" where the state machine went past it.
        started: When its state was entered, None before.
        ended: When it was left or failed, None before.
        children: How the shards stand, for Migrate only, and only once they are known.
    """

    name: str
    status: Status = "waiting"
    started: datetime | None = None
    ended: datetime | None = None
    children: Children | None = None


@dataclass(frozen=True)
class RunProgress:
    """A run at one moment.

    Attributes:
        status: Step Functions' own: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED.
        steps: Every step, in order.
        execution: What DescribeExecution says.
    """

    status: str
    steps: tuple[Step, ...]
    execution: DescribeExecutionOutputTypeDef

    @property
    def ended(self) -> bool:
        """Whether the execution has come to its end."""
        return self.status != "RUNNING"


def observe(aws: Aws, execution_arn: str) -> RunProgress:
    """Look at a run: one DescribeExecution, its history, and one DescribeJobs while shards are worked."""
    # First the description, then the history: a run that is described as ended has its whole history.
    execution = aws.step_functions.describe_execution(executionArn=execution_arn)
    events = list(history(aws, execution_arn))
    steps = steps_of(events, ended=execution["status"] != "RUNNING")
    children = _children(aws, events)
    return RunProgress(
        execution["status"],
        tuple(
            Step(step.name, step.status, step.started, step.ended, children if step.name == "Migrate" else None)
            for step in steps
        ),
        execution,
    )


def history(aws: Aws, execution_arn: str) -> Iterator[dict[str, Any]]:
    """Every event of an execution, oldest first."""
    pages = aws.step_functions.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, PaginationConfig={"PageSize": 1000}
    )
    for page in pages:
        yield from page["events"]  # type: ignore[misc]  # a TypedDict of 60 optional members; we read three


def steps_of(events: Iterable[dict[str, Any]], *, ended: bool) -> tuple[Step, ...]:
    """The steps as a history tells them.

    Args:
        events: The history, oldest first.
        ended: Whether the execution has ended: a state that was entered and never left has failed then.
    """
    named = {state: step for step, states in STATES.items() for state in states}
    seen: dict[str, Step] = {}
    at = None
    for event in events:
        at = event["timestamp"]
        if name := named.get(event.get("stateEnteredEventDetails", {}).get("name", "")):
            seen[name] = Step(name, "running", at)
        elif name := named.get(event.get("stateExitedEventDetails", {}).get("name", "")):
            seen[name] = Step(name, "succeeded", seen[name].started if name in seen else at, at)
    last = max((list(STATES).index(name) for name in seen), default=-1)
    return tuple(
        _closed(seen[name], at if ended else None)
        if name in seen
        else Step(name, "skipped" if position < last else "waiting")
        for position, name in enumerate(STATES)
    )


def migrate_job(events: Iterable[dict[str, Any]]) -> str | None:
    """The id of the job that works the shards, from the history's TaskSubmitted event; None before it."""
    state, job = "", None
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event["type"] == "TaskSubmitted" and state in STATES["Migrate"]:
            job = json.loads(event["taskSubmittedEventDetails"]["output"]).get("JobId")
    return job


def _children(aws: Aws, events: list[dict[str, Any]]) -> Children | None:
    job_id = migrate_job(events)
    jobs = aws.batch.describe_jobs(jobs=[job_id])["jobs"] if job_id else []
    if not jobs:
        return None
    array = jobs[0].get("arrayProperties", {})
    if "size" in array:
        summary = array.get("statusSummary", {})
        return Children(
            array["size"],
            succeeded=summary.get("SUCCEEDED", 0),
            failed=summary.get("FAILED", 0),
            running=summary.get("RUNNING", 0) + summary.get("STARTING", 0),
        )
    status = jobs[0]["status"]
    return Children(1, int(status == "SUCCEEDED"), int(status == "FAILED"), int(status in ("STARTING", "RUNNING")))


def _closed(step: Step, at: datetime | None) -> Step:
    """A step that was still running when its execution ended."""
    return step if at is None or step.ended else Step(step.name, "failed", step.started, at)
