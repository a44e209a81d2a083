"""A job's log while it grows, and why a job has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient


def why_no_log(job: Mapping[str, Any]) -> list[str]:
    """Batch's reasons for a job that wrote nothing: of its container, of its attempts, its own; each once."""
    container = job.get("container") or {}
    reasons = [container.get("reason"), job.get("statusReason")]
    for attempt in job.get("attempts") or ():
        reasons += [(attempt.get("container") or {}).get("reason"), attempt.get("statusReason")]
    return list(dict.fromkeys(reason for reason in reasons if reason))


class Followed:
    """A log stream that is read as it grows: each line once, however often it is asked.

    Args:
        logs: A boto3 CloudWatch Logs client.
        job: Its job.
        stream: Its name.
        most: How many lines are shown of what is there at first.
    """

    def __init__(self, logs: CloudWatchLogsClient, job: Mapping[str, Any], stream: str, most: int) -> None:
        from millrace.aws.job_failures import log_group  # noqa: PLC0415 - `millrace --help` must not wait for botocore

        self._logs = logs
        self._where: dict[str, Any] = {"logGroupName": log_group(job), "logStreamName": stream}
        self._most = most
        self._token = ""

    def new_lines(self) -> list[str]:
        """What was written since the last call; at first the last lines; none where the stream is not there."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

        from millrace.aws.job_failures import PAGE_LINES  # noqa: PLC0415 - the same

        lines: list[str] = []
        while True:
            given: dict[str, Any] = {"limit": min(PAGE_LINES, self._most), "startFromHead": False}
            if self._token:
                given = {"limit": PAGE_LINES, "startFromHead": True, "nextToken": self._token}
            try:
                answer = self._logs.get_log_events(**self._where, **given)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return lines
            lines += [event["message"] for event in answer["events"]]
            token = answer.get("nextForwardToken", "")
            # The same token again: the stream's end for now (CloudWatch Logs API reference, GetLogEvents).
            if not token or token == self._token:
                return lines
            self._token = token
