"""State machines: the Batch task, stopping, time limits, paths, and what ministack lacks of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from console import embedded_aws
from tests.conformance.account import ROLE, Account, unique, until

SLEEP = "exec sleep 60"
SYNC = "arn:aws:states:::batch:submitJob.sync"
ABORTED = "The Task state in AWS Step Functions execution [{arn}] which was managing this resource was aborted"
"""The reason of a job whose task or execution is over (measured on AWS: floci-io/floci, AslExecutorEcsRunTaskMode)."""


def task(queue: str, definition: str, **fields: Any) -> dict[str, Any]:
    """A state that runs a job; fields go to the state, Parameters among them to the job."""
    parameters = {"JobName": unique("job"), "JobQueue": queue, "JobDefinition": definition}
    parameters |= fields.pop("Parameters", {})
    return {"Type": "Task", "Resource": SYNC, "Parameters": parameters, "End": True, **fields}


def test_a_job_and_its_result(account: Account, queue: str) -> None:
    """A successful job's description is the output: PascalCase fields, numbers as numbers, maps untouched."""
    parameters = {"Tags": {"camelCase": "kept"}, "Parameters": {"lower": "x"}}
    execution = account.run({"Run": task(queue, account.shell("true"), Parameters=parameters)})
    output = json.loads(execution["output"])

    assert execution["status"] == "SUCCEEDED"
    assert output["Status"] == "SUCCEEDED"
    assert output["Container"]["ExitCode"] == 0
    assert isinstance(output["CreatedAt"], int)
    assert (output["Tags"], output["Parameters"]) == ({"camelCase": "kept"}, {"lower": "x"})
    mark = {"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
    assert mark in output["Container"]["Environment"]


def test_a_dynamic_array(account: Account, queue: str) -> None:
    """The size of an array may come from the input, and the summary is part of the output."""
    run = task(queue, account.shell("true"), Parameters={"ArrayProperties": {"Size.$": "$.plan.shards"}})
    execution = account.run({"Run": run}, {"plan": {"shards": 4}})

    assert json.loads(execution["output"])["ArrayProperties"]["StatusSummary"]["SUCCEEDED"] == 4


def test_without_sync_it_only_submits(account: Account, queue: str) -> None:
    """SubmitJob without .sync returns the ids at once."""
    state = task(queue, account.shell("true"), Resource="arn:aws:states:::batch:submitJob")
    output = json.loads(account.run({"Run": state})["output"])

    assert output.keys() == {"JobArn", "JobId", "JobName", "SdkHttpMetadata", "SdkResponseMetadata"}
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert output["SdkHttpMetadata"]["HttpHeaders"]["x-amzn-RequestId"] == output["SdkResponseMetadata"]["RequestId"]
    assert account.ended(output["JobId"])["status"] == "SUCCEEDED"


def test_a_failed_job(account: Account, queue: str) -> None:
    """A failed job is States.TaskFailed, with the whole job as JSON in the cause."""
    execution = account.run({"Run": task(queue, account.shell("exit 7"))})
    cause = json.loads(execution["cause"])

    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    assert (cause["Status"], cause["Container"]["ExitCode"]) == ("FAILED", 7)
    assert cause["JobId"]


def test_refusals_of_the_api(account: Account, queue: str) -> None:
    """What SubmitJob refuses arrives as Batch.ClientException in the words of AWS."""
    run = task(queue, account.shell("true"), Parameters={"ArrayProperties": {"Size": 1}})
    execution = account.run({"Run": run})

    assert execution["error"] == "Batch.ClientException"
    assert "(Service: AWSBatch; Status Code: 400; Error Code: ClientException;" in execution["cause"]


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_throttling_is_retried(account: Account, queue: str) -> None:
    """Retry on Batch.AWSBatchException submits again."""
    retry = [{"ErrorEquals": ["Batch.AWSBatchException"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    machine = account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell("true"), Retry=retry)}})
    account.control("POST", "batch/throttle", {"requests": 2})
    arn = account.start(machine)

    assert account.execution(arn)["status"] == "SUCCEEDED"
    kinds = [event["type"] for event in account.history(arn)]
    assert (kinds.count("TaskFailed"), kinds.count("TaskSubmitted")) == (2, 1)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"ContainerOverrides": {"Environment": [{"Name": "N", "Value": 5}]}}, "'Value' must be a STRING"),
        ({"ArrayProperties": {"Size": "5"}}, "'Size' must be a NUMBER"),
        ({"jobName": "x"}, "'jobName' is not supported"),
    ],
)
def test_wrong_types_are_runtime_errors(account: Account, queue: str, parameters: dict[str, Any], text: str) -> None:
    """A wrong type or name of an argument is States.Runtime, which not even Catch States.ALL sees."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    states = {
        "Run": task(queue, account.shell("true"), Parameters=parameters, Catch=catch),
        "Caught": {"Type": "Succeed"},
    }
    execution = account.run(states)

    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")
    assert text in execution["cause"]


def test_stopping_terminates_the_job(account: Account, queue: str) -> None:
    """StopExecution ends the job with every child, and the execution stays ABORTED."""
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    run = task(queue, account.shell(SLEEP), Parameters={"ArrayProperties": {"Size": 3}}, Retry=retry)
    arn = account.start(account.machine({"StartAt": "Run", "States": {"Run": run}}))
    parent = submitted_job(account, arn)
    account.reached(f"{parent}:0", "RUNNING")
    account.states.stop_execution(executionArn=arn, error="Operator", cause="enough")

    assert account.ended(parent)["arrayProperties"]["statusSummary"]["FAILED"] == 3
    execution = account.states.describe_execution(executionArn=arn)
    assert (execution["status"], execution["error"], execution["cause"]) == ("ABORTED", "Operator", "enough")
    assert account.history(arn)[-1]["type"] == "ExecutionAborted"


def test_a_task_that_takes_too_long(account: Account, queue: str) -> None:
    """TimeoutSeconds of the state is States.Timeout without a cause, TaskTimedOut in the history, and stops the job."""
    arn = account.start(
        account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell(SLEEP), TimeoutSeconds=1)}})
    )
    execution = account.execution(arn)

    assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")
    assert "cause" not in execution
    job = account.ended(submitted_job(account, arn))
    assert (job["status"], job["isTerminated"], job["statusReason"]) == ("FAILED", True, ABORTED.format(arn=arn))
    events = account.history(arn)
    assert [event["type"] for event in events][-2:] == ["TaskTimedOut", "ExecutionFailed"]
    assert events[-2]["taskTimedOutEventDetails"] == {
        "error": "States.Timeout", "resourceType": "batch", "resource": "submitJob.sync",
    }  # fmt: skip
    assert events[-1]["executionFailedEventDetails"] == {"error": "States.Timeout"}


def test_an_execution_that_takes_too_long(account: Account, queue: str) -> None:
    """TimeoutSeconds of the machine ends the execution TIMED_OUT, without error and cause, and stops its job."""
    definition = {"StartAt": "Run", "TimeoutSeconds": 1, "States": {"Run": task(queue, account.shell(SLEEP))}}
    arn = account.start(account.machine(definition))

    execution = account.execution(arn)
    assert execution["status"] == "TIMED_OUT"
    assert not {"error", "cause", "output"} & execution.keys()
    last = account.history(arn)[-1]
    assert (last["type"], last["executionTimedOutEventDetails"]) == ("ExecutionTimedOut", {"error": "States.Timeout"})
    job = account.ended(submitted_job(account, arn))
    assert (job["isTerminated"], job["statusReason"]) == (True, ABORTED.format(arn=arn))


def test_the_history_of_a_task(account: Account, queue: str) -> None:
    """Scheduled with region, parameters and time limit, started, submitted with the SDK's own fields, succeeded: as
    LocalStack recorded it of AWS for another service (test_ecs_task_service, test_run_task_sync).
    """
    arn = account.start(
        account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell("true"), TimeoutSeconds=60)}})
    )
    account.execution(arn)
    events = [event for event in account.history(arn) if event["type"].startswith("Task")]

    kinds = ["TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded", "TaskStateExited"]
    assert [event["type"] for event in events] == kinds
    integration = {"resourceType": "batch", "resource": "submitJob.sync"}
    scheduled = events[1]["taskScheduledEventDetails"]
    assert json.loads(scheduled.pop("parameters"))["JobQueue"] == queue
    assert scheduled == {**integration, "region": "us-east-1", "timeoutInSeconds": 60}
    assert events[2]["taskStartedEventDetails"] == integration
    submitted = json.loads(events[3]["taskSubmittedEventDetails"]["output"])
    assert {"JobId", "JobName", "JobArn", "SdkHttpMetadata", "SdkResponseMetadata"} == submitted.keys()
    assert submitted["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert integration.items() <= events[4]["taskSucceededEventDetails"].items()
    assert "SdkHttpMetadata" not in json.loads(events[4]["taskSucceededEventDetails"]["output"])


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_throttling_arrives_as_the_services_own_exception(account: Account, queue: str) -> None:
    """TooManyRequestsException is not in Batch's model, so that Step Functions calls it AWSBatchException."""
    machine = account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell("true"))}})
    account.control("POST", "batch/throttle", {"requests": 1})
    execution = account.execution(account.start(machine))
    assert execution["error"] == "Batch.AWSBatchException"
    assert "Error Code: TooManyRequestsException" in execution["cause"]


def test_many_executions_wait_at_once(account: Account) -> None:
    """Fifty waiting executions do not keep the server from answering, nor each other from ending."""
    queue = account.queue(max_vcpus=4)
    machine = account.machine(
        {"StartAt": "Run", "States": {"Run": task(queue, account.shell("sleep 0.02"), TimeoutSeconds=60)}}
    )
    arns = [account.start(machine) for _ in range(50)]

    assert {account.execution(arn)["status"] for arn in arns} == {"SUCCEEDED"}


def test_results_are_selected_and_placed(account: Account, queue: str) -> None:
    """ResultSelector and a ResultPath whose parent is missing keep one field beside the input."""
    state = task(queue, account.shell("true"), ResultSelector={"job_id.$": "$.JobId"}, ResultPath="$.jobs.plan")
    output = json.loads(account.run({"Run": state}, {"source": "s3://b/"})["output"])

    assert output["source"] == "s3://b/"
    assert output["jobs"]["plan"].keys() == {"job_id"}


def test_intrinsics_and_context(account: Account) -> None:
    """States.Format, States.Array and the context object of the execution."""
    parameters = {
        "format.$": "States.Format('{}-plan {}', $.name, $.count)",
        "array.$": "States.Array('plan', '--request', $.name)",
        "name.$": "$$.Execution.Name",
        "id.$": "$$.Execution.Id",
        "start.$": "$$.Execution.StartTime",
        "input.$": "$$.Execution.Input",
        "nested": [{"machine.$": "$$.StateMachine.Name"}],
    }
    data = {"name": "a", "count": 3}
    arn = account.start(
        account.machine({"StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": parameters, "End": True}}}),
        data,
    )
    output = json.loads(account.execution(arn)["output"])

    assert output["format"] == "a-plan 3"
    assert output["array"] == ["plan", "--request", "a"]
    assert (output["id"], output["name"]) == (arn, arn.rpartition(":")[2])
    assert output["start"].endswith("Z")
    assert output["input"] == data
    assert output["nested"][0]["machine"] == arn.split(":")[-2]


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Parameters": {"x.$": "$.missing"}, "End": True},
        {"Type": "Pass", "InputPath": "$.missing", "End": True},
        {"Type": "Pass", "OutputPath": "$.missing", "End": True},
        {"Type": "Pass", "Parameters": {"x.$": "States.Format('{}', $.missing)"}, "End": True},
        {"Type": "Choice", "Choices": [{"Variable": "$.missing", "NumericEquals": 1, "Next": "State"}]},
    ],
    ids=lambda state: f"{state['Type']} {[name for name in state if name not in ('Type', 'End')]}",
)
def test_missing_paths_are_runtime_errors(account: Account, state: dict[str, Any]) -> None:
    """A path that leads nowhere fails the execution with States.Runtime; ministack alone would pass null on."""
    execution = account.run({"State": state}, {"there": 1})

    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")


def test_presence(account: Account) -> None:
    """IsPresent is true for a null that is there, and false for what is not."""
    choices = [
        {"Variable": "$.missing", "IsPresent": True, "Next": "Wrong"},
        {"Variable": "$.null", "IsPresent": True, "Next": "Right"},
    ]
    states = {
        "Choose": {"Type": "Choice", "Choices": choices, "Default": "Wrong"},
        "Right": {"Type": "Succeed"},
        "Wrong": {"Type": "Fail"},
    }
    assert account.run(states, {"null": None})["status"] == "SUCCEEDED"


def test_context_in_a_result_selector(account: Account, queue: str) -> None:
    """A ResultSelector may use the context object."""
    state = task(queue, account.shell("true"), ResultSelector={"name.$": "$$.Execution.Name"})

    assert json.loads(account.run({"Run": state})["output"])["name"].startswith("run-")


def test_the_same_start_again(account: Account, queue: str) -> None:
    """StartExecution with the same name and input is idempotent while it runs, and refused for another input."""
    machine = account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell(SLEEP))}})
    name = unique("run")
    arn = account.start(machine, {"a": 1}, name)

    assert account.start(machine, {"a": 1}, name) == arn
    with pytest.raises(account.states.exceptions.ExecutionAlreadyExists):
        account.start(machine, {"a": 2}, name)
    account.states.stop_execution(executionArn=arn)
    with pytest.raises(account.states.exceptions.ExecutionAlreadyExists):
        account.start(machine, {"a": 1}, name)


def test_history_names_the_task(account: Account, queue: str) -> None:
    """The history shows service and action of a task as on AWS, and the job's id once it is submitted."""
    arn = account.start(account.machine({"StartAt": "Run", "States": {"Run": task(queue, account.shell("true"))}}))
    account.execution(arn)
    events = account.history(arn)

    assert [event["type"] for event in events] == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
        "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip
    scheduled = events[2]["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("batch", "submitJob.sync")


def submitted_job(account: Account, arn: str) -> str:
    """The id of the job that the execution has submitted last."""

    def found() -> str | None:
        submitted = [
            event["taskSubmittedEventDetails"] for event in account.history(arn) if event["type"] == "TaskSubmitted"
        ]
        return json.loads(submitted[-1]["output"])["JobId"] if submitted else None

    job_id: str = until("the job is submitted", found)
    return job_id


def test_a_lambda_task(account: Account) -> None:
    """lambda:invoke passes Payload in and out; an exception is the error by its class name."""
    code = "def handler(event, context):\n    if 'boom' in event: raise KeyError('boom')\n    return {'got': event}\n"
    function = account.function(code)
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "ResultSelector": {"got.$": "$.Payload.got"},
        "TimeoutSeconds": 30,
        "End": True,
    }
    machine = account.machine({"StartAt": "Call", "States": {"Call": state}})

    assert json.loads(account.execution(account.start(machine, {"a": 1}))["output"]) == {"got": {"a": 1}}
    failed = account.execution(account.start(machine, {"boom": 1}))
    assert (failed["status"], failed["error"]) == ("FAILED", "KeyError")
    assert json.loads(failed["cause"])["errorMessage"] == "'boom'"


@pytest.mark.embedded("it needs a server of its own")
def test_mocked_tasks(tmp_path: Path, server: embedded_aws.EmbeddedAws, queue: str) -> None:
    """The mock file of AWS Step Functions Local answers for tasks of the named test case, retries included."""
    assert server.pid
    mocks = {
        "StateMachines": {"mocked": {"TestCases": {"Throttled": {"Run": "ThrottledOnce"}}}},
        "MockedResponses": {
            "ThrottledOnce": {
                "0": {"Throw": {"Error": "Batch.AWSBatchException", "Cause": "slow down"}},
                "1": {"Return": {"JobId": "mocked-job"}},
            }
        },
    }
    file = tmp_path / "MockConfigFile.json"
    file.write_text(json.dumps(mocks))
    options = ("--wait-scale=0", f"--mock-config={file}")
    with embedded_aws.running(0, state_dir=tmp_path / "state", options=options) as running:
        account = Account(running.endpoint_url)
        retry = [{"ErrorEquals": ["Batch.AWSBatchException"], "MaxAttempts": 2}]
        definition = {"StartAt": "Run", "States": {"Run": task(queue, "any", Retry=retry, ResultPath="$.job")}}
        account.states.create_state_machine(name="mocked", roleArn=ROLE, definition=json.dumps(definition))
        arn = account.start("arn:aws:states:us-east-1:123456789012:stateMachine:mocked#Throttled")
        execution = account.execution(arn)

    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    assert json.loads(execution["output"])["job"] == {"JobId": "mocked-job"}
