"""The stack's own events: docs/events/ has the schema of each, and consumers rely on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from millrace.aws.events import Job, JobEnded, QueueBlocked, RunEnded
from millrace.aws.job_failures import RunError
from millrace.errors import InvalidRunRequest, shortened
from millrace.layout import RunFolder, S3Uri
from millrace.request.chained import next_request
from millrace.request.labels import labels_of
from millrace.text import seconds_between
from notification.resumption import attention, region_of, resumption
from notification.run_facts import RunFacts
from notification.slow_runs import SlowRun

SOURCE = "millrace"
RUN_ENDED = "Millrace Run Ended"
JOB_ENDED = "Millrace Job Ended"
QUEUE_BLOCKED = "Millrace Job Queue Blocked"
RUN_SLOW = "Millrace Run Slow"

TEXT_CHARACTERS = 2000
"""Errors and messages are cut at this length: an event and a message stay far below their limits."""

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


@dataclass(frozen=True, slots=True)
class Document:
    """An event of ours.

    Attributes:
        event: What happened, one word: RUN_FAILED, JOB_SUCCEEDED, QUEUE_BLOCKED. `NOTIFY_ON` and filters use it.
        detail_type: The event's type on the bus.
        resources: The ARNs it is about.
        detail: The event's detail.
    """

    event: str
    detail_type: str
    resources: tuple[str, ...]
    detail: dict[str, Any]


def run_ended(
    ended: RunEnded, facts: RunFacts, error: RunError | None, cost: dict[str, Any] | None = None, stack_name: str = ""
) -> Document:
    """The end of a run.

    Args:
        ended: AWS's event.
        facts: What the run folder holds.
        error: Why it failed.
        cost: What it cost.
        stack_name: The stack that the line for `millrace` names.
    """
    folder, result = ended.folder, facts.result
    counts = result.get("counts")
    failed = counts.get("failed", 0) if isinstance(counts, dict) else 0
    succeeded, skipped = ended.status == "SUCCEEDED", ended.skipped
    named = succeeded and result.get("status") in ("SUCCEEDED_WITH_FAILURES", "SKIPPED")
    status = str(result["status"]) if named else ended.status
    name, tags = labels_of(ended.input)
    detail = {
        "version": "1",
        "id": ended.key,
        "event": f"RUN_{status}",
        "run_id": ended.run_id,
        "name": name,
        "tags": tags,
        "status": status,
        "execution_arn": ended.execution_arn,
        "state_machine_arn": ended.state_machine_arn,
        "redrive_count": ended.redrive_count,
        "started_at": ended.started_at,
        "stopped_at": ended.stopped_at,
        "duration_seconds": _seconds(ended.started_at, ended.stopped_at),
        "workload": _text(ended.output.get("workload")) if skipped else facts.workload,
        "source": _text(ended.input.get("source")),
        "destination": _text(ended.input.get("destination")),
        "planned": None if facts.planned is None else dict(facts.planned),
        "shards_committed": facts.committed,
        "counts": result.get("counts"),
        "failures": result.get("failures") or {},
        "reuse": _reuse(result.get("reuse")),
        "most_frequent": [asdict(each) for each in facts.failures],
        "error": _error(error),
        "cost": cost,
        "next_run": _next(ended),
        "at_work": ended.output.get("at_work") if skipped else None,
        "run_folder": None if folder is None or skipped else str(folder.root),
        "result": str(folder.file("result.json")) if folder is not None and result and not skipped else None,
        "report": _text(result.get("page")),
        "resume": resumption(ended, failed, error, stack_name, planned=facts.planned is not None),
        "links": {
            "execution": _execution_page(ended.execution_arn),
            "run_folder": None if folder is None or skipped else _folder_page(ended.execution_arn, folder.root),
        },
    }
    return Document(f"RUN_{status}", RUN_ENDED, (ended.execution_arn,), detail)


def job_ended(ended: JobEnded, error: RunError | None) -> Document:
    """The end of a plain job, or of an array job with all its children."""
    job, event = ended.job, f"JOB_{ended.job.status}"
    detail = {
        "version": "1",
        "id": ended.key,
        "event": event,
        **_job(job),
        "status": job.status,
        "reason": shortened(job.reason, TEXT_CHARACTERS),
        "attempts": job.attempts,
        "exit_code": job.exit_code,
        "children": None if job.size is None else {
            "size": job.size,
            "succeeded": job.children.get("SUCCEEDED", 0),
            "failed": job.children.get("FAILED", 0),
        },
        "started_at": job.started_at,
        "stopped_at": job.stopped_at,
        "duration_seconds": _seconds(job.started_at, job.stopped_at),
        "error": _error(error),
    }  # fmt: skip
    return Document(event, JOB_ENDED, _job_arn(job), detail)


def run_slow(slow: SlowRun, stack_name: str = "") -> Document:
    """A run takes much longer than was estimated, or waits for a place."""
    run, folder = slow.run, slow.run.folder
    name, tags = labels_of(run.input)
    detail = {
        "version": "1",
        "id": slow.key,
        "event": "RUN_SLOW",
        "run_id": run.run_id,
        "name": name,
        "tags": tags,
        "status": run.status,
        "execution_arn": run.execution_arn,
        "state_machine_arn": run.state_machine_arn,
        "redrive_count": run.redrive_count,
        "started_at": run.started_at,
        "duration_seconds": round(slow.seconds, 3),
        "estimated_seconds": None if slow.estimated_seconds is None else round(slow.estimated_seconds, 3),
        "workload": _text(run.input.get("workload", "word-count")),
        "source": _text(run.input.get("source")),
        "destination": _text(run.input.get("destination")),
        "shards": slow.shards,
        "shards_committed": slow.committed,
        "job_id": slow.job_id or None,
        "reason": shortened(slow.reason, TEXT_CHARACTERS),
        "run_folder": None if folder is None else str(folder.root),
        "commands": attention(run.execution_arn, run.run_id, stack_name),
        "links": {
            "execution": _execution_page(run.execution_arn),
            "run_folder": None if folder is None else _folder_page(run.execution_arn, folder.root),
        },
    }
    return Document("RUN_SLOW", RUN_SLOW, (run.execution_arn,), detail)


def queue_blocked(blocked: QueueBlocked, stack_name: str = "") -> Document:
    """The head of a queue cannot start."""
    job, event = blocked.job, "QUEUE_BLOCKED"
    detail = {
        "version": "1",
        "id": blocked.key,
        "event": event,
        **_job(job),
        "reason": shortened(job.reason, TEXT_CHARACTERS),
        "seen_at": blocked.seen_at,
        "commands": attention(job.queue, None if job.folder is None else job.folder.run_id, stack_name),
    }
    return Document(event, QUEUE_BLOCKED, (job.queue, *_job_arn(job)), detail)


def _job(job: Job) -> dict[str, Any]:
    folder: RunFolder | None = job.folder
    return {
        "job_id": job.id,
        "job_name": job.name,
        "job_queue": job.queue,
        "verb": job.verb,
        "run_id": None if folder is None else folder.run_id,
        "run_folder": None if folder is None else str(folder.base.root),
        "links": {"job": _job_page(job.queue, job.id)},
    }


def _job_arn(job: Job) -> tuple[str, ...]:
    return (f"{job.queue.partition(':job-queue/')[0]}:job/{job.id}",)


def _reuse(section: object) -> dict[str, Any] | None:
    """What a message says of the section `reuse` of result.json."""
    if not isinstance(section, dict):
        return None
    numbers = ("base_retry", "kept", "changed", "new", "removed", "kept_shards", "kept_bytes")
    return {
        "base": _text(section.get("base")) or None,
        **{name: section[name] if type(section.get(name)) is int else 0 for name in numbers},
        "why_not": _text(section.get("why_not")) or None,
    }


def _error(error: RunError | None) -> dict[str, Any] | None:
    return (
        None
        if error is None
        else {"name": error.name, "message": shortened(error.message, TEXT_CHARACTERS), "job_id": error.job_id}
    )


def _seconds(start: str | None, end: str | None) -> float | None:
    return None if start is None or end is None else round(seconds_between(start, end), 3)


def _next(ended: RunEnded) -> dict[str, str] | None:
    """The run that follows, by its id and folders; None where none does."""
    result = ended.output.get("result") if ended.status == "SUCCEEDED" else None
    if not isinstance(result, str):
        return None
    try:
        request = next_request(ended.input, ended.run_id, result)
    except InvalidRunRequest:
        return None
    return None if request is None else {name: str(request.get(name)) for name in ("run_id", "source", "destination")}


def _text(value: object) -> str | None:
    return shortened(value, TEXT_CHARACTERS) if isinstance(value, str) else None


def _execution_page(execution_arn: str) -> str:
    """The execution in the Step Functions console."""
    page = f"{_console(execution_arn)}/states/home?region={region_of(execution_arn)}"
    return f"{page}#/v2/executions/details/{execution_arn}"


def _job_page(queue_arn: str, job_id: str) -> str:
    """The job in the Batch console."""
    return f"{_console(queue_arn)}/batch/home?region={region_of(queue_arn)}#jobs/detail/{quote(job_id, safe='')}"


def _folder_page(arn: str, folder: S3Uri) -> str:
    """A folder in the S3 console, in the partition and region of some ARN."""
    return f"{_console(arn)}/s3/buckets/{folder.bucket}?region={region_of(arn)}&prefix={quote(folder.key, safe='')}"


def _console(arn: str) -> str:
    return f"https://{region_of(arn)}.{_CONSOLES.get(arn.split(':')[1], 'console.aws.amazon.com')}"
