"""The real error of a failed job: a child's last log line, where the array job says "Array Child Job failed"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from millrace.aws.events import RunEnded, json_object

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

LAST_LINES = 50
"""How many lines of a job's log are searched: it writes its error last."""

UNKNOWN = ("ResourceNotFoundException", "ClientException", "AccessDeniedException")
"""What Batch and CloudWatch Logs answer for what is not there any more, or may not be seen."""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a job or a run failed.

    Attributes:
        name: The error's name: TooManyFailuresError, States.Timeout, JobFailed.
        message: Its text.
        job_id: The job that failed, a child's id where it was one; None where it was no job.
    """

    name: str
    message: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobErrors:
    """Finds the errors of jobs.

    Attributes:
        batch: A boto3 Batch client.
        logs: A boto3 CloudWatch Logs client.
    """

    batch: BatchClient
    logs: CloudWatchLogsClient

    def of_run(self, ended: RunEnded) -> RunError | None:
        """Why a run ended otherwise than well; None for one that succeeded."""
        if ended.status == "SUCCEEDED":
            return None
        cause = json_object(ended.cause)
        if "JobId" in cause:
            return self.of_job(str(cause["JobId"]), str(cause.get("StatusReason") or ended.error))
        if "errorMessage" in cause:
            return RunError(str(cause.get("errorType") or ended.error), str(cause["errorMessage"]))
        if ended.error or ended.cause:
            return RunError(ended.error or ended.status, ended.cause)
        return None

    def of_job(self, job_id: str, reason: str) -> RunError:
        """Why a job failed.

        Args:
            job_id: The job's id.
            reason: What Batch says; it stands where nothing better is found.
        """
        job = self._described(job_id)
        size = (job.get("arrayProperties") or {}).get("size")
        if size is not None:
            child = self._failed_child(job_id)
            if child is not None:
                job, job_id = self._described(child), child
        container = job.get("container") or {}
        told = self._last_error(container)
        if told:
            return RunError(str(told.get("error", "JobFailed")), str(told.get("message", "")), job_id)
        code = container.get("exitCode")
        ended = container.get("reason") or job.get("statusReason") or reason
        return RunError("JobFailed", f"{ended}, exit code {code}" if code is not None else str(ended), job_id)

    def _described(self, job_id: str) -> dict[str, Any]:
        try:
            found: list[Any] = list(self.batch.describe_jobs(jobs=[job_id])["jobs"])
        except ClientError as error:
            _let_pass(error)
            found = []
        return found[0] if found else {}

    def _failed_child(self, array_job_id: str) -> str | None:
        """One failed child: of the first page, the one of the lowest index."""
        try:
            page = self.batch.list_jobs(arrayJobId=array_job_id, jobStatus="FAILED")["jobSummaryList"]
        except ClientError as error:
            _let_pass(error)
            return None
        return min((child["jobId"] for child in page), key=lambda job: int(job.rpartition(":")[2]), default=None)

    def _last_error(self, container: dict[str, Any]) -> dict[str, Any]:
        """The last line of the job's log that tells an error; empty where there is none."""
        group = ((container.get("logConfiguration") or {}).get("options") or {}).get("awslogs-group")
        stream = container.get("logStreamName")
        if not group or not stream:
            return {}
        try:
            events = self.logs.get_log_events(
                logGroupName=group, logStreamName=stream, limit=LAST_LINES, startFromHead=False
            )["events"]
        except ClientError as error:
            _let_pass(error)
            return {}
        lines = (json_object(event["message"]) for event in reversed(events))
        # The job's own last line has its exit code; a library's line, or an own workload's, may quote an object.
        return next((line for line in lines if line.get("level") == "ERROR" and "exit_code" in line), {})


def _let_pass(error: ClientError) -> None:
    """Raise again what another try may mend: throttling, a fault of the service."""
    if error.response.get("Error", {}).get("Code") not in UNKNOWN:
        raise error
