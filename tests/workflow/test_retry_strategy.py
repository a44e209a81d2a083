"""Which ends of a job Batch tries again, by the retry strategy that the template gives to every stage."""

from __future__ import annotations

from typing import Any

import pytest

from console.find.executions import new_name
from tests.workflow.runs import Runs, until
from tests.workflow.sam import physical

STAGES = ("plan", "migrate", "merge")
ATTEMPTS = 8
"""The template's default."""


@pytest.fixture(scope="module", params=STAGES)
def probe(request: Any, stack: Any) -> str:
    """A definition with the retry strategy of a stage, whose jobs run any command."""
    arn = physical(stack.aws.cloudformation, stack.stack.name, f"{request.param.title()}JobDefinition")
    (found,) = stack.aws.batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    answer = stack.aws.batch.register_job_definition(
        jobDefinitionName=f"retried-{request.param}",
        type="container",
        platformCapabilities=found["platformCapabilities"],
        containerProperties={**found["containerProperties"], "image": "command", "command": ["true"]},
        retryStrategy=found["retryStrategy"],
    )
    return str(answer["jobDefinitionArn"])


def submit(runs: Runs, definition: str, name: str, *command: str) -> str:
    """Submit a job; returns its id."""
    answer = runs.aws.batch.submit_job(
        jobName=name,
        jobQueue=runs.queue,
        jobDefinition=definition,
        shareIdentifier="default",
        containerOverrides={"command": list(command)},
    )
    return str(answer["jobId"])


def ended(runs: Runs, job_id: str) -> dict[str, Any]:
    """The job after its end."""

    def job() -> Any:
        (found,) = runs.describe([job_id])
        return found if found["status"] in {"SUCCEEDED", "FAILED"} else None

    found: dict[str, Any] = until(f"the end of {job_id}", job)
    return found


@pytest.mark.parametrize(
    ("exit_code", "attempts"),
    [(0, 1), (1, ATTEMPTS), (137, ATTEMPTS), (143, ATTEMPTS), (2, 1), (3, 1), (42, ATTEMPTS), (255, ATTEMPTS)],
    ids=["done", "broke", "killed", "told to stop", "bad input", "too many failures", "anything else", "begins with 2"],
)
def test_an_exit_code_decides(runs: Runs, probe: str, exit_code: int, attempts: int) -> None:
    """Bad input and too many failures are final; what broke, was killed or ended in a way that nobody knows is not."""
    job = ended(runs, submit(runs, probe, new_name(), "sh", "-c", f"exit {exit_code}"))
    assert len(job["attempts"]) == attempts


@pytest.mark.parametrize(
    ("status_reason", "reason"),
    [
        ("Task failed to start", "CannotPullContainerError: pull image manifest has been retried 5 time(s)"),
        ("Task failed to start", "ResourceInitializationError: unable to pull secrets or registry auth"),
        ("Task failed to start", "DockerTimeoutError: Could not transition to started; timed out"),
        ("CannotPullContainerError: failed to resolve ref: unexpected status 503", ""),
        ("ResourceInitializationError: failed to configure network", ""),
        ("Timeout waiting for network interface provisioning to complete.", ""),
        ("Words that nobody has seen yet", ""),
    ],
    ids=["image pull", "initialisation", "Docker", "Fargate pull", "Fargate network", "Fargate time-out", "new words"],
)
def test_a_start_that_failed_is_tried_again(runs: Runs, probe: str, status_reason: str, reason: str) -> None:
    """A start that fails is tried again whatever it says: EC2 and Fargate put it in different words."""
    name = new_name()
    runs.fail_start(name, status_reason, reason)
    job = ended(runs, submit(runs, probe, name, "true"))
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)


@pytest.mark.parametrize(
    ("status_reason", "attempts"),
    [
        ("Host EC2 (instance i-0abc1234) terminated.", 2),
        ("Your Spot Task was interrupted.", 2),
        ("Words that nobody has seen yet", 2),
    ],
    ids=["EC2 Spot", "Fargate Spot", "anything else"],
)
def test_a_lost_host_is_tried_again(runs: Runs, probe: str, status_reason: str, attempts: int) -> None:
    """A reclaimed Spot capacity of either kind starts the job anew, on another host."""
    # The first attempt waits to be lost, the second one ends at once.
    job_id = submit(runs, probe, new_name(), "sh", "-c", '[ "$AWS_BATCH_JOB_ATTEMPT" = 2 ] || exec sleep 60')
    until("RUNNING", lambda: runs.describe([job_id])[0]["status"] == "RUNNING")
    runs.interrupt(job_id, status_reason)
    job = ended(runs, job_id)
    assert len(job["attempts"]) == attempts
    assert job["status"] == ("SUCCEEDED" if attempts == 2 else "FAILED")
