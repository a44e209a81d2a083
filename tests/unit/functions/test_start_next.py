"""Start Next: one run follows one result, however often its end is told; what is not to be followed is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.aws.events import RunEnded
from millrace.request.chained import next_run_id
from start_next import start_next

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:millrace"
RESULT = "s3://results/a/_millrace/run-1/result.json"
REQUEST: dict[str, Any] = {
    "source": "s3://letters/", "destination": "s3://results/a/", "then": {"destination": "s3://results/b/"},
}  # fmt: skip


class StepFunctions:
    """One execution that has ended, and those that are started after it."""

    class exceptions:  # noqa: N801 - as botocore has it
        """What botocore generates."""

        class ExecutionAlreadyExists(Exception):  # noqa: N818 - as in the API
            """The name is taken."""

    def __init__(self, request: dict[str, Any], output: Any, status: str = "SUCCEEDED") -> None:
        self.found = {"status": status, "input": json.dumps(request), "stateMachineArn": MACHINE}
        if output is not None:
            self.found["output"] = json.dumps(output)
        self.started: dict[str, dict[str, Any]] = {}
        self.refusal = ""

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """DescribeExecution."""
        assert executionArn == "arn:run-1"
        return self.found

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002, N803 - as above
        """StartExecution: a name is taken once."""
        assert stateMachineArn == MACHINE
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "not now"}}, "StartExecution")
        if name in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        self.started[name] = json.loads(input)


def told(states: StepFunctions, **given: Any) -> str | None:
    """What is started when the end is told."""
    detail = {
        "executionArn": "arn:run-1", "stateMachineArn": MACHINE, "name": "run-1", "status": "SUCCEEDED",
        "input": states.found["input"], **given,
    }  # fmt: skip
    return start_next(RunEnded.read(detail), states)  # type: ignore[arg-type]


def test_an_end_that_is_told_again_starts_nothing_more() -> None:
    """Three deliveries, one run, with the first one's destination as its source."""
    states = StepFunctions(REQUEST, {"status": "SUCCEEDED", "result": RESULT})
    assert [told(states) for _ in range(3)] == [next_run_id(RESULT)] * 3
    (request,) = states.started.values()
    assert (request["source"], request["destination"]) == ("s3://results/a/", "s3://results/b/")
    assert (request["run_id"], request["once"]) == (next_run_id(RESULT), True)
    assert request["tags"]["started-by"] == "the run run-1"


def test_the_input_of_a_large_request_is_asked_for() -> None:
    """EventBridge leaves out an input of more than 248 KB."""
    states = StepFunctions(REQUEST, {"status": "SUCCEEDED_WITH_FAILURES", "result": RESULT})
    assert told(states, input=None, inputDetails={"included": False}) == next_run_id(RESULT)
    assert len(states.started) == 1


@pytest.mark.parametrize(
    ("request_given", "output", "status"),
    [
        ({**REQUEST, "then": None}, {"result": RESULT}, "SUCCEEDED"),
        ({"source": "s3://letters/", "destination": "s3://results/a/"}, {"result": RESULT}, "SUCCEEDED"),
        (REQUEST, {"status": "SKIPPED", "run_id": "run-1"}, "SUCCEEDED"),
        (REQUEST, None, "RUNNING"),
        (REQUEST, {"result": RESULT}, "FAILED"),
    ],
)
def test_nothing_follows(request_given: dict[str, Any], output: Any, status: str) -> None:
    """Nothing was asked for, the run was skipped, or an old event tells of a run that is at work again."""
    states = StepFunctions(request_given, output, status)
    assert told(states) is None
    assert not states.started


def test_a_refused_start_is_an_error() -> None:
    """Lambda tries again, and then the event goes to the dead-letter queue."""
    states = StepFunctions(REQUEST, {"result": RESULT})
    states.refusal = "ThrottlingException"
    with pytest.raises(ClientError, match="not now"):
        told(states)
