"""Runs that take much longer than was estimated: nothing tells of what does not happen, so they are looked for.

The estimate is `millrace estimate`'s, of the plan's items at the plan's pace. A run without a plan after the least time
waits for something too. Each is told once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.aws.events import RunEnded, json_object
from millrace.aws.run_jobs import UNENDED, jobs_of
from millrace.cost.course import Jobs, course, even_shards
from millrace.cost.known_pace import pace_so_far
from millrace.errors import DamagedFileError
from millrace.records.files import listed_shards, plan_if_there
from millrace.records.folders import newest_folder
from millrace.records.plan import Plan
from millrace.s3.verbs import S3
from millrace.text import duration_text, iso_time

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_stepfunctions import SFNClient

LOOK = "Millrace Look At Runs"
"""The detail-type of what the stack's own rule calls the function with."""

MOST_RUNS = 100
"""So many runs are looked at each time: DescribeExecution allows 300 at once."""

UNKNOWN = (
    "Batch gives no reason. Usually other jobs use all vCPUs of the stack, or the account's Fargate quota is used up"
)


@dataclass(frozen=True, slots=True)
class Slowness:
    """From when on a run is slow.

    Attributes:
        least_seconds: Never before it is this old.
        times: It has taken this many times of what was estimated.
    """

    least_seconds: float
    times: float

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> Slowness:
        """Read what the stack's rule says."""
        detail = event["detail"]
        return cls(float(detail["least_seconds"]), float(detail["times"]))


@dataclass(frozen=True, slots=True)
class SlowRun:
    """A run that is slow.

    Attributes:
        run: Its execution; it has not ended.
        seconds: How long it has been at work.
        estimated_seconds: How long it was to take in all; None where it has no plan, or one without a pace.
        shards: The shards of its plan; None without one.
        committed: How many of them are done.
        job_id: The job that it waits for; empty where none of its jobs waits.
        reason: Why it is slow, as far as that is known.
    """

    run: RunEnded
    seconds: float
    estimated_seconds: float | None
    shards: int | None
    committed: int | None
    job_id: str
    reason: str

    @property
    def key(self) -> str:
        """What identifies this: a run is reported once, and once more after it was redriven."""
        return f"slow {self.run.execution_arn} {self.run.redrive_count}"


@dataclass(frozen=True, slots=True)
class RunWatch:
    """Finds the runs that are slow.

    Attributes:
        states: A boto3 Step Functions client.
        batch: A boto3 Batch client.
        queues: The ARNs of the stack's queues.
        state_machine_arn: The workflow.
        size: How the stack runs jobs.
        clock: The time, in seconds since 1970.
    """

    states: SFNClient
    batch: BatchClient
    queues: Sequence[str]
    state_machine_arn: str
    size: Jobs
    clock: Callable[[], float] = time.time

    def slow(self, slowness: Slowness, s3: S3) -> Iterator[SlowRun]:
        """The runs at work that are slow.

        Raises:
            ClientError: Step Functions or Batch refused, or is busy.
            StorageError: S3 is broken or busy.
        """
        now, looked_at = self.clock(), 0
        pages = self.states.get_paginator("list_executions").paginate(
            stateMachineArn=self.state_machine_arn, statusFilter="RUNNING"
        )
        for each in (each for page in pages for each in page["executions"]):
            started = max(each["startDate"], each.get("redriveDate") or each["startDate"])
            seconds = now - started.timestamp()
            if seconds < slowness.least_seconds:
                continue
            if looked_at == MOST_RUNS:
                return
            looked_at += 1
            found = self.states.describe_execution(executionArn=each["executionArn"])
            if found["status"] == "RUNNING":
                yield from self._judged(_run(found, started), seconds, slowness, s3)

    def _judged(self, run: RunEnded, seconds: float, slowness: Slowness, s3: S3) -> Iterator[SlowRun]:
        folder, plan, committed = run.folder, None, None
        if folder is None:
            return
        with suppress(DamagedFileError):
            folder = newest_folder(folder, s3)
            plan = plan_if_there(folder, s3)
        waiting = [job for job in jobs_of(self.batch, self.queues, run.run_id, run.folder) if job["status"] in UNENDED]
        if plan is None and not waiting:
            return  # it waits for another run, or is just being planned
        estimated = None if plan is None else self.estimate(plan)
        if estimated is not None and seconds <= slowness.times * estimated:
            return
        stuck = next((job for job in waiting if _is_stuck(job)), None)
        if estimated is None and stuck is None:
            return  # nothing is known of its pace, and it is at work
        if plan is not None:
            committed = sum(1 for _ in listed_shards(folder.commit, range(plan.shards), s3))
        yield SlowRun(
            run,
            seconds,
            estimated,
            None if plan is None else plan.shards,
            committed,
            "" if stuck is None else str(stuck["jobId"]),
            _reason(stuck, estimated, self.clock()),
        )

    def estimate(self, plan: Plan) -> float | None:
        """How long a run was to take, in seconds; None where nothing is known of its pace."""
        pace = pace_so_far(plan.pace, ())
        if pace is None:
            return None
        kept = (plan.reuse.kept, plan.reuse.kept_bytes, plan.reuse.kept_shards) if plan.reuse else (0, 0, 0)
        shards = even_shards(plan.items - kept[0], plan.total_bytes - kept[1], plan.shards - kept[2])
        # As if a job had planned it: the plan does not say who did.
        return course(shards, plan.items + sum(plan.skipped.values()), self.size, pace).total_seconds


def _run(found: Mapping[str, Any], started: datetime) -> RunEnded:
    """An execution that is at work, in the form of one that ended."""
    return RunEnded(
        execution_arn=found["executionArn"],
        state_machine_arn=found["stateMachineArn"],
        name=found["name"],
        status=found["status"],
        redrive_count=found.get("redriveCount") or 0,
        redrivable=False,
        started_at=iso_time(started.timestamp() * 1000),
        stopped_at=None,
        input=json_object(found.get("input")),
    )


def _is_stuck(job: Mapping[str, Any]) -> bool:
    """Whether nothing of a job runs: it, or all of an array's children that have not ended, wait in RUNNABLE."""
    array = job.get("arrayProperties") or {}
    if "size" not in array:
        return job["status"] in ("SUBMITTED", "PENDING", "RUNNABLE")
    summary = array.get("statusSummary") or {}
    return not summary.get("RUNNING") and not summary.get("STARTING")


def _reason(stuck: Mapping[str, Any] | None, estimated: float | None, now: float) -> str:
    if stuck is None:
        return f"it was estimated to take {duration_text(estimated or 0)} in all; its jobs are at work"
    waited = duration_text(max(0.0, now - stuck.get("createdAt", 0) / 1000))
    size = (stuck.get("arrayProperties") or {}).get("size")
    what = f"job {stuck['jobName']}" if size is None else f"array {stuck['jobName']} of {size:,} children"
    return f"{what} waits for a place, made {waited} ago: {stuck.get('statusReason') or UNKNOWN}"
