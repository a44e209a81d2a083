"""The task `arn:aws:states:::batch:submitJob`, with and without `.sync`.

Arguments are checked and results are named as on AWS: PascalCase fields, maps untouched, API errors as Batch.<code>.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
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
STOPPED_REASON = (
    "The Task state in AWS Step Functions execution [{execution}] which was managing this resource was aborted"
)
"""Why a job was stopped whose task or execution ended before it (measured by others on AWS, for each such end)."""
_MODELLED = {"ClientException", "ServerException"}
"""SubmitJob's errors in the API model; every other one arrives as AWSBatchException."""


class TaskRun(Protocol):
    """The walk of the execution that runs the task."""

    def live(self) -> bool:
        """False once the execution has ended or was stopped."""

    @property
    def arn(self) -> str:
        """The execution's ARN."""

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

        When the task's time or the execution is over, the job is stopped; `allowed` says whether the state machine's
        role may do an action to a resource: the job is stopped with that role's permission, and runs on without.

        Raises:
            States.Runtime: an argument has the wrong name or type.
            Batch.<code>: the API refused.
            States.TaskFailed: the job failed; the cause is the job as JSON.
            States.Timeout: timeout_seconds are over.
        """
        submitted = self._submit(arguments, managed=resource.endswith(".sync"))
        output: dict[str, Any] = to_pascal(_shape("SubmitJobResponse"), submitted) | sdk_metadata("application/json")
        walk.submitted(resource.removeprefix("arn:aws:states:::"), output)
        record = self.scheduler.find(submitted["jobId"])
        if not resource.endswith(".sync") or record is None:
            return output
        ended = self.scheduler.wait(record, timeout_seconds, lambda: not walk.live())
        if not ended:
            if allowed("batch:TerminateJob", self.scope().arn("batch", f"job/{record.job_id}")):
                self.scheduler.terminate(record, STOPPED_REASON.format(execution=walk.arn))
            raise self.failed("States.Timeout", "") if walk.live() else walk.over()
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
            name = error.code if error.code in _MODELLED else "AWSBatchException"
            raise self.failed(f"Batch.{name}", cause) from error

    def _refused(self, arguments: Any, problems: list[str]) -> Exception:
        cause = f"The Parameters '{json.dumps(arguments)}' could not be used to start the Task: [{'; '.join(problems)}]"
        return self.failed("States.Runtime", cause)

    def _result(self, record: Record) -> dict[str, Any]:
        with self.scheduler.lock:
            result: dict[str, Any] = to_pascal(_shape("JobDetail"), describe(record))
        if record.status is Status.FAILED:
            raise self.failed("States.TaskFailed", json.dumps(result, separators=(",", ":")))
        return result


def sdk_metadata(content_type: str) -> dict[str, Any]:
    """What Step Functions adds to the answer of a service: it calls by the AWS SDK for Java, whose fields these are."""
    request, date = str(uuid.uuid4()), format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"Content-Type": content_type, "Date": date, "x-amzn-RequestId": request}
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
    }


def _shape(name: str) -> Any:
    return batch_model().shape_for(name)
