"""RedriveExecution: start an execution again at the state where it stopped (Step Functions, "Redriving executions")."""

import contextvars
import threading
from datetime import UTC, datetime
from typing import Any

from local_aws.stepfunctions.executions import Engine, Execution, Executions

REDRIVABLE = {"FAILED", "ABORTED", "TIMED_OUT"}
MAX_HISTORY_EVENTS = 24_999  # an execution with more can't be redriven


def description(execution: Execution) -> dict[str, Any]:
    """The redrive fields of DescribeExecution and of the status event."""
    status = execution["status"]
    fields = {"redriveCount": execution.get("redriveCount", 0), "redriveStatus": "REDRIVABLE"}
    if execution.get("redriveDate"):
        fields["redriveDate"] = execution["redriveDate"]
    if status not in REDRIVABLE:
        fields["redriveStatus"] = "NOT_REDRIVABLE"
        fields["redriveStatusReason"] = f"Execution is {status} and cannot be redriven"
    return fields


def milliseconds(iso: str | None) -> int | None:
    """A time as ministack writes it, in milliseconds since 1970."""
    return None if iso is None else int(datetime.fromisoformat(iso).astimezone(UTC).timestamp() * 1000)


class Redrives:
    """Answers RedriveExecution."""

    def __init__(self, engine: Engine, executions: Executions) -> None:
        """Redrive executions of this engine."""
        self._engine = engine
        self._executions = executions

    def request(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Check a request and reset the execution; the caller then starts it unless it runs already.

        Returns:
            200 and `executionArn`, `redriveDate`; or an HTTP status and `code`, `message`.
        """
        arn = str(body.get("executionArn", ""))
        execution = self._engine.execution(arn)
        if execution is None:
            return 400, {"code": "ExecutionDoesNotExist", "message": f"Execution Does Not Exist: '{arn}'"}
        token = body.get("clientToken")
        with self._executions.lock:
            if token is not None and execution.get("redriveToken") == token:
                # The same request again: the same answer, and nothing happens.
                return 200, {"executionArn": None, "redriveDate": execution["redriveDate"]}
            if execution["status"] not in REDRIVABLE or len(execution["events"]) > MAX_HISTORY_EVENTS:
                reason = f"Execution is {execution['status']} and cannot be redriven"
                return 400, {"code": "ExecutionNotRedrivable", "message": reason}
            self._reset(execution, token)
        return 200, {"executionArn": arn, "redriveDate": execution["redriveDate"]}

    def start(self, arn: str | None, context: contextvars.Context) -> None:
        """Walk on in a thread of its own, with the account and region of the request."""
        if arn is not None:
            threading.Thread(target=context.run, args=(self._run, arn), daemon=True).start()

    def _run(self, arn: str) -> None:
        execution = self._engine.execution(arn)
        if execution is not None:
            self._engine.publish_status(execution)
        self._executions.run(arn)

    def _reset(self, execution: Execution, token: str | None) -> None:
        execution["walk"] = execution.get("walk", 0) + 1
        execution["redriveCount"] = execution.get("redriveCount", 0) + 1
        execution["redriveDate"] = self._engine.now()
        execution["redriveToken"] = token
        execution["status"] = "RUNNING"
        execution["stopDate"] = None
        execution["output"] = None
        execution.pop("error", None)
        execution.pop("cause", None)
        details = {"executionRedrivenEventDetails": {"redriveCount": execution["redriveCount"]}}
        self._engine.add_event(execution, "ExecutionRedriven", details)
