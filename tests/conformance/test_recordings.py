"""The embedded AWS's answers and events beside AWS's own, as far as public projects recorded them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from millrace.aws.events import read_event
from tests.conformance.account import Account, unique, until
from tests.conformance.recorded import (
    ACCOUNT,
    FOLDER,
    Recorder,
    Recording,
    compared,
    differences,
    normalised,
    recordings,
)
from tests.conformance.test_events import Listener
from tests.conformance.test_step_functions import SLEEP, task

RECORDED = {each.name: each for each in recordings()}
UNREAD = "nothing: no code of ours reads more of such an error than its code and its status"
KNOWN: dict[str, dict[str, str]] = {
    **{
        name: {"Error.Condition is missing": UNREAD}
        for name in ("s3-put-if-none-match", "s3-put-if-match", "s3-get-if-match", "s3-complete-if-none-match")
    },
    "s3-put-if-match-missing": {"Error.Key is missing": UNREAD},
    "s3-complete-conflict": {
        "Error is missing": "how a writer bears 409 when its object is deleted under an upload in parts; "
        "tests/unit/s3 and the simulator answer 409 in its place",
        "HTTPStatusCode is missing": "the same",
    },
    "event-object-created": {
        "detail.event-version is in no model of AWS": "a rule that asks for it would match here alone; none does"
    },
    "states-cause-job-lost": {
        "Cause.StartedAt is missing": "a job that started and lost its container; here it never started, "
        "and what reads the cause reads JobId, StatusReason and no time"
    },
}
"""What the embedded AWS answers otherwise, by recording and difference, each with what that could hide."""
EMITTED_BY_AWS_ALONE = {
    "event-queue-blocked": "the embedded AWS blocks no queue; tests/unit/functions/test_notify.py reads such events",
}
"""Recordings that nothing here can answer; they are read by what reads them in production."""

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


@answers("logs-missing-stream")
def _(account: Account, _queue: str) -> Any:
    group = unique("/group")
    account.logs.create_log_group(logGroupName=group)
    return asked(account.logs.get_log_events, logGroupName=group, logStreamName="none")


@pytest.mark.embedded("it holds the embedded AWS against AWS")
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answer_is_shaped_as_aws_shapes_it(account: Account, queue: str, name: str) -> None:
    """Members, types, case, error codes and the wordings that we match on, but for the differences that are known."""
    recorded = RECORDED[name]
    answered = json.loads(json.dumps(normalised(ANSWERS[name](account, queue))))
    found = set(differences(recorded.answer, answered, recorded.exact))
    assert found == set(KNOWN.get(name, {})), "a difference that is new, or is gone: mend it, or say what it could hide"


def test_every_recording_is_compared() -> None:
    """None lies there without a question to the embedded AWS, and no question is without a recording."""
    assert set(ANSWERS) | set(EMITTED_BY_AWS_ALONE) == set(RECORDED)
    assert set(KNOWN) <= set(ANSWERS)


@pytest.mark.parametrize(
    "name", sorted(name for name in RECORDED if name.startswith("event-") and "object" not in name)
)
def test_the_function_notify_reads_recorded_events(name: str) -> None:
    """What AWS sends becomes a change that can be told, with its reason."""
    event = RECORDED[name].answer
    change = read_event(event)
    assert change.key.split()[0] in ("job", "run", "queue")


def test_a_recording_says_where_it_is_from() -> None:
    """Source and evidence, and nothing of any account but the one of examples."""
    for each in RECORDED.values():
        assert each.source
        assert each.evidence in ("recorded", "measured", "documented", "run"), each.name
        assert normalised(each.answer) == each.answer, each.name


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        ({"jobs": [{"status": "FAILED", "startedAt": 0}]}, []),
        ({"jobs": [{"status": "FAILED"}]}, ["jobs[].startedAt is missing"]),
        ({"jobs": [{"status": "FAILED", "startedat": 0}]}, ["jobs[].startedat is written startedAt"]),
        ({"jobs": [{"status": "FAILED", "startedAt": "0"}]}, ["jobs[].startedAt is a text, not a number"]),
        ({"jobs": [{"status": "RUNNING", "startedAt": 0}]}, ["jobs[].status is 'RUNNING', not 'FAILED'"]),
        ({"jobs": [{"status": "FAILED", "startedAt": 0, "madeUp": 1}]}, ["jobs[].madeUp is in no model of AWS"]),
        ({"jobs": [{"status": "FAILED", "startedAt": 0, "stoppedAt": 1}]}, []),
        ({"jobs": []}, ["jobs is empty"]),
    ],
)
def test_a_difference_is_seen(answered: Any, found: list[str]) -> None:
    """A missing member, another case, another type, a wording we match on, a member that AWS does not have."""
    recorded = {"jobs": [{"status": "FAILED", "startedAt": 0}]}
    assert list(differences(recorded, answered, ("jobs[].status",))) == found


@pytest.mark.embedded("it signs as the embedded AWS wants it")
def test_answers_are_recorded_without_what_is_private(account: Account, queue: str, tmp_path: Path) -> None:
    """The hook writes one file for each operation and outcome, with no id, time, account or Region of the caller."""
    recorder = Recorder(tmp_path, "today", "123456789012", "us-east-1", case="a_test")
    session = boto3.Session(**account.signer, region_name="us-east-1")
    recorder.watch(session)
    batch = session.client("batch", endpoint_url=account.endpoint_url)
    job_id = ended(account, queue, "exit 3")
    batch.describe_jobs(jobs=[job_id])
    with pytest.raises(ClientError):
        batch.submit_job(jobName="a", jobQueue="none", jobDefinition="none")

    written = {each.name: each for each in recordings(tmp_path)}
    assert set(written) == {"a_test.batch.DescribeJobs.FAILED", "a_test.batch.SubmitJob.ClientException"}
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert job_id not in text
    failed_job: Recording = written["a_test.batch.DescribeJobs.FAILED"]
    assert list(differences(RECORDED["batch-describe-failed"].answer, failed_job.answer)) == []
    assert failed_job.evidence == "run"
    moved = normalised({"arn": f"arn:aws:batch:eu-west-3:999999999999:job/{job_id}"}, "999999999999", "eu-west-3")
    assert moved == {"arn": "arn:aws:batch:us-east-1:123456789012:job/00000000-0000-4000-8000-000000000001"}
    assert tmp_path != FOLDER


@pytest.mark.embedded("it needs no account")
def test_a_real_run_is_compared_with_a_rehearsal(tmp_path: Path) -> None:
    """Recordings of one name are held against each other; an answer that the rehearsal never had is named."""
    real, rehearsed = tmp_path / "real", tmp_path / "rehearsed"
    answers = {"a.FAILED": {"status": "FAILED", "code": 1}, "b.SUCCEEDED": {"status": "SUCCEEDED"}}
    for folder, given in ((real, answers), (rehearsed, {"a.FAILED": {"status": "FAILED", "code": "1"}})):
        folder.mkdir()
        for name, answer in given.items():
            content = {"of": "x", "when": "x", "evidence": "run", "source": "x", "exact": [], "answer": answer}
            (folder / f"{name}.json").write_text(json.dumps(content))
    assert compared(real, rehearsed) == {
        "a.FAILED": ["code is a text, not a number"],
        "b.SUCCEEDED": ["the embedded AWS never answered so"],
    }
