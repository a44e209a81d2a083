"""Finding the run that a person means: by its id, a prefix of it, an ARN, its folder, or as the latest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from console.errors import RunNotFoundError, RunStateError
from console.find.aws import Aws
from console.find.executions import Run
from console.find.target import Target
from millrace.aws.events import json_object
from millrace.errors import DamagedFileError, InvalidRunRequest, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.request.chained import next_request
from millrace.text import visible

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, ExecutionListItemTypeDef

LATEST = "-"
"""What stands for the latest run."""

NAMED_RUNS = 5
"""How many runs an error names."""

_RESUMPTION = re.compile(r"(.+)-resume-[0-9a-f]{8}")
"""The name of an execution that `millrace resume` starts: the run's id, and a suffix that makes it unique."""


@dataclass(frozen=True)
class FoundRun:
    """A run, by the execution that worked on it last.

    Attributes:
        run_id: The run's id.
        execution_arn: The execution; empty where the run was found by its folder and has none any more.
        request: The execution's input, or what run.json says; empty where it is no request.
        folder: The run folder; None where the input names no destination, so that Prepare Run refused it.
        execution: What DescribeExecution said; empty where there is none.
    """

    run_id: str
    execution_arn: str
    request: Mapping[str, Any]
    folder: RunFolder | None
    execution: DescribeExecutionOutputTypeDef | dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The run, with its folder.

        Raises:
            RunStateError: It never had one.
        """
        if self.folder is None:
            raise RunStateError(
                "its input was refused, so it has no folder and nothing was done", operation="run", target=self.run_id
            )
        return Run(self.run_id, self.execution_arn, self.folder)


def find_run(aws: Aws, state_machine_arn: str, given: str) -> FoundRun:
    """Find the run that these words mean.

    Args:
        aws: Where it is.
        state_machine_arn: The stack's state machine.
        given: A run id, a unique prefix of one, an execution's name or ARN, a run folder's URI, or "-": the latest.

    Raises:
        RunNotFoundError: There is no such run, or more than one fits.
    """
    if given.startswith("s3:"):
        return _by_folder(aws, given)
    if given.startswith("arn:"):
        return described_run(aws, given)
    executions = executions_of(aws, state_machine_arn)
    if given == LATEST:
        latest = next(executions, None)
        if latest is None:
            raise RunNotFoundError(
                "there are no runs yet; start one: millrace run", operation="find the run", target="the latest"
            )
        return described_run(aws, latest["executionArn"])
    return described_run(aws, _newest(executions, given))


def executions_of(aws: Aws, state_machine_arn: str, **given: Any) -> Iterator[ExecutionListItemTypeDef]:
    """Every execution that Step Functions still knows (90 days), the newest first."""
    pages = aws.step_functions.get_paginator("list_executions").paginate(stateMachineArn=state_machine_arn, **given)
    for page in pages:
        yield from page["executions"]


@dataclass(frozen=True, slots=True)
class NextRun:
    """The run that follows another one.

    Attributes:
        run_id: Its id; empty before the other one has succeeded.
        status: The status of its execution; empty where it was not started.
        workload: Its workload.
        source: Its source.
        destination: Its destination.
    """

    run_id: str
    status: str
    workload: str
    source: str
    destination: str

    def __str__(self) -> str:
        what = f"{self.workload} over {self.source}"
        if not self.run_id:
            return f"{what}, when it has succeeded"
        return f"{self.run_id} ({what}): {self.status or 'not started; `millrace doctor` says why'}"


def next_run(aws: Aws, found: FoundRun) -> NextRun | None:
    """The run that follows a run whose request says `then`; None where none does.

    Args:
        aws: Where they are.
        found: The run, with its execution.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    ended = found.execution.get("status") not in (None, "RUNNING")
    result = json_object(found.execution.get("output")).get("result")
    try:
        request = next_request(found.request, found.run_id, str(result))
    except InvalidRunRequest:
        return None  # Prepare Run refused it
    if request is None or (ended and not result):
        return None
    shown = {"workload": "word-count", **request}
    places = [str(shown[name]) for name in ("workload", "source", "destination")]
    if not result:
        return NextRun("", "", *places)
    machine, _, _ = found.execution_arn.rpartition(":")
    try:
        described = aws.step_functions.describe_execution(executionArn=f"{machine}:{request['run_id']}")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        return NextRun(request["run_id"], "", *places)
    return NextRun(request["run_id"], described["status"], *places)


def with_execution(found: FoundRun, target: Target) -> FoundRun:
    """The run with its execution looked up, where it was found by its folder.

    Raises:
        RunNotFoundError: Step Functions has forgotten the execution: it keeps them 90 days.
    """
    if found.execution:
        return found
    return find_run(target.aws, target.stack.state_machine_arn, found.run_id)


def running_executions(aws: Aws, state_machine_arn: str, folder: RunFolder) -> list[str]:
    """The ARNs of the executions that are at work on a run now; usually none or one."""
    found = (
        described_run(aws, each["executionArn"])
        for each in executions_of(aws, state_machine_arn, statusFilter="RUNNING")
    )
    return [each.execution_arn for each in found if each.folder == folder]


def _newest(executions: Iterable[ExecutionListItemTypeDef], given: str) -> str:
    """The ARN of the newest execution of the run that is meant: the exact name before a prefix."""
    by_run: dict[str, str] = {}
    for each in executions:
        name = each["name"]
        if not name.startswith(given):
            continue
        resumption = _RESUMPTION.fullmatch(name)
        run_id = resumption[1] if resumption and name != given else name
        by_run.setdefault(run_id, each["executionArn"])
        if name == given:
            return by_run[given]  # older ones cannot be resumptions of it
    if len(by_run) == 1:
        return next(iter(by_run.values()))
    if not by_run:
        raise RunNotFoundError(
            "there is no such run; see: millrace list", operation="find the run", target=visible(given)
        )
    names = ", ".join(list(by_run)[:NAMED_RUNS]) + (" …" if len(by_run) > NAMED_RUNS else "")
    raise RunNotFoundError(
        f"{len(by_run)} runs start with it: {names}; give more of the id",
        operation="find the run",
        target=visible(given),
    )


def described_run(aws: Aws, execution_arn: str) -> FoundRun:
    """The run of an execution.

    Raises:
        RunNotFoundError: Step Functions does not know the execution.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    try:
        execution = aws.step_functions.describe_execution(executionArn=execution_arn)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ExecutionDoesNotExist", "InvalidArn"):
            raise
        raise RunNotFoundError(
            "there is no such execution", operation="find the run", target=visible(execution_arn)
        ) from None
    arn = execution["executionArn"]
    try:
        request = read_json(execution.get("input", ""))
        run = Run.of(arn, request)
    except (ValueError, KeyError, AttributeError, InvalidRunRequest):
        # A run whose input Prepare Run refused can still be looked at.
        return FoundRun(arn.rpartition(":")[2], arn, {}, None, execution)
    return FoundRun(run.run_id, arn, request, run.folder, execution)


def _by_folder(aws: Aws, given: str) -> FoundRun:
    folder = RunFolder(S3Uri.parse_folder(given, "run"))
    try:
        document = read_request(aws, folder)
    except ObjectNotFoundError:
        raise RunNotFoundError(
            "this is not a run folder: it has no run.json", operation="find the run", target=str(folder.root)
        ) from None
    return FoundRun(folder.run_id, document.get("execution_arn", ""), document["request"], folder)


def read_request(aws: Aws, folder: RunFolder) -> dict[str, Any]:
    """run.json: the checked request, and who started the run.

    Raises:
        ObjectNotFoundError: There is none: Prepare Run refused the input, or has not come so far.
        DamagedFileError: It is not what Prepare Run writes.
    """
    text = aws.s3.read(folder.request)
    try:
        document: dict[str, Any] = read_json(text)
        dict(document["request"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"this is not a run request: {error!r}", operation="read the request", target=str(folder.request)
        ) from error
    return document
