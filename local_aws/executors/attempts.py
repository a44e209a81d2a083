"""One attempt at a job: prepare its environment, credentials and log stream, run the task, report how it ended."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local_aws.batch.jobs import Job
from local_aws.batch.retry import AttemptEnd
from local_aws.batch.scheduler import TASK_ENDED_REASON, Scheduler
from local_aws.executors.container_secrets import ContainerSecrets
from local_aws.executors.execution_role import ExecutionRole
from local_aws.executors.executor import Executor, Task, TaskRequest, TaskStartError
from local_aws.executors.logs import LogService, TaskLog
from local_aws.scope import Scope
from local_aws.timers import Timer, Timers

MAX_OVERRIDE_BYTES = 8192  # the limit of ECS RunTask, which Batch meets only when it starts the job
OVERRIDES_TOO_LONG = f"Container Overrides length must be at most {MAX_OVERRIDE_BYTES}"
START_FAILED = "Task failed to start"
FARGATE_START_FAILURES = (
    "CannotPullContainerError", "ResourceInitializationError", "Timeout waiting for network interface",
)  # fmt: skip
"""What the status reason begins with where Fargate cannot pull or connect (nextflow#5099 and #5681)."""
_LOG = logging.getLogger("local_aws.executors.attempts")


class Credentials(Protocol):
    """Gives the credential variables of a task."""

    def __call__(self, scope: Scope, role_arn: str | None, session_name: str) -> dict[str, str]:
        """Variables for this role, or for none.

        Raises:
            TaskStartError: ECS tasks can't assume the role.
        """


class _DispatchError(Exception):
    """Batch itself gave up before there was a task; the text is the statusReason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Runs attempts; one thread for each."""

    executor: Executor
    logs: LogService
    credentials: Credentials
    execution_role: ExecutionRole
    secrets: ContainerSecrets
    timers: Timers
    scheduler: Callable[[], Scheduler]
    endpoint_url: str
    attempt_seconds_scale: float
    start_seconds: float = 0.0

    def run(self, job: Job) -> None:
        """Run a job that is STARTING, and report its end to the scheduler."""
        scheduler = self.scheduler()
        log: TaskLog | None = None
        try:
            log = self._open_log(job)
            end = self._run_task(scheduler, job, log)
        except _DispatchError as error:
            end = AttemptEnd(None, None, str(error))
        except TaskStartError as error:
            end = _start_failed(job, str(error))
        except Exception as error:  # noqa: BLE001 - a full disk, say, must end the job and not lose its place
            _LOG.exception("attempt at job %s broke", job.job_id)
            end = AttemptEnd(None, f"CannotStartContainerError: {error}", START_FAILED)
        finally:
            if log is not None:
                log.close()
        scheduler.attempt_ended(job, end)

    def _run_task(self, scheduler: Scheduler, job: Job, log: TaskLog) -> AttemptEnd:
        with scheduler.lock:
            fault = scheduler.start_faults.take(job)
        if fault is not None:
            return AttemptEnd(fault.exit_code, fault.reason, fault.status_reason)
        variables = self._batch_variables(job)
        _check_override_length(job, variables)
        self._wait_for_the_start(scheduler, job)
        scope, container = job.spec.scope, job.spec.container
        self.execution_role.check_start(scope, container)
        secrets = self.secrets.fetched(scope, container)
        written = log.write if self.execution_role.may_log(scope, container) else _lost
        task = self.executor.start(self._request(job, variables, secrets), written)
        timer = self._watch(scheduler, job, task)
        try:
            ended = task.wait()
        finally:
            if timer is not None:
                timer.cancel()
        interruption = job.interruption
        if interruption is not None:
            return AttemptEnd(interruption.exit_code, interruption.reason, interruption.status_reason)
        return AttemptEnd(ended.exit_code, ended.reason, TASK_ENDED_REASON)

    def _wait_for_the_start(self, scheduler: Scheduler, job: Job) -> None:
        """Let the start take its time, unless the job is terminated meanwhile."""
        until = time.monotonic() + self.start_seconds
        while (left := until - time.monotonic()) > 0:
            with scheduler.lock:
                if job.stop_reason is not None:
                    return
            time.sleep(min(left, 0.1))

    def _watch(self, scheduler: Scheduler, job: Job, task: Task) -> Timer | None:
        with scheduler.lock:
            job.task = task
            limit = job.spec.attempt_seconds
            seconds = None if limit is None else limit * self.attempt_seconds_scale
            time_is_over = scheduler.attempt_running(job, seconds)
        if time_is_over is None or seconds is None:
            return None
        return self.timers.after(seconds, time_is_over)

    def _open_log(self, job: Job) -> TaskLog:
        attempt = job.attempt
        definition_name = job.spec.definition_arn.rpartition("/")[2].partition(":")[0]
        task_id = attempt.task_arn.rpartition("/")[2]
        log = self.logs.open(job.spec.scope, job.spec.container.get("logConfiguration"), definition_name, task_id)
        attempt.log_stream = log.stream
        return log

    def _request(self, job: Job, variables: dict[str, str], secrets: dict[str, str]) -> TaskRequest:
        container = job.spec.container
        region = job.spec.scope.region
        own = {item["name"]: item["value"] for item in container["environment"]}
        environment = {
            # Fargate sets a container's region, the ECS agent of an EC2 instance does not (containers-roadmap#1611).
            **({"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if _on_fargate(job) else {}),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "PYTHONUNBUFFERED": "1",
            **self.credentials(job.spec.scope, container.get("jobRoleArn"), job.job_id.replace(":", "-")),
        }
        return TaskRequest(
            task_id=job.attempt.task_arn.rpartition("/")[2],
            image=container["image"],
            command=tuple(container["command"]),
            environment=environment | own | secrets | variables,
            container=container,
        )

    def _batch_variables(self, job: Job) -> dict[str, str]:
        """The variables that Batch sets (Batch user guide, "AWS Batch job environment variables")."""
        variables = {
            "AWS_BATCH_JOB_ID": job.job_id,
            "AWS_BATCH_JOB_ATTEMPT": str(len(job.attempts) + 1),
            "AWS_BATCH_JQ_NAME": job.spec.queue_arn.rpartition("/")[2],
            "AWS_BATCH_CE_NAME": job.compute_environment.rpartition("/")[2],
        }
        if job.array is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
            variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.array.size)
        return variables


def _on_fargate(job: Job) -> bool:
    return "FARGATE" in job.spec.platform_capabilities


def _start_failed(job: Job, text: str) -> AttemptEnd:
    """How a task ends that did not start: Fargate gives the cause where EC2 has a sentence of its own."""
    if _on_fargate(job) and text.startswith(FARGATE_START_FAILURES):
        return AttemptEnd(None, None, text)
    return AttemptEnd(None, text, START_FAILED)


def _lost(_chunk: bytes) -> None:
    """Output that the log driver may not write."""


def _check_override_length(job: Job, variables: dict[str, str]) -> None:
    overrides = job.spec.overrides
    sent = {
        "name": "default",
        "command": job.spec.container["command"] if "command" in overrides else [],
        "environment": [
            *overrides.get("environment", []),
            *({"name": name, "value": value} for name, value in variables.items()),
        ],
    }
    if len(json.dumps({"containerOverrides": [sent]}, separators=(",", ":")).encode()) > MAX_OVERRIDE_BYTES:
        raise _DispatchError(OVERRIDES_TOO_LONG)
