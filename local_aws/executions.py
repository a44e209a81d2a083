"""The walk of an execution through its state machine.

The states themselves are ministack's; the walk is ours, because ministack's can neither be stopped for good (a task
that fails after StopExecution turns ABORTED into FAILED) nor time out, nor start in the middle as a redrive does.
"""

import contextvars
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_aws.timers import Timers

Execution = dict[str, Any]
"""ministack's record of an execution, with a few fields of ours: walk, definition, at, redriveCount, redriveDate."""
_LOG = logging.getLogger("local_aws.executions")


class WalkOver(BaseException):
    """Unwinds a thread whose execution has ended under it; no Retry, no Catch and no ministack handler may see it."""


class StatesError(Exception):
    """The shape of ministack's own exception."""

    def __init__(self, error: str, cause: str) -> None:
        """Keep an error name and a cause."""
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Engine(Protocol):
    """What the walk needs of ministack's Step Functions."""

    error: type[StatesError]

    def execution(self, arn: str) -> Execution | None:
        """The record of an execution."""

    def definition(self, state_machine_arn: str) -> str | None:
        """The state machine's definition as JSON text."""

    def run_state(self, state: dict[str, Any], data: Any, execution: Execution, context: dict[str, Any]) -> Any:
        """Run a state; returns its output and the next state's name (None: the end)."""

    def add_event(self, execution: Execution, kind: str, details: dict[str, Any]) -> None:
        """Write into the history."""

    def publish_status(self, execution: Execution) -> None:
        """Put "Step Functions Execution Status Change" on the bus."""

    def now(self) -> str:
        """The time as ministack writes it."""


@dataclass(slots=True)
class Walk:
    """One walk; a redrive is a new one."""

    execution: Execution
    number: int
    engine: Engine
    context: dict[str, Any] = field(default_factory=dict)

    def live(self) -> bool:
        """False once the execution has ended or was redriven."""
        return bool(self.execution["status"] == "RUNNING" and self.execution["walk"] == self.number)

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return str(self.execution["executionArn"])

    def over(self) -> WalkOver:
        """The exception that ends this thread."""
        return WalkOver(self.execution["executionArn"])

    def submitted(self, resource: str, output: dict[str, Any]) -> None:
        """Write TaskSubmitted: it shows the job's id while the job runs."""
        service, _, action = resource.partition(":")
        details = {"resourceType": service, "resource": action, "output": json.dumps(output)}
        self.engine.add_event(self.execution, "TaskSubmitted", {"taskSubmittedEventDetails": details})


current_walk: contextvars.ContextVar[Walk | None] = contextvars.ContextVar("current_walk", default=None)


class Executions:
    """Runs, stops and restarts executions."""

    def __init__(self, engine: Engine, timers: Timers, ended: Callable[[], None]) -> None:
        """Use this engine; `ended` is called when an execution ends, whatever ended it."""
        self._engine = engine
        self._timers = timers
        self._ended = ended
        self.lock = threading.RLock()

    def run(self, arn: str) -> None:
        """Walk an execution to its end, in this thread."""
        execution = self._engine.execution(arn)
        if execution is None:
            return
        walk = Walk(execution, execution.setdefault("walk", 0), self._engine)
        current_walk.set(walk)
        try:
            self._walk(walk)
        except WalkOver:
            _LOG.info("execution %s was ended from outside", arn)
        except self._engine.error as error:
            self._fail(walk, error.error, error.cause)
        except Exception as error:  # noqa: BLE001 - the thread must end the execution, whatever happened
            # What ministack did not foresee is a runtime error of the execution, and a finding for its log.
            _LOG.exception("unexpected error in execution %s", arn)
            self._fail(walk, "States.Runtime", str(error))

    def stopped(self) -> None:
        """StopExecution was served: let the tasks that wait notice it."""
        self._ended()

    def _walk(self, walk: Walk) -> None:
        execution, engine = walk.execution, self._engine
        text = execution.get("definition") or engine.definition(execution["stateMachineArn"])
        if text is None:
            raise engine.error("States.Runtime", "State machine no longer exists")
        execution["definition"] = text
        definition = json.loads(text)
        data = json.loads(execution["input"] or "{}")
        walk.context = _context(execution, definition, data)
        name = definition["StartAt"]
        if execution.get("at"):
            name, data = execution["at"]
        limit = definition.get("TimeoutSeconds")
        if limit is not None:
            self._timers.after(limit, lambda: self.finish(walk, "TIMED_OUT", {"error": "States.Timeout"}))
        while name is not None:
            if not walk.live():
                raise walk.over()
            state = definition["States"].get(name)
            if state is None:
                raise engine.error("States.Runtime", f"State '{name}' not found in definition")
            execution["at"] = (name, data)
            walk.context["State"] = {"Name": name, "EnteredTime": engine.now(), "RetryCount": 0}
            kind = state["Type"]
            entered = {"name": name, "input": json.dumps(data)}
            engine.add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": entered})
            data, following = engine.run_state(state, data, execution, walk.context)
            left = {"name": name, "output": json.dumps(data)}
            engine.add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": left})
            name = following
        self.finish(walk, "SUCCEEDED", {"output": json.dumps(data)})

    def _fail(self, walk: Walk, error: str, cause: str) -> None:
        # A time-out of a task has no cause, and its field is then not there.
        self.finish(walk, "FAILED", {"error": error} | ({"cause": cause} if cause else {}))

    def finish(self, walk: Walk, status: str, details: dict[str, str]) -> None:
        """End the execution, unless it has ended already."""
        execution = walk.execution
        with self.lock:
            if not walk.live():
                return
            if status != "TIMED_OUT":  # which has neither error nor cause, except in its history
                execution.update(details)
            execution["stopDate"] = self._engine.now()
            execution["status"] = status
            name = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut"}[status]
            self._engine.add_event(execution, f"Execution{name}", {f"execution{name}EventDetails": details})
        self._engine.publish_status(execution)
        self._ended()


def _context(execution: Execution, definition: dict[str, Any], data: Any) -> dict[str, Any]:
    """The context object, `$$`; `variables` and `QueryLanguage` are where ministack looks for them."""
    return {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution["executionArn"],
            "Input": data,
            "Name": execution["name"],
            "RoleArn": execution.get("roleArn", ""),
            "StartTime": execution["startDate"],
            "RedriveCount": execution.get("redriveCount", 0),
        },
        "StateMachine": {
            "Id": execution["stateMachineArn"],
            "Name": execution["stateMachineArn"].rpartition(":")[2],
        },
        "variables": {},
    }
