"""What the embedded AWS is asked so that its answer can be held against each recording of AWS's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.conformance.account import Account, unique, until
from tests.conformance.recorded import ACCOUNT
from tests.conformance.test_events import Listener
from tests.conformance.test_step_functions import SLEEP, task

Answer = Callable[[Account, str], Any]
ANSWERS: dict[str, Answer] = {}


def answers(name: str) -> Callable[[Answer], Answer]:
    """Says which recording a function asks the embedded AWS for."""

    def register(ask: Answer) -> Answer:
        ANSWERS[name] = ask
        return ask

    return register


def asked(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """What a call answers, an error included; without what is about the response itself."""
    try:
        found: dict[str, Any] = call(**arguments)
    except ClientError as error:
        found = dict(error.response)
        found["HTTPStatusCode"] = found["ResponseMetadata"]["HTTPStatusCode"]
    return {name: value for name, value in found.items() if name != "ResponseMetadata"}


def described(account: Account, job_id: str) -> dict[str, Any]:
    """DescribeJobs of a job."""
    return asked(account.batch.describe_jobs, jobs=[job_id])


def ended(account: Account, queue: str, script: str, **settings: Any) -> str:
    """A job that has run a script to its end."""
    job_id = account.submit(queue, account.shell(script), **settings)
    account.ended(job_id)
    return job_id


@answers("batch-describe-succeeded")
def _(account: Account, queue: str) -> Any:
    return described(account, ended(account, queue, "exit 0"))


@answers("batch-describe-failed")
def _(account: Account, queue: str) -> Any:
    return described(account, ended(account, queue, "exit 2"))


@answers("batch-describe-array-succeeded")
def _(account: Account, queue: str) -> Any:
    return described(account, ended(account, queue, "exit 0", arrayProperties={"size": 2}))


@answers("batch-describe-array-failed")
def _(account: Account, queue: str) -> Any:
    return described(account, ended(account, queue, "exit 1", arrayProperties={"size": 2}))


@answers("batch-describe-child")
def _(account: Account, queue: str) -> Any:
    return described(account, ended(account, queue, "exit 0", arrayProperties={"size": 2}) + ":0")


@answers("batch-describe-runnable")
def _(account: Account, _queue: str) -> Any:
    queue = account.queue(max_vcpus=1)
    ahead, waiting = (account.submit(queue, account.shell(SLEEP)) for _ in range(2))
    account.reached(ahead, "RUNNING")
    found = described(account, waiting)
    for job_id in (waiting, ahead):
        account.batch.terminate_job(jobId=job_id, reason="test")
    return found


@answers("batch-describe-terminated")
def _(account: Account, queue: str) -> Any:
    job_id = account.submit(queue, account.shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"))
    until("it is ready", lambda: account.reached(job_id, "RUNNING") and account.output(job_id) == ["ready"])
    account.batch.terminate_job(jobId=job_id, reason="Terminated by the user")
    account.ended(job_id)
    return described(account, job_id)


@answers("batch-queue-snapshot")
def _(account: Account, _queue: str) -> Any:
    queue = account.queue(max_vcpus=1)
    ahead, waiting = (account.submit(queue, account.shell(SLEEP)) for _ in range(2))
    account.reached(ahead, "RUNNING")
    found = asked(account.batch.get_job_queue_snapshot, jobQueue=queue)
    for job_id in (waiting, ahead):
        account.batch.terminate_job(jobId=job_id, reason="test")
    return found


@answers("batch-describe-queues")
def _(account: Account, queue: str) -> Any:
    return asked(account.batch.describe_job_queues, jobQueues=[queue])


@answers("batch-describe-environments")
def _(account: Account, _queue: str) -> Any:
    return asked(account.batch.describe_compute_environments, computeEnvironments=[account.environment()])


def stack(account: Account) -> tuple[Any, str]:
    """CloudFormation, and a new stack with a bucket in it."""
    client, name = account.client("cloudformation"), unique("stack")
    template = {
        "Parameters": {"Level": {"Type": "String", "Default": "INFO"}},
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}},
    }
    client.create_stack(StackName=name, TemplateBody=json.dumps(template))
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    return client, name


@answers("cloudformation-stack")
def _(account: Account, _queue: str) -> Any:
    client, name = stack(account)
    return asked(client.describe_stacks, StackName=name)


@answers("cloudformation-resources")
def _(account: Account, _queue: str) -> Any:
    client, name = stack(account)
    return asked(client.list_stack_resources, StackName=name)


@answers("cloudformation-stack-missing")
def _(account: Account, _queue: str) -> Any:
    return asked(account.client("cloudformation").describe_stacks, StackName="none")


@answers("s3-no-lifecycle")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    return asked(storage.get_bucket_lifecycle_configuration, Bucket=bucket)


def listed(account: Account, script: str, **settings: Any) -> Any:
    """ListJobs of a queue's failed jobs."""
    queue = account.queue()
    ended(account, queue, script, **settings)
    return asked(account.batch.list_jobs, jobQueue=queue, jobStatus="FAILED")


@answers("batch-list-failed")
def _(account: Account, _queue: str) -> Any:
    return listed(account, "exit 2")


@answers("batch-list-array-failed")
def _(account: Account, _queue: str) -> Any:
    return listed(account, "exit 1", arrayProperties={"size": 2})


def heard(account: Account, pattern: dict[str, Any], cause: Callable[[], Any]) -> Any:
    """The first event of a pattern that something causes."""
    listener = Listener(account, pattern)
    try:
        cause()
        listener.details(1)
    finally:
        listener.close()
    return listener.seen[0]


@answers("event-job-succeeded")
def _(account: Account, queue: str) -> Any:
    name = unique("job")
    pattern = {"source": ["aws.batch"], "detail": {"jobName": [name], "status": ["SUCCEEDED"]}}
    return heard(account, pattern, lambda: ended(account, queue, "exit 0", jobName=name))


@answers("event-execution-failed")
def _(account: Account, _queue: str) -> Any:
    machine = account.machine({"StartAt": "S", "States": {"S": {"Type": "Fail", "Error": "E", "Cause": "C"}}})
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    return heard(account, pattern, lambda: account.start(machine))


def ended_event(account: Account, status: str, states: dict[str, Any], **settings: Any) -> Any:
    """The event of an execution's end; where it would not end by itself, it is stopped."""
    machine = account.machine({"StartAt": "S", "States": {"S": states}, **settings})

    def cause() -> None:
        arn = account.start(machine)
        if status == "ABORTED":
            account.states.stop_execution(executionArn=arn)

    return heard(
        account, {"source": ["aws.states"], "detail": {"stateMachineArn": [machine], "status": [status]}}, cause
    )


@answers("event-execution-succeeded")
def _(account: Account, _queue: str) -> Any:
    return ended_event(account, "SUCCEEDED", {"Type": "Pass", "End": True})


@answers("event-execution-aborted")
def _(account: Account, _queue: str) -> Any:
    return ended_event(account, "ABORTED", {"Type": "Wait", "Seconds": 500, "End": True})


@answers("event-execution-timed-out")
def _(account: Account, _queue: str) -> Any:
    return ended_event(account, "TIMED_OUT", {"Type": "Wait", "Seconds": 500, "End": True}, TimeoutSeconds=1)


@answers("event-object-created")
def _(account: Account, _queue: str) -> Any:
    bucket, storage = unique("bucket"), account.client("s3")
    storage.create_bucket(Bucket=bucket)
    storage.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    return heard(account, pattern, lambda: storage.put_object(Bucket=bucket, Key="key", Body=b"body"))


def execution(account: Account, states: dict[str, Any], **settings: Any) -> str:
    """An execution that has ended."""
    definition = {"StartAt": next(iter(states)), "States": states, **settings}
    arn = account.start(account.machine(definition))
    account.execution(arn)
    return arn


WAIT = {"Run": {"Type": "Wait", "Seconds": 500, "End": True}}


@answers("states-describe-succeeded")
def _(account: Account, _queue: str) -> Any:
    arn = execution(account, {"Run": {"Type": "Pass", "End": True}})
    return asked(account.states.describe_execution, executionArn=arn)


@answers("states-describe-timed-out")
def _(account: Account, _queue: str) -> Any:
    return asked(account.states.describe_execution, executionArn=execution(account, WAIT, TimeoutSeconds=1))


@answers("states-describe-missing")
def _(account: Account, _queue: str) -> Any:
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:execution:none:none"
    return asked(account.states.describe_execution, executionArn=arn)


@answers("states-start-exists")
def _(account: Account, _queue: str) -> Any:
    machine = account.machine({"StartAt": "Run", "States": WAIT})
    arn = account.start(machine, {"a": 1}, name="taken")
    found = asked(account.states.start_execution, stateMachineArn=machine, name="taken", input='{"a": 2}')
    account.states.stop_execution(executionArn=arn)
    return found


@answers("states-history-sync")
def _(account: Account, queue: str) -> Any:
    return {"events": account.history(execution(account, {"Run": task(queue, account.shell("true"))}))}


@answers("states-history-task-timed-out")
def _(account: Account, queue: str) -> Any:
    state = task(queue, account.shell(SLEEP), TimeoutSeconds=1)
    events = account.history(execution(account, {"Run": state}))
    # A task of Lambda was recorded, which has no TaskSubmitted.
    return {"events": [event for event in events if event["type"] != "TaskSubmitted"]}


@answers("states-history-aborted")
def _(account: Account, _queue: str) -> Any:
    arn = account.start(account.machine({"StartAt": "Run", "States": WAIT}))
    until("it waits", lambda: len(account.history(arn)) == 2)
    account.states.stop_execution(executionArn=arn)
    return {"events": account.history(arn)}


@answers("states-history-timed-out")
def _(account: Account, _queue: str) -> Any:
    return {"events": account.history(execution(account, WAIT, TimeoutSeconds=1))}


@answers("states-stop")
def _(account: Account, _queue: str) -> Any:
    arn = account.start(account.machine({"StartAt": "Run", "States": WAIT}))
    return asked(account.states.stop_execution, executionArn=arn)


@answers("states-redrive")
def _(account: Account, _queue: str) -> Any:
    return asked(account.states.redrive_execution, executionArn=execution(account, {"Run": {"Type": "Fail"}}))


@answers("states-list")
def _(account: Account, _queue: str) -> Any:
    machine = account.machine({"StartAt": "Run", "States": {"Run": {"Type": "Pass", "End": True}}})
    account.execution(account.start(machine))
    return asked(account.states.list_executions, stateMachineArn=machine)


def failed(account: Account, queue: str, script: str) -> Any:
    """What an execution whose job failed says, its cause as JSON."""
    state = task(queue, account.shell(script), Parameters={"Timeout": {"AttemptDurationSeconds": 600}})
    found = account.run({"Run": state})
    return {"Error": found["error"], "Cause": json.loads(found["cause"])}


@answers("states-cause-job-failed")
def _(account: Account, queue: str) -> Any:
    return failed(account, queue, "exit 1")


@answers("states-cause-job-lost")
def _(account: Account, queue: str) -> Any:
    name = unique("job")
    reason = "CannotInspectContainerError: timed out"
    fault = {"job_name": name, "status_reason": "Task failed to start", "reason": reason, "count": 1}
    account.control("POST", "batch/start-faults", fault)
    found = account.run({"Run": task(queue, account.shell("true"), Parameters={"JobName": name})})
    return {"Error": found["error"], "Cause": json.loads(found["cause"])}


@answers("states-output-job-succeeded")
def _(account: Account, queue: str) -> Any:
    return json.loads(account.run({"Run": task(queue, account.shell("true"))})["output"])


def task_failure(account: Account, arn: str) -> Any:
    """The first TaskFailed of an execution."""
    return next(e["taskFailedEventDetails"] for e in account.history(arn) if e["type"] == "TaskFailed")


@answers("states-submit-throttled")
def _(account: Account, queue: str) -> Any:
    definition = account.shell("true")
    account.control("POST", "batch/throttle", {"requests": 1})
    return task_failure(account, execution(account, {"Run": task(queue, definition)}))


@answers("states-lambda-failed")
def _(account: Account, _queue: str) -> Any:
    name = account.function("def handler(event, context):\n    raise Exception('Some exception was raised.')\n")
    parameters = {"FunctionName": name, "Payload": {}}
    state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters, "End": True}
    return task_failure(account, execution(account, {"Run": state}))


@answers("states-job-aborted")
def _(account: Account, queue: str) -> Any:
    name = unique("job")
    state = task(queue, account.shell(SLEEP), Parameters={"JobName": name})
    arn = account.start(account.machine({"StartAt": "Run", "States": {"Run": state}}))

    def running() -> list[Any]:
        return list(
            account.batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}])["jobSummaryList"]
        )

    (job,) = until("the job is there", running)
    account.states.stop_execution(executionArn=arn)
    reason = account.ended(job["jobId"])["statusReason"]
    return {"statusReason": reason.replace(arn, f"arn:aws:states:us-east-1:{ACCOUNT}:execution:machine:run")}


def bucket_with_key(account: Account) -> tuple[Any, str]:
    """S3, and a new bucket with an object `key` in it."""
    storage, bucket = account.client("s3"), unique("bucket")
    storage.create_bucket(Bucket=bucket)
    storage.put_object(Bucket=bucket, Key="key", Body=b"body")
    return storage, bucket


@answers("s3-put-if-none-match")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    return asked(storage.put_object, Bucket=bucket, Key="key", Body=b"other", IfNoneMatch="*")


@answers("s3-put-if-match")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    return asked(storage.put_object, Bucket=bucket, Key="key", Body=b"other", IfMatch='"0"')


@answers("s3-put-if-match-missing")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    return asked(storage.put_object, Bucket=bucket, Key="none", Body=b"other", IfMatch='"0"')


@answers("s3-get-if-match")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    return asked(storage.get_object, Bucket=bucket, Key="key", IfMatch='"0"')


def completed(account: Account, *, deleted: bool) -> Any:
    """An upload in parts to a key that is there, or was when it began, completed only if nothing is there."""
    storage, bucket = bucket_with_key(account)
    named = {"Bucket": bucket, "Key": "key"}
    upload = {**named, "UploadId": storage.create_multipart_upload(**named)["UploadId"]}
    tag = storage.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    if deleted:
        storage.delete_object(**named)
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    return asked(storage.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*")


@answers("s3-complete-if-none-match")
def _(account: Account, _queue: str) -> Any:
    return completed(account, deleted=False)


@answers("s3-complete-conflict")
def _(account: Account, _queue: str) -> Any:
    return completed(account, deleted=True)


@answers("s3-list")
def _(account: Account, _queue: str) -> Any:
    storage, bucket = bucket_with_key(account)
    for name in "ab":
        storage.put_object(Bucket=bucket, Key=f"folder/{name}", Body=b"")
    return asked(storage.list_objects_v2, Bucket=bucket, Prefix="folder/", MaxKeys=1)


@answers("events-put-without-source")
def _(account: Account, _queue: str) -> Any:
    return asked(account.client("events").put_events, Entries=[{"DetailType": "b", "Detail": "{}"}])


@answers("logs-events")
def _(account: Account, queue: str) -> Any:
    container = account.job(ended(account, queue, "echo here"))["container"]
    named = {"logGroupName": "/aws/batch/job", "logStreamName": container["logStreamName"]}
    return asked(account.logs.get_log_events, **named, startFromHead=True)


@answers("logs-missing-stream")
def _(account: Account, _queue: str) -> Any:
    group = unique("/group")
    account.logs.create_log_group(logGroupName=group)
    return asked(account.logs.get_log_events, logGroupName=group, logStreamName="none")
