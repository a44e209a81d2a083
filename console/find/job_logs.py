"""The logs of a Batch job: the stream of each attempt, and its last lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def log_lines(aws: Aws, job: JobDetailTypeDef, stream: str, most: int) -> list[str]:
    """The last lines of a stream, the oldest first; none where it has expired or nothing has arrived yet."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    group = job.get("container", {}).get("logConfiguration", {}).get("options", {}).get("awslogs-group", LOG_GROUP)
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
