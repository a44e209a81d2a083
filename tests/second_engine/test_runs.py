"""Whole runs under an interpreter that we did not write: real functions and jobs, another reading of the states."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.layout import RunFolder, S3Uri
from tests.second_engine import engine
from tests.second_engine.conftest import Elsewhere
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Run, Runs, a_child_each, until
from tests.workflow.sam import physical, sam_deploy
from tests.workflow.texts import NOT_TEXT, counted, texts, totals

UPLOADS = "millrace-second"


def entered(runs: Runs, run: Run) -> list[str]:
    """The states in the order in which they were entered."""
    pages = runs.aws.step_functions.get_paginator("get_execution_history").paginate(executionArn=run.execution)
    events: list[Any] = [event for page in pages for event in page["events"]]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def test_a_word_count_gives_the_words_of_an_independent_count(runs: Runs, source: str, destination: str) -> None:
    """Plan, an array of four, a second look at the plan, and a merge."""
    bodies = texts(8)
    runs.put(source, bodies)
    run = runs.start(source, destination, **a_child_each(2))
    output = runs.wait(run)

    assert (output["counts"]["items"], output["counts"]["succeeded"]) == (8, 8)
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())
    assert entered(runs, run) == [
        "Prepare Run", "Planned?", "Plan", "Read Plan", "How Many Children?", "Migrate Shards", "Read Plan",
        "How Many Children?", "Merge In Parts?", "Merge", "Read Result",
    ]  # fmt: skip


def test_the_loop_over_read_plan_goes_on_until_nothing_is_left(runs: Runs, source: str, destination: str) -> None:
    """A child that ends early leaves its shards to the next array, which is sized from what has no commit yet."""
    bodies = texts(6)
    runs.put(source, bodies)
    run = runs.start(source, destination, **a_child_each(1))
    runs.wait(run)
    # The same run again: everything is committed, so the loop has nothing to submit, and the merge is at once.
    again = runs.start(source, destination, run_id=run.run_id, **a_child_each(1))
    output = runs.wait(again)

    assert output["counts"]["succeeded"] == 6
    assert entered(runs, run).count("Read Plan") == 2
    assert entered(runs, again).count("Migrate Shards") == 0
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())


def test_an_empty_source_has_no_array(runs: Runs, source: str, destination: str) -> None:
    """No item: the choice goes past the array, and the merge writes an empty result."""
    run = runs.start(source, destination, plan="job")
    output = runs.wait(run)

    assert output["counts"]["items"] == 0
    assert "Migrate Shards" not in entered(runs, run)
    assert runs.read(run.folder.file("_SUCCESS")) is not None


def test_a_merge_that_fails_fails_the_run_with_its_job(runs: Runs, source: str, destination: str) -> None:
    """More items failed than are tolerated: the merge job says so, and the execution's cause is that job."""
    runs.put(source, {"good": b"one two", "bad": NOT_TEXT, "worse": NOT_TEXT, "fine": b"three"})
    run = runs.start(source, destination, **a_child_each(1))
    described = runs.wait(run, "FAILED")

    assert described["error"] == "States.TaskFailed"
    job = json.loads(described["cause"])
    assert (job["Status"], job["Container"]["ExitCode"]) == ("FAILED", 3)
    assert job["JobName"] == f"{run.run_id}-merge"
    assert entered(runs, run)[-1] == "Merge"


@pytest.fixture(scope="module")
def uploads(stack: LocalStack, s3: Any, engine_url: str) -> Runs:
    """A stack of its own that starts a run for what is uploaded; its function Start Uploads asks the second engine."""
    sam_deploy(
        stack.endpoint_url,
        UPLOADS,
        UploadRequest=json.dumps({"workload": "word-count"}),
        UploadKeys="in/*",
        UploadWindowSeconds="1",
    )
    function = physical(stack.aws.cloudformation, UPLOADS, "StartUploadsFunction")
    client = stack.aws.client("lambda")
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL_SFN"] = engine_url
    client.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    outputs = stack.aws.cloudformation.describe_stacks(StackName=UPLOADS)["Stacks"][0]["Outputs"]
    named = {each["OutputKey"]: each["OutputValue"] for each in outputs}
    deployed: Any = stack.aws.step_functions.describe_state_machine(stateMachineArn=named["StateMachineArn"])
    engine.client(engine_url).create_state_machine(
        name=deployed["name"], definition=deployed["definition"], roleArn=deployed["roleArn"]
    )
    aws = Elsewhere(stack.aws.region, stack.aws.endpoint_url, states_url=engine_url)
    return Runs(aws, s3, named["StateMachineArn"], named["JobQueueArn"])


def test_an_uploaded_file_starts_a_run(stack: LocalStack, uploads: Runs) -> None:
    """S3's event goes through rule, queue and function Start Uploads, and the engine runs what that asks for."""
    stacks = stack.aws.cloudformation.describe_stacks(StackName=UPLOADS)["Stacks"][0]["Outputs"]
    bucket = next(each["OutputValue"] for each in stacks if each["OutputKey"] == "SourceBucketName")
    key = 'in/a "quoted" \\ name \U0001f600.txt'
    uploads.s3.put_object(Bucket=bucket, Key=key, Body=b"one two two")
    states = uploads.aws.step_functions

    def started() -> list[Any]:
        return list(states.list_executions(stateMachineArn=uploads.state_machine)["executions"])

    (found,) = until("an execution on the engine", started)
    given = json.loads(states.describe_execution(executionArn=found["executionArn"])["input"])
    assert given["keys"] == [key]
    run = Run(found["executionArn"], RunFolder.of(S3Uri.parse_folder(given["destination"]), given["run_id"]))
    output = uploads.wait(run)
    assert output["counts"]["succeeded"] == 1
    assert totals(uploads.file(run, "words.csv")) == {"one": 1, "two": 2}
