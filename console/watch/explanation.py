"""Why a run failed: the failed state's real error, found where AWS keeps it.

A failed Lambda state carries its error in the Cause. A failed Batch state carries the job in the Cause, and an array
job's own reason is "Array Child Job failed": the way on leads over the first failed child to the last error in its
log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import millrace.errors
from console.errors import RunFailedError
from console.file_names import shown
from console.find.aws import Aws
from console.find.job_logs import log_lines, streams_of
from console.watch.progress import history

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

TOO_LONG = ("States.Timeout", "Sandbox.Timedout", "Lambda.Unknown")
"""How a call of a function ends that took too long."""

TOOK_TOO_LONG = "it took longer than it may"
WAY_ON = (
    ", in every retry. Mostly too much was started at once for this machine, or for the account's Lambda concurrency: "
    "resume the run when there is less to do, and start fewer runs at a time"
)

LAST_LINES = 100
"""How many lines of a job's log are searched for its error: the job writes it last."""


def explain(aws: Aws, execution: DescribeExecutionOutputTypeDef) -> RunFailedError:
    """The error of an execution that ended otherwise than well.

    Args:
        aws: Where it ran.
        execution: What DescribeExecution says of it; its status is FAILED, TIMED_OUT or ABORTED.
    """
    status = execution["status"]
    state = failed_state(history(aws, execution["executionArn"]))
    error, cause = execution.get("error", ""), execution.get("cause", "")
    if status == "ABORTED":
        why = ": ".join(part for part in (error, cause) if part)
        return RunFailedError("", "Aborted", f"somebody stopped it{f' ({why})' if why else ''}")
    if status == "TIMED_OUT":
        return RunFailedError(state, "States.Timeout", "the run took longer than the state machine allows")
    found = _json_object(cause)
    if error in TOO_LONG or found.get("errorType") in TOO_LONG:
        return RunFailedError(state, error, shown(str(found.get("errorMessage") or cause or TOOK_TOO_LONG)) + WAY_ON)
    if "JobId" in found:
        return _job_error(aws, state, found["JobId"], found.get("StatusReason", ""))
    if "errorMessage" in found:
        name = str(found.get("errorType") or error)
        return RunFailedError(state, name, shown(str(found["errorMessage"])), exit_code=exit_code_of(name))
    return RunFailedError(state, error or status, shown(cause), exit_code=exit_code_of(error))


def failed_state(events: Iterable[Mapping[str, Any]]) -> str:
    """The state that an execution was in when it ended: entered last, and not left."""
    state = ""
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event.get("stateExitedEventDetails", {}).get("name") == state:
            state = ""
    return state


def exit_code_of(error: str) -> int:
    """The exit code that belongs to an error's name; 1 for one that is not Millrace's."""
    found = getattr(millrace.errors, error, None)
    if isinstance(found, type) and issubclass(found, millrace.errors.MillraceError):
        return found.exit_code
    return 1


def last_error(lines: Iterable[str]) -> Mapping[str, Any] | None:
    """The last line of a job's log that tells an error, as the job wrote it: level, error, message, exit_code."""
    errors = (line for line in map(_json_object, reversed(list(lines))) if line.get("level") in ("ERROR", "CRITICAL"))
    return next(errors, None)


def log_tail(aws: Aws, job: JobDetailTypeDef) -> list[str]:
    """The last lines that a job's last attempt wrote; none where it never started."""
    streams = streams_of(job)
    return log_lines(aws, job, streams[-1], LAST_LINES) if streams else []


def _job_error(aws: Aws, state: str, job_id: str, reason: str) -> RunFailedError:
    jobs = aws.batch.describe_jobs(jobs=[job_id])["jobs"]
    if not jobs:
        return RunFailedError(state, "JobFailed", f"{reason} (job {job_id}; Batch has forgotten it)")
    job, where = jobs[0], f"job {job_id}"
    array = job.get("arrayProperties", {})
    if "size" in array:
        child = _first_failed_child(aws, job_id)
        if child is None:
            return RunFailedError(state, "JobFailed", f"{job.get('statusReason', reason)} ({where})")
        failed = array.get("statusSummary", {}).get("FAILED", 0)
        shard = child.get("arrayProperties", {}).get("index", 0)
        job, where = child, f"shard {shard}, the first of {failed:,} failed of {array['size']:,}; job {child['jobId']}"
    told = last_error(log_tail(aws, job))
    code = job.get("container", {}).get("exitCode")
    if told is None:
        ended = job.get("container", {}).get("reason") or job.get("statusReason") or reason
        with_code = f", exit code {code}" if code is not None else ""
        return RunFailedError(state, "JobFailed", f"{shown(ended)}{with_code} ({where})", exit_code=_ours(code))
    message = f"{shown(str(told.get('message', '')))} ({where})"
    return RunFailedError(
        state, str(told.get("error", "JobFailed")), message, exit_code=_ours(told.get("exit_code", code))
    )


def _first_failed_child(aws: Aws, array_job_id: str) -> JobDetailTypeDef | None:
    """The failed child of the lowest index."""
    pages = aws.batch.get_paginator("list_jobs").paginate(arrayJobId=array_job_id, jobStatus="FAILED")
    children = [child["jobId"] for page in pages for child in page["jobSummaryList"]]
    if not children:
        return None
    first = min(children, key=lambda job_id: int(job_id.rpartition(":")[2]))
    return next(iter(aws.batch.describe_jobs(jobs=[first])["jobs"]), None)


def _ours(exit_code: object) -> int:
    """A job's exit code as the command's: 2 and 3 say what they say, all else (137: killed) is "something broke"."""
    return exit_code if isinstance(exit_code, int) and exit_code in (2, 3) else 1


def _json_object(text: str) -> dict[str, Any]:
    """The object that a text holds as JSON; empty where it holds none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
