"""The logs of a Batch job: the stream of each attempt, and its last lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.find.aws import Aws

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

LOG_GROUP = "/aws/batch/job"
"""The group of a job without a log configuration of its own: Batch user guide, job states."""

PAGE_LINES = 1000
"""The most lines that are asked for at once: GetLogEvents gives 1 MB or 10,000 lines."""


def streams_of(job: JobDetailTypeDef) -> list[str]:
    """The log streams of a job's attempts, the first attempt first; none where it never started."""
    streams = [attempt.get("container", {}).get("logStreamName") for attempt in job.get("attempts", [])]
    # The attempt at work is not among the attempts yet.
    streams.append(job.get("container", {}).get("logStreamName"))
    return list(dict.fromkeys(stream for stream in streams if stream))


def why_no_log(job: JobDetailTypeDef) -> list[str]:
    """Batch's reasons for a job that wrote nothing: of its container, of its attempts, its own; each once."""
    container = job.get("container", {})
    told = [container.get("reason"), job.get("statusReason")]
    for attempt in job.get("attempts", []):
        told += [attempt.get("container", {}).get("reason"), attempt.get("statusReason")]
    return list(dict.fromkeys(reason for reason in told if reason))


class Followed:
    """A log stream that is read as it grows: each line once, however often it is asked.

    Args:
        aws: Where the stream is.
        job: Its job.
        stream: Its name.
        most: How many lines are shown of what is there at first.
    """

    def __init__(self, aws: Aws, job: JobDetailTypeDef, stream: str, most: int) -> None:
        self._aws = aws
        self._where: dict[str, Any] = {"logGroupName": _group(job), "logStreamName": stream}
        self._most = most
        self._token = ""

    def new_lines(self) -> list[str]:
        """What was written since the last call; at first the last lines; none where the stream is not there."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

        lines: list[str] = []
        while True:
            given: dict[str, Any] = {"limit": min(PAGE_LINES, self._most), "startFromHead": False}
            if self._token:
                given = {"limit": PAGE_LINES, "startFromHead": True, "nextToken": self._token}
            try:
                answer = self._aws.logs.get_log_events(**self._where, **given)
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


def _group(job: JobDetailTypeDef) -> str:
    return job.get("container", {}).get("logConfiguration", {}).get("options", {}).get("awslogs-group", LOG_GROUP)


def log_lines(aws: Aws, job: JobDetailTypeDef, stream: str, most: int) -> list[str]:
    """The last lines of a stream, the oldest first; none where it has expired or nothing has arrived yet."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    group = _group(job)
    lines: list[str] = []
    token: dict[str, str] = {}
    while len(lines) < most:
        try:
            answer = aws.logs.get_log_events(
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
