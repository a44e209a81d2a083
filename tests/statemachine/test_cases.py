"""The state machine with every service mocked: on the embedded AWS, or on another interpreter of the same mock file.

MILLRACE_STEP_FUNCTIONS_URL names that one: AWS Step Functions Local in a container (`make test-stepfunctions-local`),
or `second-engine`, which is started here (`make test-second-engine`). All read MockConfigFile.json.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.session import get_session
from botocore.validate import ParamValidator

from console import embedded_aws
from console.find.executions import new_name
from tests.second_engine import engine

HERE = Path(__file__).parent
DEFINITION = HERE.parents[1] / "statemachine" / "migration.asl.json"
MOCKS = HERE / "MockConfigFile.json"
URL_VARIABLE = "MILLRACE_STEP_FUNCTIONS_URL"
SECOND_ENGINE = "second-engine"
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
PREPARED = ["Prepare Run", "Planned?"]
BEFORE = [*PREPARED, "Plan", "Read Plan", "How Many Children?"]
AGAIN = ["Read Plan", "How Many Children?"]
AFTER = ["Merge", "Read Result"]
SECONDS = 60


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Step Functions client."""

    def client(url: str, key: str = "test", secret: str = "test") -> Any:
        return boto3.client(
            "stepfunctions",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(proxies={}),
        )

    url = os.environ.get(URL_VARIABLE)
    if url == SECOND_ENGINE:
        with engine.running(tmp_path_factory.mktemp("second_engine"), mocks=MOCKS) as second:
            yield client(second)
        return
    if url:
        yield client(url)
        return
    options = [f"--mock-config={MOCKS}", "--wait-scale=0.01"]
    with embedded_aws.running(0, state_dir=tmp_path_factory.mktemp("mocked"), options=options) as server:
        found = embedded_aws.credentials(server.endpoint_url)
        yield client(server.endpoint_url, found.access_key, found.secret_key)


@pytest.fixture(scope="module")
def machine(states: Any) -> Iterator[str]:
    """The real definition as a state machine; its placeholders lead nowhere, as every call is mocked."""

    def arn(found: re.Match[str]) -> str:
        name = found[1]
        kind = (
            "lambda:us-east-1:123456789012:function:"
            if "Function" in name
            else "batch:us-east-1:123456789012:job-definition/"
        )
        return f"arn:aws:{kind}{name}{'' if 'Function' in name else ':1'}"

    made = states.create_state_machine(
        name="Migration",
        definition=PLACEHOLDER.sub(arn, DEFINITION.read_text(encoding="utf-8")),
        roleArn="arn:aws:iam::123456789012:role/any",
    )["stateMachineArn"]
    yield made
    states.delete_state_machine(stateMachineArn=made)


def run(states: Any, machine: str, case: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a case to its end: what DescribeExecution says, and the history."""
    given = json.dumps({"source": "s3://letters/in/", "destination": "s3://results/out/"})
    arn = states.start_execution(stateMachineArn=f"{machine}#{case}", name=new_name(), input=given)["executionArn"]
    deadline = time.monotonic() + SECONDS
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < deadline, f"{case} is still running"
        time.sleep(0.1)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return found, [event for page in pages for event in page["events"]]


def entered(history: list[dict[str, Any]]) -> list[str]:
    """The states in the order in which they were entered."""
    return [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]


@pytest.mark.parametrize(
    ("case", "between", "shards"),
    [
        ("HappyPath", ["Migrate Shards", *AGAIN, "Merge In Parts?"], 3),
        ("NoShards", ["Merge In Parts?"], 0),
        ("ManyShards", ["Migrate Shards", *AGAIN, "Merge In Parts?"], 100_000),
        ("MergeInParts", ["Migrate Shards", *AGAIN, "Merge In Parts?", "Merge Parts"], 10_000),
    ],
)
def test_a_run_takes_the_way_of_its_size(states: Any, machine: str, case: str, between: list[str], shards: int) -> None:
    """None continues to Merge, more than one are an array; the plan is read again until nothing is left."""
    found, history = run(states, machine, case)
    assert found["status"] == "SUCCEEDED", found
    assert entered(history) == [*BEFORE, *between, *AFTER]
    assert json.loads(found["output"])["counts"]["shards"] == shards


@pytest.mark.parametrize(
    ("case", "way", "shards"),
    [
        ("OneShard", [*BEFORE, "Migrate And Merge"], 1),
        ("PlannedAtOnce", [*PREPARED, *AGAIN, "Migrate And Merge"], 1),
        ("SmallJobHandedBack", [*PREPARED, *AGAIN, "Migrate And Merge", "Read Result", *AGAIN, "Migrate And Merge"], 1),
        ("MergedByAChild", [*PREPARED, *AGAIN, "Migrate And Merge Shards", *AGAIN], 3),
        ("MergedByNoChild", [*PREPARED, *AGAIN, "Migrate And Merge Shards", *AGAIN, "Merge In Parts?", "Merge"], 3),
        ("ThreePasses", [*BEFORE, "Migrate Shards", *AGAIN, "Migrate Shards", *AGAIN, "Migrate And Merge"], 3),
    ],
)
def test_what_one_child_can_do_or_ends_soon_is_merged_by_a_child(
    states: Any, machine: str, case: str, way: list[str], shards: int
) -> None:
    """One job works and merges, at once or after arrays; so does a child of a short array, and if none has, Merge does.
    A run that has its plan goes past Plan.
    """
    found, history = run(states, machine, case)
    assert found["status"] == "SUCCEEDED", found
    assert entered(history) == [*way, "Read Result"]
    assert json.loads(found["output"])["counts"]["shards"] == shards


def test_a_skipped_run_ends_without_a_job(states: Any, machine: str) -> None:
    """A start that minds the run at work succeeds at once, submits nothing, and its output says which run that is."""
    found, history = run(states, machine, "Skipped")
    assert found["status"] == "SUCCEEDED", found
    assert entered(history) == [*PREPARED, "Skip Run"]
    output = json.loads(found["output"])
    assert (output["status"], output["at_work"]["run_id"]) == ("SKIPPED", "run-1")


def test_a_queued_run_looks_again_until_the_other_has_ended(states: Any, machine: str) -> None:
    """It waits between two looks, and then runs as any other."""
    found, history = run(states, machine, "Queued")
    assert found["status"] == "SUCCEEDED", found
    waiting = [*PREPARED, "Wait For The Run At Work"]
    assert entered(history) == [*waiting, *waiting, *BEFORE, "Migrate And Merge", "Read Result"]
    assert json.loads(found["output"])["counts"]["shards"] == 1


def test_a_throttled_submission_is_tried_again(states: Any, machine: str) -> None:
    """Two refused submissions of the plan and one of the array change nothing of the result."""
    found, history = run(states, machine, "SubmissionThrottled")
    assert found["status"] == "SUCCEEDED", found
    failures = [event["taskFailedEventDetails"]["error"] for event in history if "taskFailedEventDetails" in event]
    assert failures == ["Batch.AWSBatchException"] * 3


def test_a_call_that_took_too_long_is_tried_again(states: Any, machine: str) -> None:
    """Fifty cold starts at once on a loaded machine: a Prepare Run that timed out, either way, is called again."""
    found, history = run(states, machine, "ColdStartsTimeOut")
    assert found["status"] == "SUCCEEDED", found
    failures = [event["taskFailedEventDetails"]["error"] for event in history if "taskFailedEventDetails" in event]
    timed_out = [event for event in history if event["type"] == "TaskTimedOut"]
    assert len(failures) + len(timed_out) == 2
    assert failures[0] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("case", "last", "error"),
    [
        ("ArrayFailed", "Migrate Shards", "States.TaskFailed"),
        ("PlanFailed", "Plan", "States.TaskFailed"),
        ("MergingArrayFailed", "Migrate And Merge Shards", "States.TaskFailed"),
        ("OneJobFailed", "Migrate And Merge", "States.TaskFailed"),
        ("BadInput", "Prepare Run", "InvalidRunRequest"),
        ("NothingCommitted", "Read Plan", "StalledError"),
    ],
)
def test_a_failed_job_is_not_tried_again(states: Any, machine: str, case: str, last: str, error: str) -> None:
    """The execution fails at that state with the job's own cause, uncaught, so that a redrive can go on from there."""
    found, history = run(states, machine, case)
    assert (found["status"], found["error"]) == ("FAILED", error)
    assert json.loads(found["cause"])
    assert entered(history)[-1] == last
    assert sum("taskFailedEventDetails" in event for event in history) == 1


def test_the_mocked_run_has_what_the_definition_reads() -> None:
    """A field of `$.run` that the mock lacks would fail every case for a reason of its own: it is named here."""
    mocks = json.loads(MOCKS.read_text(encoding="utf-8"))
    read = set(re.findall(r"\$\.run\.(\w+)", DEFINITION.read_text(encoding="utf-8")))
    answers = {
        name: set(mocks["MockedResponses"][name]["0"]["Return"]["Payload"]) for name in ("RunPrepared", "RunQueued")
    }
    assert read - {"wait_seconds"} <= answers["RunPrepared"]
    assert {"overlap", "wait_seconds"} <= answers["RunQueued"]  # all that is read of a run that waits


def test_every_case_names_states_that_are_there() -> None:
    """A misspelt state in the mock file would be run for real: each case's states are the definition's."""
    mocks = json.loads(MOCKS.read_text(encoding="utf-8"))
    known = set(json.loads(DEFINITION.read_text(encoding="utf-8"))["States"])
    for case, states in mocks["StateMachines"]["Migration"]["TestCases"].items():
        assert set(states) <= known, case
        assert set(states.values()) <= set(mocks["MockedResponses"]), case


def pascal(name: str) -> str:
    """A member's name as Step Functions writes it."""
    return name[0].upper() + name[1:]


def as_modelled(shape: Any, value: Any) -> Any:
    """A value of Step Functions, with PascalCase fields, as botocore's model names them; unknown names stay."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {pascal(name): name for name in shape.members}
        return {
            names.get(name, name): as_modelled(shape.members[names[name]], each) if name in names else each
            for name, each in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [as_modelled(shape.member, each) for each in value]
    return value


def mocked() -> Iterator[tuple[str, str, Any]]:
    """Each mocked answer with the state that gets it; what is thrown as States.TaskFailed is a job too."""
    mocks = json.loads(MOCKS.read_text(encoding="utf-8"))
    for states in mocks["StateMachines"]["Migration"]["TestCases"].values():
        for state, response in states.items():
            for answer in mocks["MockedResponses"][response].values():
                if "Return" in answer:
                    yield state, response, answer["Return"]
                elif answer["Throw"]["Error"] == "States.TaskFailed":
                    yield state, response, json.loads(answer["Throw"]["Cause"])


def test_every_mock_is_an_answer_that_aws_can_give() -> None:
    """What a mock returns has the fields and types, and all required ones, of the service's model: a JobDetail of a
    task that waits for its job, Lambda's answer with a payload.
    """
    states = json.loads(DEFINITION.read_text(encoding="utf-8"))["States"]
    models = {name: get_session().get_service_model(name) for name in ("batch", "lambda")}
    seen = 0
    for state, response, answer in mocked():
        resource = states[state]["Resource"]
        is_job = resource == "arn:aws:states:::batch:submitJob.sync"
        assert is_job or resource == "arn:aws:states:::lambda:invoke", state
        shape = models["batch"].shape_for("JobDetail") if is_job else models["lambda"].shape_for("InvocationResponse")
        given = as_modelled(shape, answer)
        if not is_job:
            given = {**given, "Payload": json.dumps(given["Payload"])}
        report = ParamValidator().validate(given, shape)
        assert not report.has_errors(), f"{response}: {report.generate_report()}"
        seen += 1
    assert seen > len(states)


def test_every_mocked_error_is_one_that_step_functions_gives() -> None:
    """An error of Batch is one of its model or AWSBatchException, which stands for all others."""
    mocks = json.loads(MOCKS.read_text(encoding="utf-8"))["MockedResponses"]
    thrown = [answer["Throw"]["Error"] for each in mocks.values() for answer in each.values() if "Throw" in answer]
    model = get_session().get_service_model("batch")
    known = {f"Batch.{shape.name}" for shape in model.error_shapes} | {"Batch.AWSBatchException"}
    assert {name for name in thrown if name.startswith("Batch.")} <= known
    assert "Batch.AWSBatchException" in thrown
