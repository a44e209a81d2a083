"""Why a run failed, in the words of the command line: the failed state, and the error that AWS keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from console.errors import RunFailedError
from console.file_names import shown
from console.find.aws import Aws
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.watch.progress import history
from millrace.errors import TooManyFailuresError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef


def explain(aws: Aws, execution: DescribeExecutionOutputTypeDef) -> RunFailedError:
    """The error of an execution that did not succeed.

    Args:
        aws: Where it ran.
        execution: What DescribeExecution says of it; its status is FAILED, TIMED_OUT or ABORTED.
    """
    from millrace.aws.job_failures import JobErrors  # noqa: PLC0415 - `millrace --help` must not wait for botocore

    status = execution["status"]
    error, cause = execution.get("error", ""), execution.get("cause", "")
    if status == "ABORTED":
        why = ": ".join(part for part in (error, cause) if part)
        return RunFailedError("", "Aborted", f"cancelled{f' ({why})' if why else ''}")
    state = failed_state(history(aws, execution["executionArn"]))
    if status == "TIMED_OUT":
        return RunFailedError(state, "States.Timeout", "the run took longer than the state machine allows")
    found = JobErrors(aws.batch, aws.logs).of_cause(error or status, cause)
    where = f" ({found.where})" if found.where else ""
    return RunFailedError(state, found.name, f"{shown(found.message)}{where}", exit_code=found.exit_code)


def failed_state(events: Iterable[Mapping[str, Any]]) -> str:
    """The state that an execution was in when it ended: entered last, and not left."""
    state = ""
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event.get("stateExitedEventDetails", {}).get("name") == state:
            state = ""
    return state


def ways_on(found: FoundRun, failure: RunFailedError, target: Target) -> list[str]:
    """The command lines that lead on from a failed run."""
    if found.folder is None or failure.state == "Prepare Run":
        return []
    again = ("--retry-failed",) if failure.exit_code == TooManyFailuresError.exit_code else ()
    return [
        *([] if failure.error == "Aborted" else [f"Logs  {target.command('logs', found.run_id, '--failed')}"]),
        f"Rows  {target.command('report', found.run_id)}",
        f"On    {target.command('resume', found.run_id, *again)}",
    ]
