"""The task `arn:aws:states:::batch:submitJob`, with and without `.sync`.

Arguments are checked and results are named as on AWS: PascalCase fields, maps untouched, API errors as Batch.<code>.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.batch_api import BatchApi
from local_aws.errors import BatchApiError
from local_aws.job_descriptions import describe
from local_aws.jobs import Record, Status
from local_aws.scheduler import Scheduler
from local_aws.scope import Scope
from local_aws.shapes import batch_model, from_pascal, input_shape, to_pascal

RESOURCE = "arn:aws:states:::batch:submitJob"
_MARK = {"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
STOPPED_REASON = "Terminated by AWS Step Functions as its execution was stopped"  # our words: AWS documents none


class TaskRun(Protocol):
    """The walk of the execution that runs the task."""

    def live(self) -> bool:
        """False once the execution has ended or was stopped."""

    def stopped(self) -> bool:
        """True when StopExecution ended it."""

    def over(self) -> BaseException:
        """The exception that unwinds a walk that is not live any more."""

    def submitted(self, resource: str, output: dict[str, Any]) -> None:
        """Write TaskSubmitted into the history."""


@dataclass(frozen=True, slots=True)
class SubmitJobTask:
    """Runs the task."""

    api: BatchApi
    scheduler: Scheduler
    failed: Callable[[str, str], Exception]
    """Makes the engine's exception from an error name and a cause."""
    scope: Callable[[], Scope]

    def run(
        self,
        resource: str,
        arguments: Any,
        timeout_seconds: float | None,
        walk: TaskRun,
        allowed: Callable[[str, str], bool],
    ) -> dict[str, Any]:
        """Submit the job; `.sync`: wait for its end, however long, on a condition and not by asking again.

        `allowed` says whether the state machine's role may do an action to a resource: StopExecution ends the job with
        that role's permission, and leaves it running without.

        Raises:
            States.Runtime: an argument has the wrong name or type.
            Batch.<code>: the API refused.
            States.TaskFailed: the job failed; the cause is the job as JSON.
            States.Timeout: timeout_seconds are over; the job goes on, as AWS promises no cancellation then.
        """
        submitted = self._submit(arguments, managed=resource.endswith(".sync"))
        output: dict[str, Any] = to_pascal(_shape("SubmitJobResponse"), submitted)
        walk.submitted(resource.removeprefix("arn:aws:states:::"), output)
        record = self.scheduler.find(submitted["jobId"])
        if not resource.endswith(".sync") or record is None:
            return output
        ended = self.scheduler.wait(record, timeout_seconds, lambda: not walk.live())
        if not ended and not walk.live():
            if walk.stopped() and allowed("batch:TerminateJob", self.scope().arn("batch", f"job/{record.job_id}")):
                self.scheduler.terminate(record, STOPPED_REASON)
            raise walk.over()
        if not ended:
            raise self.failed("States.Timeout", "")
        return self._result(record)

    def _submit(self, arguments: Any, *, managed: bool) -> dict[str, Any]:
        if not isinstance(arguments, dict):
            raise self._refused(arguments, ["The Parameters must be a JSON object"])
        if managed:
            overrides = arguments.get("ContainerOverrides") or {}
            environment = [*(overrides.get("Environment") or []), _MARK]
            arguments = {**arguments, "ContainerOverrides": {**overrides, "Environment": environment}}
        problems: list[str] = []

        def problem(name: str, text: str) -> None:
            known = text != "is not supported"
            problems.append(f"The value for the field '{name}' {text}" if known else f"The field '{name}' {text}")

        body = from_pascal(input_shape("SubmitJob"), arguments, problem, coerce=False)
        if problems:
            raise self._refused(arguments, problems)
        try:
            return self.api.call("SubmitJob", self.scope(), body)
        except BatchApiError as error:
            cause = (
                f"{error.message} (Service: AWSBatch; Status Code: {error.http_status}; Error Code: {error.code}; "
                f"Request ID: {uuid.uuid4()}; Proxy: null)"
            )
            raise self.failed(f"Batch.{error.code}", cause) from error

    def _refused(self, arguments: Any, problems: list[str]) -> Exception:
        cause = f"The Parameters '{json.dumps(arguments)}' could not be used to start the Task: [{'; '.join(problems)}]"
        return self.failed("States.Runtime", cause)

    def _result(self, record: Record) -> dict[str, Any]:
        with self.scheduler.lock:
            result: dict[str, Any] = to_pascal(_shape("JobDetail"), describe(record))
        if record.status is Status.FAILED:
            raise self.failed("States.TaskFailed", json.dumps(result, separators=(",", ":")))
        return result


def _shape(name: str) -> Any:
    return batch_model().shape_for(name)
