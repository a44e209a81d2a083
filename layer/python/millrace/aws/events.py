"""The events of AWS that the notify function is given, as types; what they hold beyond that is let pass.

Batch user guide, "Job state change events" and "Job queue blocked events"; Step Functions developer guide,
"Execution status change events". Both say that properties may be added, so no unknown one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.errors import DamagedFileError, InvalidRunRequest
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.text import iso_time

JOB_CHANGE = "Batch Job State Change"
EXECUTION_CHANGE = "Step Functions Execution Status Change"
QUEUE_BLOCKED = "Batch Job Queue Blocked"

VERBS = ("plan", "migrate", "merge", "migrate-and-merge")


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An execution ended.

    Attributes:
        execution_arn: The execution.
        state_machine_arn: Its state machine.
        name: The execution's name.
        status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
        redrive_count: How often it was redriven before it ended this time.
        redrivable: Whether it can be redriven from where it stopped.
        started_at: ISO 8601, UTC.
        stopped_at: ISO 8601, UTC.
        input: The execution's input; empty where the event does not include it, or it is no JSON object.
        output: Its output, likewise.
        error: The error's name, where it failed.
        cause: The error's text: plain, or a job or a Lambda error as JSON.
    """

    execution_arn: str
    state_machine_arn: str
    name: str
    status: str
    redrive_count: int
    redrivable: bool
    started_at: str | None
    stopped_at: str | None
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    cause: str = ""

    @property
    def key(self) -> str:
        """What identifies this change: the same for every delivery, and for an event that AWS emits again."""
        return f"run {self.execution_arn} {self.status} {self.redrive_count}"

    @property
    def run_id(self) -> str:
        """The run's id: an earlier run's where the execution resumes it."""
        return str(self.input.get("run_id") or self.name)

    @property
    def folder(self) -> RunFolder | None:
        """The run's folder; None where the input does not say where."""
        try:
            return RunFolder.of(S3Uri.parse_folder(self.input.get("destination")), self.run_id)
        except InvalidRunRequest:
            return None

    @property
    def skipped(self) -> bool:
        """Whether it was skipped because another run was at work: then it has no folder and started no job."""
        return self.status == "SUCCEEDED" and self.output.get("status") == "SKIPPED"

    @classmethod
    def read(cls, detail: Mapping[str, Any]) -> RunEnded:
        """Read the event's detail."""
        return cls(
            execution_arn=detail["executionArn"],
            state_machine_arn=detail["stateMachineArn"],
            name=detail["name"],
            status=detail["status"],
            redrive_count=detail.get("redriveCount") or 0,
            redrivable=detail.get("redriveStatus") == "REDRIVABLE",
            started_at=_time(detail, "startDate"),
            stopped_at=_time(detail, "stopDate"),
            input=json_object(detail.get("input")),
            output=json_object(detail.get("output")),
            error=detail.get("error") or "",
            cause=detail.get("cause") or "",
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A Batch job as its event shows it.

    Attributes:
        id: The job's id.
        name: Its name.
        queue: Its queue's ARN.
        status: Its status.
        reason: Why it has that status; for an array job only "Array Child Job failed".
        attempts: How many attempts it took.
        exit_code: The last attempt's exit code.
        size: How many children an array job has; None for a plain job.
        children: An array job's children by status.
        started_at: ISO 8601, UTC.
        stopped_at: ISO 8601, UTC.
        command: The job's command.
    """

    id: str
    name: str
    queue: str
    status: str
    reason: str
    attempts: int
    exit_code: int | None
    size: int | None
    children: Mapping[str, int]
    started_at: str | None
    stopped_at: str | None
    command: tuple[str, ...]

    @property
    def verb(self) -> str | None:
        """plan, migrate, merge or migrate-and-merge; None for a job that is none of these."""
        return self.command[0] if self.command and self.command[0] in VERBS else None

    @property
    def folder(self) -> RunFolder | None:
        """The folder of the job's run, from its command; None for a job that is not one of a run."""
        options = dict(zip(self.command[1:], self.command[2:], strict=False))
        try:
            if "--plan" in options:
                return RunFolder.of_plan(S3Uri.parse(options["--plan"]))
            return RunFolder.of_request(S3Uri.parse(options.get("--request")))
        except InvalidRunRequest:
            return None

    @classmethod
    def read(cls, detail: Mapping[str, Any]) -> Job:
        """Read the detail of an event on a job."""
        array, container = detail.get("arrayProperties") or {}, detail.get("container") or {}
        return cls(
            id=detail["jobId"],
            name=detail["jobName"],
            queue=detail["jobQueue"],
            status=detail["status"],
            reason=detail.get("statusReason") or "",
            attempts=len(detail.get("attempts") or ()),
            exit_code=container.get("exitCode"),
            size=array.get("size"),
            children=array.get("statusSummary") or {},
            started_at=_time(detail, "startedAt"),
            stopped_at=_time(detail, "stoppedAt"),
            command=tuple(map(str, container.get("command") or ())),
        )


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A plain job, or an array job with all its children, ended."""

    job: Job

    @property
    def key(self) -> str:
        """As `RunEnded.key`."""
        return f"job {self.job.id} {self.job.status}"


@dataclass(frozen=True, slots=True)
class QueueBlocked:
    """The job at the head of a queue cannot start, and nothing behind it does; `job.reason` says why."""

    job: Job
    seen_at: str

    @property
    def key(self) -> str:
        """As `RunEnded.key`."""
        return f"queue {self.job.queue} {self.job.id} {self.job.reason}"


StateChange = RunEnded | JobEnded | QueueBlocked


def read_event(event: Mapping[str, Any]) -> StateChange:
    """Read what EventBridge delivers.

    Raises:
        DamagedFileError: It is not an event that the notify function's rules let through.
    """
    kind = event.get("detail-type")
    try:
        detail = event["detail"]
        if kind == EXECUTION_CHANGE:
            return RunEnded.read(detail)
        if kind == JOB_CHANGE:
            return JobEnded(Job.read(detail))
        if kind == QUEUE_BLOCKED:
            return QueueBlocked(Job.read(detail), event["time"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"this is not such an event: {error!r}", operation="read", target=str(kind)) from error
    raise DamagedFileError("no rule of the stack lets such events through", operation="read", target=str(kind))


def json_object(text: object) -> dict[str, Any]:
    """The object that a text holds as JSON; empty where it holds none."""
    try:
        found = read_json(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _time(detail: Mapping[str, Any], name: str) -> str | None:
    milliseconds = detail.get(name)
    # 0 is "not started": what AWS says of the parent of an array.
    return iso_time(milliseconds) if milliseconds else None
