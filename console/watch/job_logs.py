"""A job's log while it grows, and why a job has none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
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
        wanted: Whether a line is shown; all of the stream is read for those that are. None: each line is.
    """

    def __init__(
        self,
        logs: CloudWatchLogsClient,
        job: Mapping[str, Any],
        stream: str,
        most: int,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        from millrace.aws.job_failures import log_group  # noqa: PLC0415 - `millrace --help` must not wait for botocore

        self._logs = logs
        self._where: dict[str, Any] = {"logGroupName": log_group(job), "logStreamName": stream}
        self._most, self._wanted = most, wanted
        self._token = ""

    def new_lines(self) -> list[str]:
        """What was written since the last call; at first the last lines; none where the stream is not there."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

        from millrace.aws.job_failures import PAGE_LINES  # noqa: PLC0415 - the same

        lines: deque[str] = deque(maxlen=None if self._token else self._most)
        while True:
            given: dict[str, Any] = {"limit": PAGE_LINES, "startFromHead": True}
            if self._token:
                given["nextToken"] = self._token
            elif self._wanted is None:
                given = {"limit": min(PAGE_LINES, self._most), "startFromHead": False}
            try:
                answer = self._logs.get_log_events(**self._where, **given)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return list(lines)
            messages = (event["message"] for event in answer["events"])
            lines.extend(messages if self._wanted is None else filter(self._wanted, messages))
            token = answer.get("nextForwardToken", "")
            # The same token again: the stream's end for now (CloudWatch Logs API reference, GetLogEvents).
            if not token or token == self._token:
                return list(lines)
            self._token = token
