"""Why a run failed: a failed job's last log line, where the array job says "Array Child Job failed"; and jobs' logs.

A failed Lambda state carries its error in the Cause. A failed Batch state carries the job in the Cause, and an array
job leads over its first failed child to the last error in that child's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import millrace.errors
from millrace.aws.events import RunEnded, json_object

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

LAST_LINES = 100
"""How many lines of a job's log are searched: it writes its error last."""

LOG_GROUP = "/aws/batch/job"
"""The group of a job without a log configuration of its own: Batch user guide, job states."""

PAGE_LINES = 1000
"""The most lines that are asked for at once: GetLogEvents gives 1 MB or 10,000 lines."""

UNKNOWN = ("ResourceNotFoundException", "ClientException", "AccessDeniedException")
"""What Batch and CloudWatch Logs answer for what is not there any more, or may not be seen."""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a job or a run failed.

    Attributes:
        name: The error's name: TooManyFailuresError, States.Timeout, JobFailed.
        message: Its text.
        job_id: The job that failed, a child's id where it was one; None where it was no job.
        exit_code: The command's exit code for it: 2 and 3 as the job or the error's type says, else 1.
        where: The job in words, the child and its array among them; empty where it was no job.
    """

    name: str
    message: str
    job_id: str | None = None
    exit_code: int = 1
    where: str = ""


@dataclass(frozen=True, slots=True)
class JobErrors:
    """Finds the errors of jobs.

    Attributes:
        batch: A boto3 Batch client.
        logs: A boto3 CloudWatch Logs client.
        most_pages: How many pages of failed children are searched for the lowest index; None: all.
    """

    batch: BatchClient
    logs: CloudWatchLogsClient
    most_pages: int | None = None

    def of_run(self, ended: RunEnded) -> RunError | None:
        """Why a run ended otherwise than well; None for one that succeeded, or of which nothing is known."""
        if ended.status == "SUCCEEDED" or not (ended.error or ended.cause):
            return None
        return self.of_cause(ended.error or ended.status, ended.cause)

    def of_cause(self, error: str, cause: str) -> RunError:
        """Why an execution failed.

        Args:
            error: The execution's error; where it has none, its status.
            cause: The execution's cause: a job, a Lambda's error, or text.
        """
        found = json_object(cause)
        if "JobId" in found:
            return self.of_job(str(found["JobId"]), str(found.get("StatusReason") or error))
        if "errorMessage" in found:
            name = str(found.get("errorType") or error)
            return RunError(name, str(found["errorMessage"]), exit_code=exit_code_of(name))
        return RunError(error, cause, exit_code=exit_code_of(error))

    def of_job(self, job_id: str, reason: str) -> RunError:
        """Why a job failed.

        Args:
            job_id: The job's id.
            reason: What Batch says; it stands where nothing better is found.
        """
        job = self._described(job_id)
        if not job:
            return RunError("JobFailed", reason, job_id, where=f"job {job_id}; Batch has forgotten it")
        where = f"job {job_id}"
        array = job.get("arrayProperties") or {}
        child_id = self._first_failed_child(job_id) if "size" in array else None
        child = self._described(child_id) if child_id is not None else {}
        if child_id is not None and child:
            job, job_id = child, child_id
            failed = (array.get("statusSummary") or {}).get("FAILED", 0)
            index = job_id.rpartition(":")[2]
            where = f"child {index}, the first of {failed:,} failed of {array['size']:,}; job {job_id}"
        container = job.get("container") or {}
        logged = last_error(self._log_tail(job))
        code = container.get("exitCode")
        if logged:
            name, message = str(logged.get("error", "JobFailed")), str(logged.get("message", ""))
            return RunError(name, message, job_id, _ours(logged["exit_code"]), where)
        ended = str(container.get("reason") or job.get("statusReason") or reason)
        return RunError(
            "JobFailed", f"{ended}, exit code {code}" if code is not None else ended, job_id, _ours(code), where
        )

    def _described(self, job_id: str) -> Mapping[str, Any]:
        try:
            found: list[Any] = list(self.batch.describe_jobs(jobs=[job_id])["jobs"])
        except ClientError as error:
            _let_pass(error)
            found = []
        return found[0] if found else {}

    def _first_failed_child(self, array_job_id: str) -> str | None:
        """The failed child of the lowest index, of the pages that are searched."""
        pages = self.batch.get_paginator("list_jobs").paginate(arrayJobId=array_job_id, jobStatus="FAILED")
        try:
            children = [child["jobId"] for page in islice(pages, self.most_pages) for child in page["jobSummaryList"]]
        except ClientError as error:
            _let_pass(error)
            return None
        return min(children, key=lambda job: int(job.rpartition(":")[2]), default=None)

    def _log_tail(self, job: Mapping[str, Any]) -> list[str]:
        try:
            return log_tail(self.logs, job)
        except ClientError as error:
            _let_pass(error)
            return []


def exit_code_of(error: str) -> int:
    """The exit code that belongs to an error's name; 1 for one that is not Millrace's."""
    found = getattr(millrace.errors, error, None)
    if isinstance(found, type) and issubclass(found, millrace.errors.MillraceError):
        return found.exit_code
    return 1


def last_error(lines: Iterable[str]) -> dict[str, Any] | None:
    """The last line of a job's log that has the job's error, as it wrote it: level, error, message, exit_code.

    The job's own last line has its exit code; a library's line, or an own workload's, may quote an object.
    """
    found = map(json_object, reversed(list(lines)))
    errors = (line for line in found if line.get("level") in ("ERROR", "CRITICAL") and "exit_code" in line)
    return next(errors, None)


def log_tail(logs: CloudWatchLogsClient, job: Mapping[str, Any]) -> list[str]:
    """The last lines that a job's last attempt wrote; none where it never started."""
    streams = streams_of(job)
    return log_lines(logs, job, streams[-1], LAST_LINES) if streams else []


def streams_of(job: Mapping[str, Any]) -> list[str]:
    """The log streams of a job's attempts, the first attempt first; none where it never started."""
    streams = [(attempt.get("container") or {}).get("logStreamName") for attempt in job.get("attempts") or ()]
    # The attempt at work is not among the attempts yet.
    streams.append((job.get("container") or {}).get("logStreamName"))
    return list(dict.fromkeys(stream for stream in streams if stream))


def log_group(job: Mapping[str, Any]) -> str:
    """The log group that a job writes to."""
    options = ((job.get("container") or {}).get("logConfiguration") or {}).get("options") or {}
    return str(options.get("awslogs-group", LOG_GROUP))


def log_lines(logs: CloudWatchLogsClient, job: Mapping[str, Any], stream: str, most: int) -> list[str]:
    """The last lines of a stream, the oldest first; none where it has expired or nothing has arrived yet."""
    group = log_group(job)
    lines: list[str] = []
    token: dict[str, str] = {}
    while len(lines) < most:
        try:
            answer = logs.get_log_events(
                logGroupName=group,
                logStreamName=stream,
                limit=min(PAGE_LINES, most - len(lines)),
                startFromHead=False,
                **token,  # type: ignore[arg-type]  # nextToken, or nothing
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return lines
        lines = [event["message"] for event in answer["events"]] + lines
        before = answer.get("nextBackwardToken", "")
        # The same token again: the stream's beginning (CloudWatch Logs API reference, GetLogEvents). A page may be
        # empty and not the last.
        if not before or token.get("nextToken") == before:
            break
        token = {"nextToken": before}
    return lines


def _ours(exit_code: object) -> int:
    """A job's exit code as the command's: 2 and 3 say what they say, all else (137: killed) is "something broke"."""
    return exit_code if isinstance(exit_code, int) and exit_code in (2, 3) else 1


def _let_pass(error: ClientError) -> None:
    """Raise again what another try may mend: throttling, a fault of the service."""
    if error.response.get("Error", {}).get("Code") not in UNKNOWN:
        raise error
