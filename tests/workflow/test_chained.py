"""Runs that follow others: what the first one wrote is worked by the next one, once, and the link is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.doctor.undelivered import undelivered
from console.find.target import Target
from millrace.layout import RunFolder, S3Uri
from millrace.request.chained import next_run_id
from tests.workflow.notices import called_once
from tests.workflow.runs import Run, until
from tests.workflow.sam import physical
from tests.workflow.texts import texts

CHANGE = "Step Functions Execution Status Change"


def follower(stack: Any, run_id: str) -> Any:
    """The execution of a run that follows."""
    machine = stack.stack.state_machine_arn.replace(":stateMachine:", ":execution:")
    states = stack.aws.step_functions

    def described() -> Any:
        try:
            return states.describe_execution(executionArn=f"{machine}:{run_id}")
        except states.exceptions.ExecutionDoesNotExist:
            return None

    return until(f"the run {run_id}", described)


def event_of(stack: Any, execution: str) -> bytes:
    """What EventBridge says when an execution has succeeded."""
    detail = {
        "executionArn": execution, "stateMachineArn": stack.stack.state_machine_arn,
        "name": execution.rpartition(":")[2], "status": "SUCCEEDED",
    }  # fmt: skip
    return json.dumps({"detail-type": CHANGE, "source": "aws.states", "detail": detail}).encode()


def test_a_chain_of_three(stack: Any, runs: Any, command: Any) -> None:
    """Texts are copied, then counted, then copied again; each run names the one before it, and works its outputs alone.

    The end of the first is told twice more, and starts nothing more.
    """
    source = f"s3://{stack.stack.source_bucket}/chain/in/"
    first, second, third = (f"s3://{stack.stack.result_bucket}/chain/{number}/" for number in (1, 2, 3))
    runs.put(source, texts(3))
    last = {"workload": "copy", "destination": third, "include": ["*.words.txt"]}
    then = {"workload": "word-count", "destination": second, "then": last}
    run = runs.start(source, first, workload="copy", then=then)
    output = runs.wait(run)
    second_id = next_run_id(output["result"])
    execution = follower(stack, second_id)
    second_folder = RunFolder.of(S3Uri.parse_folder(second), second_id)
    counted = runs.wait(Run(execution["executionArn"], second_folder))
    assert counted["counts"]["succeeded"] == 3
    third_id = next_run_id(counted["result"])
    execution = follower(stack, third_id)
    copied = runs.wait(Run(execution["executionArn"], RunFolder.of(S3Uri.parse_folder(third), third_id)))
    assert (copied["counts"]["succeeded"], copied["counts"]["failed"]) == (3, 0)
    function = physical(stack.aws.cloudformation, stack.stack.name, "StartNextFunction")
    for _ in range(2):
        answer = stack.aws.client("lambda").invoke(FunctionName=function, Payload=event_of(stack, run.execution))
        assert "FunctionError" not in answer
    listed = stack.aws.step_functions.list_executions(stateMachineArn=stack.stack.state_machine_arn)["executions"]
    assert [each["name"] for each in listed].count(second_id) == 1
    shown = json.loads(command("status", run.execution, "--json")[1])
    assert (shown["then"]["run_id"], shown["then"]["status"]) == (second_id, "SUCCEEDED")
    shown = json.loads(command("status", second_id, "--json")[1])
    assert shown["tags"]["started-by"] == f"the run {output['run_id']}"
    assert f"Then  {second_id} (word-count over {first}): SUCCEEDED" in command("status", run.execution)[1]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"destination": "s3://no-such-bucket-anywhere/x/"}, "then.destination"),
        ({"destination": "RESULT/c/", "queue": "none"}, "then.queue"),
        ({"destination": "RESULT/c/", "workload": "none-such"}, "then.workload"),
    ],
)
def test_a_chain_that_would_break_is_refused_before_it_begins(
    stack: Any, runs: Any, then: dict[str, str], said: str
) -> None:
    """The first run fails in its first state, with the field of the one that follows."""
    source, result = f"s3://{stack.stack.source_bucket}/chain/bad/", f"s3://{stack.stack.result_bucket}"
    runs.put(source, texts(1))
    given = {name: value.replace("RESULT", result) for name, value in then.items()}
    run = runs.start(source, f"{result}/chain/bad/", then=given)
    states = stack.aws.step_functions

    def ended() -> Any:
        found = states.describe_execution(executionArn=run.execution)
        return found if found["status"] != "RUNNING" else None

    found = until("the end", ended)
    assert (found["status"], found["error"]) == ("FAILED", "InvalidRunRequest")
    assert f"{said} is " in found["cause"]


def test_a_start_that_fails_is_named_by_doctor(stack: Any) -> None:
    """The event goes to the dead-letter queue, and `doctor` says which run it is of, and why."""
    client, function = (
        stack.aws.client("lambda"), physical(stack.aws.cloudformation, stack.stack.name, "StartNextFunction"),
    )  # fmt: skip
    gone = stack.stack.state_machine_arn.replace(":stateMachine:", ":execution:") + ":gone-run"
    with called_once(client, function):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=event_of(stack, gone))
        target = Target(stack.aws, stack.stack.name)
        check = until("the message", lambda: (found := undelivered(target)).outcome == "warn" and found)
    stack.aws.client("sqs").purge_queue(QueueUrl=stack.stack.outputs["UndeliveredQueueUrl"])
    assert "gone-run" in check.message
    assert "DescribeExecution operation" in check.message
