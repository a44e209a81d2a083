"""Why a run failed, in the words of the command line: the failed state, and the error that AWS keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from console.errors import RunFailedError
from console.find.aws import Aws
from console.watch.progress import history
from millrace.aws.events import json_object
from millrace.text import visible

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

TOO_LONG = ("States.Timeout", "Sandbox.Timedout", "Lambda.Unknown")
"""How a call of a function ends that took too long."""

TOOK_TOO_LONG = "it exceeded its time limit"
WAY_ON = (
    ", in every retry. Usually too much was started at once for this machine, or for the account's Lambda concurrency: "
    "resume the run when there is less to do, and start fewer runs at a time"
)


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
    failure = json_object(cause)
    if error in TOO_LONG or failure.get("errorType") in TOO_LONG:
        return RunFailedError(
            state, error, visible(str(failure.get("errorMessage") or cause or TOOK_TOO_LONG)) + WAY_ON
        )
    found = JobErrors(aws.batch, aws.logs).of_cause(error or status, cause)
    where = f" ({found.where})" if found.where else ""
    return RunFailedError(state, found.name, f"{visible(found.message)}{where}", exit_code=found.exit_code)


def failed_state(events: Iterable[Mapping[str, Any]]) -> str:
    """The state that an execution was in when it ended: entered last, and not left."""
    state = ""
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event.get("stateExitedEventDetails", {}).get("name") == state:
            state = ""
    return state
