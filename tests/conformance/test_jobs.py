"""The life of a plain job: what it sees, how it ends, how it is retried and stopped."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.account import Account, unique, until

SLEEP = "exec sleep 60"


def test_a_job_succeeds(account: Account, queue: str) -> None:
    """A command that exits with 0 ends SUCCEEDED, with exit code, times and a log stream."""
    job = account.ended(account.submit(queue, account.shell("echo hello")))

    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]
    assert job["jobDefinition"].endswith(":1")
    assert account.output(job["jobId"]) == ["hello"]


def test_a_job_fails_with_its_exit_code(account: Account, queue: str) -> None:
    """Any other exit code ends the job FAILED, and the attempt shows it."""
    job = account.ended(account.submit(queue, account.shell("exit 3")))

    assert job["status"] == "FAILED"
    assert job["container"]["exitCode"] == 3
    (attempt,) = job["attempts"]
    assert attempt["container"]["exitCode"] == 3
    assert attempt["statusReason"] == "Essential container in task exited"


@pytest.mark.embedded("its job runs a program, or reads a file, of this machine")
def test_the_environment_is_clean(account: Account, queue: str) -> None:
    """A job sees the variables of its definition, the overrides, those of Batch, and nothing of the server."""
    script = "import json, os; print(json.dumps({**os.environ, 'cwd': os.getcwd(), 'files': os.listdir()}))"
    definition = account.definition(
        sys.executable, "-c", script,
        container={"environment": [{"name": "A", "value": "definition"}, {"name": "B", "value": "definition"}]},
    )  # fmt: skip
    overrides = {"environment": [{"name": "B", "value": "override"}]}
    job = account.ended(account.submit(queue, definition, containerOverrides=overrides))
    seen = json.loads(account.output(job["jobId"])[0])

    assert (seen["A"], seen["B"]) == ("definition", "override")
    assert seen["AWS_BATCH_JOB_ID"] == job["jobId"]
    assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert seen["AWS_BATCH_JQ_NAME"] == queue
    assert seen["AWS_BATCH_CE_NAME"].startswith("environment-")
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in seen
    assert "AWS_BATCH_JOB_ARRAY_SIZE" not in seen
    assert seen["AWS_ENDPOINT_URL"] == account.endpoint_url
    assert not {"AWS_REGION", "AWS_DEFAULT_REGION"} & seen.keys(), "no agent of an EC2 instance tells the region"
    assert seen["LANG"] == "C.UTF-8"
    assert seen["files"] == []
    assert not {"GATEWAY_PORT", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & seen.keys()
    assert not Path(seen["cwd"]).exists(), "the job's directory ends with it"


@pytest.mark.embedded("that image stands for ours on the embedded AWS alone")
def test_any_other_image_runs_the_project(account: Account, queue: str) -> None:
    """An image that is not `command` stands for ours: its entry point is `python -m batch_jobs`."""
    image = {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/millrace:1"}
    job = account.ended(account.submit(queue, account.definition("no-such-verb", container=image)))

    assert job["container"]["exitCode"] != 0
    assert any("batch_jobs" in line for line in account.output(job["jobId"]))


def test_parameters_are_put_into_the_command(account: Account, queue: str) -> None:
    """`Ref::name` in the command becomes the submission's parameter, or the definition's default."""
    definition = account.definition("echo", "Ref::a", "x=Ref::b", "Ref::c", parameters={"a": "1", "b": "2"})
    job = account.ended(account.submit(queue, definition, parameters={"b": "3"}))

    assert account.output(job["jobId"]) == ["1 x=3 Ref::c"]


def test_logs_can_be_read_while_the_job_runs(account: Account, queue: str) -> None:
    """Output is in CloudWatch Logs line by line before the job has ended."""
    job_id = account.submit(queue, account.shell(f"echo first; {SLEEP}"))
    account.reached(job_id, "RUNNING")

    until("the line is there", lambda: account.output(job_id) == ["first"])
    assert account.job(job_id)["container"]["logStreamName"].startswith("definition-")
    account.batch.terminate_job(jobId=job_id, reason="test")


def test_a_log_group_of_ones_own(account: Account, queue: str) -> None:
    """awslogs-group and awslogs-stream-prefix decide where the output goes."""
    group = unique("/group")
    account.logs.create_log_group(logGroupName=group)
    options = {"awslogs-group": group, "awslogs-stream-prefix": "migrate"}
    definition = account.definition(
        "echo", "x", container={"logConfiguration": {"logDriver": "awslogs", "options": options}}
    )
    job = account.ended(account.submit(queue, definition))

    assert account.output(job["jobId"], group) == ["x"]
    assert job["container"]["logStreamName"].startswith("migrate/default/")


def test_a_missing_log_group_stops_the_start(account: Account, queue: str) -> None:
    """A group of one's own that does not exist fails the job before it starts, as on Fargate."""
    options = {"awslogs-group": unique("/missing")}
    definition = account.definition(
        "echo", "x", container={"logConfiguration": {"logDriver": "awslogs", "options": options}}
    )
    job = account.ended(account.submit(queue, definition))

    assert job["status"] == "FAILED"
    # Fargate says so in the status reason, EC2 in the container's.
    assert "ResourceInitializationError" in job["statusReason"] + job["container"].get("reason", "")
    assert "exitCode" not in job["container"]


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 143)])
def test_a_killed_process_shows_the_signal(
    account: Account, queue: str, number: signal.Signals, exit_code: int
) -> None:
    """Kill -9 gives exit code 137, SIGTERM 143."""
    job_id = account.submit(queue, account.shell(SLEEP))
    account.reached(job_id, "RUNNING")
    os.kill(account.control("GET", f"batch/jobs/{job_id}/process")["pid"], number)

    assert account.ended(job_id)["container"]["exitCode"] == exit_code


def test_attempts_are_counted(account: Account, queue: str) -> None:
    """A failed attempt is tried again as often as attempts says, and each sees its number."""
    definition = account.shell("echo $AWS_BATCH_JOB_ATTEMPT; exit 1", retryStrategy={"attempts": 3})
    job = account.ended(account.submit(queue, definition))

    assert len(job["attempts"]) == 3
    assert account.output(job["jobId"]) == ["3"]
    assert len({attempt["container"]["logStreamName"] for attempt in job["attempts"]}) == 3


def test_a_retry_can_succeed(account: Account, queue: str) -> None:
    """The job succeeds when a later attempt does; the submission's strategy replaces the definition's."""
    definition = account.shell("test $AWS_BATCH_JOB_ATTEMPT = 2", retryStrategy={"attempts": 1})
    job = account.ended(account.submit(queue, definition, retryStrategy={"attempts": 5}))

    assert job["status"] == "SUCCEEDED"
    assert len(job["attempts"]) == 2


@pytest.mark.parametrize(("exit_code", "attempts"), [(2, 1), (1, 3)])
def test_rules_decide_by_exit_code(account: Account, queue: str, exit_code: int, attempts: int) -> None:
    """The first rule of evaluateOnExit that matches decides; no match means another attempt."""
    strategy = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "2", "action": "exit"}]}
    job = account.ended(account.submit(queue, account.shell(f"exit {exit_code}"), retryStrategy=strategy))

    assert len(job["attempts"]) == attempts


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_a_lost_host_is_retried_by_its_reason(account: Account, queue: str) -> None:
    """A job whose host ends has no exit code; the rule on its status reason brings it back."""
    rules = [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    definition = account.shell(f"test $AWS_BATCH_JOB_ATTEMPT = 2 || {SLEEP}")
    job_id = account.submit(queue, definition, retryStrategy={"attempts": 3, "evaluateOnExit": rules})
    account.reached(job_id, "RUNNING")
    reason = "Host EC2 (instance i-0123456789abcdef0) terminated."
    account.control("POST", f"batch/jobs/{job_id}/interrupt", {"status_reason": reason})
    job = account.ended(job_id)

    assert job["status"] == "SUCCEEDED"
    assert job["attempts"][0]["statusReason"] == reason
    assert "exitCode" not in job["attempts"][0]["container"]


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_a_spot_reclaim_lets_the_job_finish_its_work(account: Account, queue: str) -> None:
    """A Fargate Spot reclaim sends SIGTERM first; the job can still write before it goes."""
    definition = account.shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    job_id = account.submit(queue, definition)
    until("it is ready", lambda: account.reached(job_id, "RUNNING") and account.output(job_id) == ["ready"])
    fault = {"status_reason": "Your Spot Task was interrupted.", "exit_code": 143, "grace_seconds": 5}
    account.control("POST", f"batch/jobs/{job_id}/interrupt", fault)
    job = account.ended(job_id)

    assert (job["status"], job["statusReason"]) == ("FAILED", "Your Spot Task was interrupted.")
    assert account.output(job_id) == ["ready", "saved"]


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_an_image_that_cant_be_pulled(account: Account, queue: str) -> None:
    """A start fault fails the job without exit code, with ECS's own reason."""
    name = unique("job")
    reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s)"
    fault = {"job_name": name, "status_reason": "Task failed to start", "reason": reason, "count": 1}
    account.control("POST", "batch/start-faults", fault)
    job = account.ended(account.submit(queue, account.shell("true"), jobName=name))

    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"] == reason


def test_an_attempt_that_takes_too_long(account: Account, queue: str) -> None:
    """After attemptDurationSeconds the job is stopped and, whatever its strategy, not tried again."""
    definition = account.shell(SLEEP, retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 60})
    job = account.ended(account.submit(queue, definition))

    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(job["attempts"]) == 1
    assert job["container"]["exitCode"] == 143


def test_a_job_that_ignores_sigterm_is_killed(account: Account, queue: str) -> None:
    """SIGKILL follows SIGTERM after the grace period."""
    job_id = account.submit(queue, account.shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"))
    until("it is ready", lambda: account.reached(job_id, "RUNNING") and account.output(job_id) == ["ready"])
    account.batch.terminate_job(jobId=job_id, reason="enough")

    assert account.ended(job_id)["container"]["exitCode"] == 137


def test_terminate_ends_a_running_job(account: Account, queue: str) -> None:
    """TerminateJob fails a running job with the caller's reason, and it is not retried."""
    job_id = account.submit(queue, account.shell(SLEEP), retryStrategy={"attempts": 5})
    account.reached(job_id, "RUNNING")
    account.batch.terminate_job(jobId=job_id, reason="enough")
    job = account.ended(job_id)

    assert (job["status"], job["statusReason"]) == ("FAILED", "enough")
    assert (job["isTerminated"], len(job["attempts"])) == (True, 1)


@pytest.mark.embedded("its job runs a program, or reads a file, of this machine")
def test_terminate_leaves_nothing_behind(account: Account, queue: str) -> None:
    """What a job has started ends with it."""
    job_id = account.submit(queue, account.shell("sleep 60 & echo $!; wait"))
    account.reached(job_id, "RUNNING")
    (child,) = until("the child is known", lambda: account.output(job_id))
    account.batch.terminate_job(jobId=job_id, reason="enough")
    account.ended(job_id)

    until("the child is gone", lambda: not is_running(int(child)))


def test_cancel_stops_only_what_has_not_started(account: Account) -> None:
    """CancelJob fails a waiting job, and lets a running one go on."""
    queue = account.queue(max_vcpus=1)
    definition = account.shell(SLEEP)
    running, waiting = account.submit(queue, definition), account.submit(queue, definition)
    account.reached(running, "RUNNING")
    for job_id in (running, waiting):
        account.batch.cancel_job(jobId=job_id, reason="not needed")

    assert account.ended(waiting)["statusReason"] == "not needed"
    assert account.job(waiting)["isCancelled"] is True
    assert account.job(running)["status"] == "RUNNING"
    account.batch.terminate_job(jobId=running, reason="test")


def test_many_jobs_are_stopped_at_once(account: Account, queue: str) -> None:
    """TerminateJobs takes up to 50 ids and answers for each; an id that is not there counts as stopped."""
    job_id = account.submit(queue, account.shell(SLEEP))
    answer = account.batch.terminate_jobs(jobs=[job_id, "no-such-job"], reason="enough")

    assert answer["successful"] == [job_id, "no-such-job"]
    assert account.ended(job_id)["statusReason"] == "enough"


def test_overrides_that_are_too_long_fail_at_dispatch(account: Account, queue: str) -> None:
    """More than 8,192 bytes of overrides are accepted at submission, and fail the job when it should start."""
    variables = {"environment": [{"name": "LONG", "value": "x" * 8192}]}
    job = account.ended(account.submit(queue, account.shell("true"), containerOverrides=variables))

    assert (job["status"], job["statusReason"]) == ("FAILED", "Container Overrides length must be at most 8192")


def test_a_program_that_is_missing(account: Account, queue: str) -> None:
    """A command that does not exist fails the start."""
    job = account.ended(account.submit(queue, account.definition("/no/such/program")))

    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotStartContainerError")


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_throttling(account: Account, queue: str) -> None:
    """A throttled request fails with TooManyRequestsException and 429, as AWS sends it."""
    definition = account.shell("true")
    account.control("POST", "batch/throttle", {"requests": 1})
    with pytest.raises(account.batch.exceptions.ClientError) as refused:
        account.submit(queue, definition)

    response: Any = refused.value.response
    assert response["Error"]["Code"] == "TooManyRequestsException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_time_does_not_go_backwards(account: Account, queue: str) -> None:
    """Times are milliseconds since 1970."""
    before = time.time() * 1000
    job = account.ended(account.submit(queue, account.shell("true")))

    assert before - 1 <= job["createdAt"] <= job["stoppedAt"] <= time.time() * 1000 + 1
