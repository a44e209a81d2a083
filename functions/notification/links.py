"""Where a person goes on from a message: pages of the AWS console."""

from __future__ import annotations

from urllib.parse import quote

from millrace.layout import S3Uri

_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


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


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _console(arn: str) -> str:
    return f"https://{_region(arn)}.{_CONSOLES.get(arn.split(':')[1], 'console.aws.amazon.com')}"
