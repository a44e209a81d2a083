"""Where a person goes on from a message: pages of the AWS console, and lines for the command line."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote

from millrace.layout import S3Uri
from millrace.notification.state_changes import RunEnded

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


LINE_CHARACTERS = 4000
"""A longer input makes no line that a person copies."""


def execution_page(execution_arn: str) -> str:
    """The execution in the Step Functions console."""
    return (
        f"{_console(execution_arn)}/states/home?region={_region(execution_arn)}#/v2/executions/details/{execution_arn}"
    )


def job_page(queue_arn: str, job_id: str) -> str:
    """The job in the Batch console."""
    return f"{_console(queue_arn)}/batch/home?region={_region(queue_arn)}#jobs/detail/{quote(job_id, safe='')}"


def folder_page(arn: str, folder: S3Uri) -> str:
    """A folder in the S3 console, in the partition and region of some ARN."""
    return f"{_console(arn)}/s3/buckets/{folder.bucket}?region={_region(arn)}&prefix={quote(folder.key, safe='')}"


def redrive_line(ended: RunEnded) -> str | None:
    """The line that goes on with an execution where it stopped; None where that cannot be done."""
    if not ended.redrivable or ended.status == "SUCCEEDED":
        return None
    return (
        f"aws stepfunctions redrive-execution --region {_region(ended.execution_arn)} "
        f"--execution-arn {shlex.quote(ended.execution_arn)}"
    )


def resume_line(ended: RunEnded) -> str | None:
    """The line that starts a new execution which goes on with the run; None where its input is not known."""
    if ended.folder is None or ended.status == "SUCCEEDED":
        return None
    # The run's newest retry is gone on with as it is; asked for again, there would be another one.
    asked = {name: value for name, value in ended.input.items() if name != "retry_failed"}
    given = json.dumps({**asked, "run_id": ended.run_id})
    if len(given) > LINE_CHARACTERS:
        return None
    return (
        f"aws stepfunctions start-execution --region {_region(ended.execution_arn)} "
        f"--state-machine-arn {shlex.quote(ended.state_machine_arn)} --input {shlex.quote(given)}"
    )


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _console(arn: str) -> str:
    return f"https://{_region(arn)}.{_CONSOLES.get(arn.split(':')[1], 'console.aws.amazon.com')}"
