"""RedriveExecution."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.account import Account, unique
from tests.conformance.test_step_functions import SLEEP, submitted_job, task


@pytest.fixture
def broken(account: Account, queue: str, tmp_path: Path) -> tuple[str, Path]:
    """A failed execution, and the file that lets its second state succeed; the first state must run only once."""
    count, repaired = tmp_path / "count", tmp_path / "repaired"
    states = {
        "First": task(queue, account.shell(f"echo x >> {count}"), ResultPath=None) | {"Next": "Second"},
        "Second": task(
            queue, account.shell(f"test -e {repaired}"), ResultSelector={"start.$": "$$.Execution.StartTime"}
        ),
    }
    states["First"].pop("End")
    arn = account.start(account.machine({"StartAt": "First", "States": states}), {"a": 1})
    assert account.execution(arn)["status"] == "FAILED"
    return arn, repaired


@pytest.mark.embedded("its job reads a file of this machine")
def test_it_goes_on_where_it_failed(account: Account, broken: tuple[str, Path]) -> None:
    """The failed state runs again with its own input, the ones before it do not, and the start time stays."""
    arn, repaired = broken
    before = account.states.describe_execution(executionArn=arn)
    repaired.touch()
    answer = account.states.redrive_execution(executionArn=arn)
    after = account.execution(arn)

    assert after["status"] == "SUCCEEDED"
    assert (repaired.parent / "count").read_text() == "x\n"
    assert (after["startDate"], after["input"]) == (before["startDate"], before["input"])
    assert (before["redriveCount"], before["redriveStatus"]) == (0, "REDRIVABLE")
    assert (after["redriveCount"], after["redriveStatus"]) == (1, "NOT_REDRIVABLE")
    assert after["redriveDate"] == answer["redriveDate"]
    assert json.loads(after["output"])["start"].startswith(before["startDate"].strftime("%Y-%m"))
    kinds = [event["type"] for event in account.history(arn)]
    assert kinds[kinds.index("ExecutionFailed") + 1 :][:2] == ["ExecutionRedriven", "TaskStateEntered"]


@pytest.mark.embedded("its job reads a file of this machine")
def test_it_can_fail_again(account: Account, broken: tuple[str, Path]) -> None:
    """Every redrive counts."""
    arn, _ = broken
    for count in (1, 2):
        account.states.redrive_execution(executionArn=arn)
        execution = account.execution(arn)
        assert (execution["status"], execution["redriveCount"]) == ("FAILED", count)
        (listed,) = account.states.list_executions(stateMachineArn=execution["stateMachineArn"])["executions"]
        assert listed["redriveCount"] == count


@pytest.mark.embedded("its job reads a file of this machine")
def test_a_repeated_request_does_nothing(account: Account, broken: tuple[str, Path]) -> None:
    """The same client token gives the same answer and no second redrive."""
    arn, _ = broken
    token = unique("token")
    first = account.states.redrive_execution(executionArn=arn, clientToken=token)
    account.execution(arn)
    second = account.states.redrive_execution(executionArn=arn, clientToken=token)

    assert first["redriveDate"] == second["redriveDate"]
    assert account.states.describe_execution(executionArn=arn)["redriveCount"] == 1


@pytest.mark.embedded("its job reads a file of this machine")
def test_it_keeps_its_definition(account: Account, broken: tuple[str, Path]) -> None:
    """An execution is redriven on the definition it started with, whatever the machine is by now."""
    arn, repaired = broken
    machine = account.states.describe_execution(executionArn=arn)["stateMachineArn"]
    other: dict[str, Any] = {"StartAt": "Second", "States": {"Second": {"Type": "Fail"}}}
    account.states.update_state_machine(stateMachineArn=machine, definition=json.dumps(other))
    repaired.touch()
    account.states.redrive_execution(executionArn=arn)

    assert account.execution(arn)["status"] == "SUCCEEDED"


@pytest.mark.embedded("its job runs a program, or reads a file, of this machine")
def test_a_stopped_execution(account: Account, queue: str, tmp_path: Path) -> None:
    """An aborted execution continues at the state it was in."""
    go = tmp_path / "go"
    run = task(queue, account.shell(f"test -e {go} || {SLEEP}"))
    arn = account.start(account.machine({"StartAt": "Run", "States": {"Run": run}}))
    job_id = submitted_job(account, arn)
    account.states.stop_execution(executionArn=arn)
    account.ended(job_id)
    go.touch()
    account.states.redrive_execution(executionArn=arn)

    assert account.execution(arn)["status"] == "SUCCEEDED"
    assert submitted_job(account, arn) != job_id


@pytest.mark.embedded("its job runs a program, or reads a file, of this machine")
def test_a_timed_out_execution(account: Account, queue: str, tmp_path: Path) -> None:
    """An execution that timed out continues, with a new time limit."""
    go = tmp_path / "go"
    definition = {
        "StartAt": "Run",
        "TimeoutSeconds": 1,
        "States": {"Run": task(queue, account.shell(f"test -e {go} || {SLEEP}"))},
    }
    arn = account.start(account.machine(definition))
    assert account.execution(arn)["status"] == "TIMED_OUT"
    go.touch()
    account.states.redrive_execution(executionArn=arn)

    assert account.execution(arn)["status"] == "SUCCEEDED"


def test_what_cannot_be_redriven(account: Account) -> None:
    """Running and successful executions, and ones that do not exist, are refused by name."""
    queue = account.queue(max_vcpus=1)
    machine = account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell("true"))}})
    with account.kept_busy(queue):
        arn = account.start(machine)
        with pytest.raises(account.states.exceptions.ExecutionNotRedrivable):
            account.states.redrive_execution(executionArn=arn)
    assert account.execution(arn)["status"] == "SUCCEEDED"
    with pytest.raises(account.states.exceptions.ExecutionNotRedrivable):
        account.states.redrive_execution(executionArn=arn)
    with pytest.raises(account.states.exceptions.ExecutionDoesNotExist):
        account.states.redrive_execution(executionArn=f"{arn}-not")
