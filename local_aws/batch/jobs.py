"""The records of jobs: a plain job, an array job, and the array's children.

An array of 10,000 is one small record: a child gets a record of its own only when something happens to it alone.
Until then it is "untouched", and its status is the one that all untouched children of the array share.
Every change goes through the scheduler, under its lock.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from local_aws.batch.retry import RetryStrategy
from local_aws.scope import Scope


def now_ms() -> int:
    """Milliseconds since 1970, the time of the Batch API."""
    return int(time.time() * 1000)


class Status(StrEnum):
    """The states of a job (Batch user guide, "Job states")."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """True for the two states that a job never leaves."""
        return self in {Status.SUCCEEDED, Status.FAILED}

    @property
    def started(self) -> bool:
        """True while the job holds a place to run."""
        return self in {Status.STARTING, Status.RUNNING}


class Stoppable(Protocol):
    """What the scheduler needs of a running task."""

    @property
    def pid(self) -> int:
        """The first process, as this machine numbers it."""

    def stop(self, grace_seconds: float) -> None:
        """Ask the task to end, and kill it when it has not ended in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What SubmitJob asked for, merged with the job definition; array children share one."""

    scope: Scope
    job_name: str
    queue_arn: str
    definition_arn: str
    container: dict[str, Any]
    """containerProperties with the overrides applied, in the API's shape."""
    overrides: dict[str, Any]
    """containerOverrides as submitted: what the 8,192-byte limit counts."""
    vcpus: float
    memory_mib: int
    retry: RetryStrategy
    attempt_seconds: int | None
    """attemptDurationSeconds, or None: no limit."""
    depends_on: tuple[dict[str, str], ...]
    parameters: dict[str, str]
    tags: dict[str, str]
    propagate_tags: bool
    platform_capabilities: tuple[str, ...]
    share: str | None
    priority: int
    created_at: int
    """Milliseconds since 1970, as every time in the Batch API."""


@dataclass(slots=True)
class Attempt:
    """One try at running a job, as `attempts[]` of DescribeJobs reports it."""

    started_at: int
    task_arn: str
    log_stream: str | None = None
    stopped_at: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    status_reason: str | None = None


@dataclass(slots=True, eq=False)
class Job:
    """A plain job, or one child of an array."""

    job_id: str
    spec: JobSpec
    status: Status = Status.SUBMITTED
    array: "ArrayJob | None" = None
    index: int | None = None
    status_reason: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    current: Attempt | None = None
    task: Stoppable | None = None
    compute_environment: str = ""
    """ARN of where it runs or ran last."""
    cancelled: bool = False
    terminated: bool = False
    stop_reason: str | None = None
    """Why the running attempt is being stopped; set, it also forbids a retry."""
    interruption: Any = None
    """A fault that a test put on the running attempt (local_aws.batch.faults.Fault)."""
    waits_for: set[str] = field(default_factory=set)

    @property
    def attempt(self) -> Attempt:
        """The attempt that is starting or running.

        Raises:
            RuntimeError: there is none.
        """
        if self.current is None:
            raise RuntimeError(f"job {self.job_id} is {self.status} and has no attempt")
        return self.current


@dataclass(slots=True, eq=False)
class ArrayJob:
    """The parent of an array: never runs itself, only counts its children."""

    job_id: str
    spec: JobSpec
    size: int
    status: Status = Status.SUBMITTED
    untouched_status: Status = Status.SUBMITTED
    untouched_reason: str | None = None
    children: dict[int, Job] = field(default_factory=dict)
    next_index: int = 0
    status_reason: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    cancelled: bool = False
    terminated: bool = False
    summary_at: int = 0
    waits_for: set[str] = field(default_factory=set)
    n_to_n: tuple["ArrayJob", ...] = ()
    sequential: bool = False
    counts: Counter[Status] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Count every child in the state it starts in."""
        self.counts[self.untouched_status] = self.size

    @property
    def childwise(self) -> bool:
        """True when each child waits for a dependency of its own (N_TO_N, SEQUENTIAL)."""
        return bool(self.n_to_n) or self.sequential

    @property
    def ended_count(self) -> int:
        """How many children have ended."""
        return self.counts[Status.SUCCEEDED] + self.counts[Status.FAILED]

    def child(self, index: int) -> Job:
        """The record of a child, made now when it was untouched."""
        child = self.children.get(index)
        if child is None:
            child = self.children[index] = self.preview(index)
        return child

    def preview(self, index: int) -> Job:
        """An untouched child as it would be described; the array does not keep it."""
        child = Job(f"{self.job_id}:{index}", self.spec, self.untouched_status, self, index, self.untouched_reason)
        if child.status.ended:
            child.stopped_at, child.cancelled, child.terminated = self.stopped_at, self.cancelled, self.terminated
        return child

    def child_status(self, index: int) -> Status:
        """The status of a child, without making a record of it."""
        child = self.children.get(index)
        return self.untouched_status if child is None else child.status

    def untouched(self) -> Iterator[int]:
        """The indexes of the children without a record."""
        return (index for index in range(self.size) if index not in self.children)

    def take_untouched(self) -> Job | None:
        """The next child that nothing has happened to yet, or None."""
        while self.next_index < self.size:
            index = self.next_index
            self.next_index += 1
            if index not in self.children:
                return self.child(index)
        return None


Record = Job | ArrayJob
