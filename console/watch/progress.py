"""How far a run is: its states, and the children of the array job at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.find.aws import Aws
from console.watch.shard_counts import Work
from console.watch.steps import AGAIN, Children, Step, state_outputs, states_of, steps_from, submitted_jobs

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef


CLOCKS_DIFFER_SECONDS = 1
"""How far the clocks of Step Functions and Batch may be apart."""


@dataclass(frozen=True)
class RunProgress:
    """A run at one moment.

    Attributes:
        status: Step Functions' own: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED.
        steps: Every step, in order.
        execution: What DescribeExecution says.
        plan: plan.json's URI; None before Prepare Run has ended.
        planned: shards, items and bytes of the plan; None before Read Plan has ended.
        work: How much of it is done; None where it was not counted.
        waiting: Why the job at work does not run; empty where it does, or where it was not asked for.
        states: The state machine's own states that were entered, by name.
        overlap: Which run is at work instead, where this one was skipped or waits; empty for a run that runs.
        reuse: What the run takes over of an earlier one: the section of plan.json, at the end that of result.json;
            None for a run without reuse, and where nobody looked.
    """

    status: str
    steps: tuple[Step, ...]
    execution: DescribeExecutionOutputTypeDef
    plan: str | None = None
    planned: Mapping[str, int] | None = None
    work: Work | None = None
    waiting: str = ""
    states: Mapping[str, Step] = field(default_factory=dict)
    overlap: str = ""
    reuse: Mapping[str, Any] | None = None

    @property
    def skipped(self) -> bool:
        """Whether it was skipped because another run was at work."""
        return bool(self.overlap) and self.status == "SUCCEEDED"

    @property
    def ended(self) -> bool:
        """Whether the execution has come to its end."""
        return self.status != "RUNNING"

    @property
    def shards_done(self) -> int:
        """How many shards are committed, as far as they were counted."""
        return self.work.committed.shards if self.work else 0

    @property
    def at_work(self) -> Step | None:
        """The step that is at work."""
        return next((step for step in self.steps if step.status == "running"), None)

    @property
    def since(self) -> datetime:
        """When the execution was started, or redriven last."""
        return self.execution.get("redriveDate") or self.execution["startDate"]


def observe(aws: Aws, execution_arn: str) -> RunProgress:
    """Look at a run: one DescribeExecution, its history, and one DescribeJobs while shards are worked."""
    # First the description, then the history: a run that is described as ended has its whole history.
    execution = aws.step_functions.describe_execution(executionArn=execution_arn)
    events = list(history(aws, execution_arn))
    cancelled = execution["status"] == "ABORTED"
    states = states_of(events, ended=execution["status"] != "RUNNING", cancelled=cancelled)
    jobs = submitted_jobs(events)
    children = _children(aws, jobs.get("Migrate"), execution.get("stopDate") if cancelled else None)
    outputs = state_outputs(events)
    prepared = outputs.get("Prepare Run", {}).get("run", {})
    return RunProgress(
        execution["status"],
        tuple(
            replace(step, children=children if step.name == "Migrate" else None, job_id=jobs.get(step.name))
            for step in steps_from(states)
        ),
        execution,
        plan=prepared.get("plan"),
        planned=outputs.get("Read Plan", {}).get("plan"),
        states={name.removesuffix(AGAIN): state for name, state in states.items()},
        overlap=str(prepared.get("message", "")) if prepared.get("overlap") else "",
    )


def history(aws: Aws, execution_arn: str) -> Iterator[dict[str, Any]]:
    """Every event of an execution, oldest first."""
    pages = aws.step_functions.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, PaginationConfig={"PageSize": 1000}
    )
    for page in pages:
        yield from page["events"]  # type: ignore[misc]  # a TypedDict of 60 optional members; we read three


def _children(aws: Aws, job_id: str | None, cancelled_at: datetime | None) -> Children | None:
    """How the children stand.

    Args:
        aws: Where the array is.
        job_id: The array, or the one job; None before there is one.
        cancelled_at: When the run was stopped: what Batch calls failed since then was terminated with it.
    """
    jobs = aws.batch.describe_jobs(jobs=[job_id])["jobs"] if job_id else []
    if not jobs:
        return None
    array = jobs[0].get("arrayProperties", {})
    ended: Iterable[Mapping[str, Any]]
    if "size" in array:
        summary = array.get("statusSummary", {})
        children = Children(
            array["size"],
            succeeded=summary.get("SUCCEEDED", 0),
            failed=summary.get("FAILED", 0),
            running=summary.get("RUNNING", 0),
            starting=summary.get("STARTING", 0),
            runnable=summary.get("RUNNABLE", 0),
        )
        ended = _failed_children(aws, jobs[0]["jobId"]) if cancelled_at is not None and children.failed else []
    else:
        states = ("SUCCEEDED", "FAILED", "RUNNING", "STARTING", "RUNNABLE")
        children = Children(1, *(int(jobs[0]["status"] == state) for state in states))
        ended = [jobs[0]] if children.failed else []
    if cancelled_at is None:
        return children
    cancelled = sum(was_cancelled(job, cancelled_at) for job in ended)
    return replace(children, failed=children.failed - cancelled, cancelled=cancelled)


def was_cancelled(job: Mapping[str, Any], cancelled_at: datetime) -> bool:
    """Whether a job that Batch calls failed was ended by the stop of its run, and not by itself before.

    Args:
        job: What ListJobs or DescribeJobs says of it.
        cancelled_at: When the run was stopped.
    """
    stopped = job.get("stoppedAt")  # milliseconds
    return stopped is None or stopped / 1000 >= cancelled_at.timestamp() - CLOCKS_DIFFER_SECONDS


def _failed_children(aws: Aws, array_job_id: str) -> Iterator[Mapping[str, Any]]:
    pages = aws.batch.get_paginator("list_jobs").paginate(arrayJobId=array_job_id, jobStatus="FAILED")
    for page in pages:
        yield from page["jobSummaryList"]
