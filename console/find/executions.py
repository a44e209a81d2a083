"""Starting an execution, and finding one again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from console.embedded_aws import keep_workload_folders
from console.find.aws import Aws
from millrace.errors import InvalidRunRequest
from millrace.layout import RunFolder, S3Uri
from millrace.workload.registry import is_own_workload

MAX_INPUT_BYTES = 262_144
"""Of an execution's input, as UTF-8: Step Functions API reference, StartExecution, `input`."""


@dataclass(frozen=True)
class Run:
    """One run, by the execution that does it.

    Attributes:
        run_id: The run's id: the execution's name, or the earlier run that it resumes.
        execution_arn: The execution.
        folder: The run folder.
    """

    run_id: str
    execution_arn: str
    folder: RunFolder

    @classmethod
    def of(cls, execution_arn: str, request: Mapping[str, Any]) -> Run:
        """The run of an execution.

        Args:
            execution_arn: The execution's ARN; it ends with the execution's name.
            request: The execution's input.
        """
        run_id = request.get("run_id") or execution_arn.rpartition(":")[2]
        destination = S3Uri.parse_folder(request["destination"], "destination")
        return cls(run_id, execution_arn, RunFolder.of(destination, run_id))


def new_name() -> str:
    """A name for an execution, in the order of time: `20261121T090000Z-1f3a9c02`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(4)}"


def start(aws: Aws, state_machine_arn: str, request: Mapping[str, Any], name: Callable[[], str] = new_name) -> Run:
    """Start an execution of this input.

    Args:
        aws: Where.
        state_machine_arn: The stack's state machine.
        request: The execution's input.
        name: Gives a new name whenever the last one is taken.

    Raises:
        InvalidRunRequest: The input is larger than Step Functions takes.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    text = json.dumps(request, ensure_ascii=False)
    length = len(text.encode(errors="surrogatepass"))
    if length > MAX_INPUT_BYTES:
        raise InvalidRunRequest(
            "the request",
            f"{length:,} bytes",
            f"at most {MAX_INPUT_BYTES:,} bytes, which is what Step Functions takes; "
            "name many objects in a file in S3, by --manifest",
        )
    while True:
        drawn = name()
        say_where_modules_are(aws, request, drawn)
        try:
            answer = aws.step_functions.start_execution(stateMachineArn=state_machine_arn, name=drawn, input=text)
        except ClientError as error:
            # Two runs drew the same name in the same second: draw again.
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise
        else:
            return Run.of(answer["executionArn"], request)


def say_where_modules_are(aws: Aws, request: Mapping[str, Any], name: str) -> None:
    """Tell the embedded AWS where the user's own workload is, before a job of the run looks for it.

    Args:
        aws: Where; only the embedded AWS needs it.
        request: The execution's input.
        name: The execution's name.
    """
    if is_own_workload(str(request.get("workload"))) and aws.endpoint_url is not None:
        keep_workload_folders(aws.endpoint_url, request.get("run_id") or name)


def find_running(aws: Aws, state_machine_arn: str, destination: S3Uri, run_id: str) -> Run | None:
    """The execution that is at work on this run now, if there is one: a second one would only do its work again."""
    pages = aws.step_functions.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for each in page["executions"]:
            described = aws.step_functions.describe_execution(executionArn=each["executionArn"])
            try:
                run = Run.of(each["executionArn"], json.loads(described["input"]))
            except (ValueError, KeyError, AttributeError):
                continue  # another's input, which Prepare Run is about to refuse
            if run.folder == RunFolder.of(destination, run_id):
                return run
    return None
