"""The open questions about AWS, each in minutes: what nobody has recorded, and what something of ours rests on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.aws.account import RealAccount
from tests.aws.static import ROOT
from tests.aws.target import Target
from tests.conformance.account import unique, until
from tests.conformance.test_events import Listener
from tests.conformance.test_step_functions import SLEEP, task

THROTTLING = 20
"""Executions that are started at once."""
ABORTED = "The Task state in AWS Step Functions execution [{arn}] which was managing this resource was aborted"


@pytest.fixture(scope="module")
def account(target: Target) -> RealAccount:
    """The account."""
    return RealAccount(target)


@pytest.fixture(scope="module")
def queue(account: RealAccount) -> str:
    """A queue for all questions."""
    return account.queue()


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    """Listeners that go with the test."""
    made: list[Listener] = []
    yield made
    for listener in made:
        listener.close()


def job_of(account: RealAccount, queue: str, name: str) -> str:
    """The id of the job that an execution submitted by this name."""

    def found() -> list[Any]:
        filters = [{"name": "JOB_NAME", "values": [name]}]
        return list(account.batch.list_jobs(jobQueue=queue, filters=filters)["jobSummaryList"])

    return str(until(f"a job {name}", found)[0]["jobId"])


def waits(account: RealAccount, arn: str, events: int) -> bool:
    """Whether an execution has come further than so many events."""
    return len(account.history(arn)) > events


def test_an_array_and_its_children_have_events_of_their_own(
    account: RealAccount, queue: str, listeners: list[Listener]
) -> None:
    """The rule of notify asks for arrays by arrayProperties.size: parents have it, children have an index."""
    name = unique("job")
    listeners.append(
        Listener(account, {"source": ["aws.batch"], "detail": {"jobName": [name], "status": ["SUCCEEDED"]}})
    )
    account.ended(account.submit(queue, account.shell("true"), jobName=name, arrayProperties={"size": 2}))
    found = [detail["arrayProperties"] for detail in listeners[0].details(3)]
    assert sorted(array["index"] for array in found if "index" in array) == [0, 1]
    assert [array["size"] for array in found if "size" in array] == [2]


def test_a_key_comes_through_an_event_as_it_was_put(account: RealAccount, listeners: list[Listener]) -> None:
    """Quote, backslash, blank, plus and emoji: S3's event has the key itself, encoded in no way."""
    storage, bucket, key = account.client("s3"), unique("bucket"), 'in/a "b" \\ c+d \U0001f600'
    storage.create_bucket(Bucket=bucket)
    storage.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    listeners.append(Listener(account, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}))
    if account.target.endpoint_url is None:
        time.sleep(60)  # S3 says that it may take so long until a bucket's events are sent
    storage.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert listeners[0].details(1)[0]["object"]["key"] == key


@pytest.mark.parametrize("whose", ["task", "execution"])
def test_a_time_out_stops_the_job(account: RealAccount, queue: str, whose: str) -> None:
    """Either time-out terminates the job of a .sync task, with Step Functions' words as the reason."""
    name, limit = unique("job"), {"TimeoutSeconds": 5 if account.target.endpoint_url is None else 1}
    state = task(queue, account.shell(SLEEP), Parameters={"JobName": name}, **(limit if whose == "task" else {}))
    machine = {"StartAt": "Run", "States": {"Run": state}, **(limit if whose == "execution" else {})}
    arn = account.start(account.machine(machine))
    found = account.execution(arn)
    job = account.ended(job_of(account, queue, name))
    assert job["statusReason"] == ABORTED.format(arn=arn)
    assert (found["status"], found.get("error")) == (
        ("FAILED", "States.Timeout") if whose == "task" else ("TIMED_OUT", None)
    )


def test_a_stopped_execution_gives_its_job_the_same_reason(account: RealAccount, queue: str) -> None:
    """StopExecution, whatever error and cause it names, terminates the job with Step Functions' own words."""
    name = unique("job")
    state = task(queue, account.shell(SLEEP), Parameters={"JobName": name})
    arn = account.start(account.machine({"StartAt": "Run", "States": {"Run": state}}))
    job_id = job_of(account, queue, name)
    account.states.stop_execution(executionArn=arn, error="E", cause="C")
    assert account.ended(job_id)["statusReason"] == ABORTED.format(arn=arn)


@pytest.mark.parametrize("end", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_an_end_that_is_redriven_has_events_and_a_history(
    account: RealAccount, listeners: list[Listener], end: str
) -> None:
    """Each end is told with its redrive count, a redrive as RUNNING again; the history has ExecutionRedriven."""
    states = {"S": {"Type": "Fail", "Error": "E"} if end == "FAILED" else {"Type": "Wait", "Seconds": 500, "End": True}}
    machine = account.machine(
        {"StartAt": "S", "States": states, **({"TimeoutSeconds": 1} if end == "TIMED_OUT" else {})}
    )
    listeners.append(Listener(account, {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}}))
    arn = account.start(machine)
    for count in range(2):
        if end == "ABORTED":
            until("it waits", partial(waits, account, arn, 2 * count))
            account.states.stop_execution(executionArn=arn)
        until(f"its end {count}", lambda: account.states.describe_execution(executionArn=arn)["status"] == end)
        if count == 0:
            account.states.redrive_execution(executionArn=arn)
    told = [(each["status"], each["redriveCount"]) for each in listeners[0].details(4)]
    assert sorted(told) == sorted([("RUNNING", 0), (end, 0), ("RUNNING", 1), (end, 1)])
    assert "ExecutionRedriven" in [event["type"] for event in account.history(arn)]


def test_a_waiting_queue_shows_its_first_jobs(account: RealAccount) -> None:
    """GetJobQueueSnapshot has what is RUNNABLE, first the first; `doctor` and the alarm on waiting read it."""
    queue = account.queue(max_vcpus=1)
    ids = [account.submit(queue, account.shell(SLEEP)) for _ in range(3)]
    account.reached(ids[0], "RUNNING")
    shown: Any = until(
        "jobs at the front",
        lambda: account.batch.get_job_queue_snapshot(jobQueue=queue).get("frontOfQueue", {}).get("jobs"),
    )
    assert all(each["earliestTimeAtPosition"] > 10**12 for each in shown)
    assert {each["jobArn"].rpartition("/")[2] for each in shown} <= set(ids[1:])
    for job_id in ids:
        account.batch.terminate_job(jobId=job_id, reason="test")


def test_a_throttled_submission_has_the_name_that_is_retried(account: RealAccount, queue: str) -> None:
    """Many executions at once: should SubmitJob be throttled, then by an error that the state machine retries."""
    states = json.loads((ROOT / "statemachine/migration.asl.json").read_text("utf-8"))["States"]
    retried = {name for rule in states["Plan"]["Retry"] for name in rule["ErrorEquals"]}
    machine = account.machine({"StartAt": "Run", "States": {"Run": task(queue, "no-such-definition:1")}})
    arns = [account.start(machine) for _ in range(THROTTLING)]
    found = {account.execution(arn).get("error") for arn in arns}
    # A definition that is not there is no throttling: that error must not be retried, and all others must.
    assert "Batch.ClientException" in found
    assert "Batch.ClientException" not in retried
    assert found - {"Batch.ClientException"} <= retried


def test_a_pull_that_fails_is_told_in_words_that_are_retried(account: RealAccount, queue: str) -> None:
    """Fargate's status reason of an image that is not there; the rules retry whatever they do not know."""
    if account.target.endpoint_url is not None:
        pytest.skip("the embedded AWS pulls no image: tests/conformance/test_platforms.py injects the words")
    image = {"image": "public.ecr.aws/docker/library/busybox:no-such-tag"}
    job = account.ended(account.submit(queue, account.shell("true", container={**account.container, **image})))
    words = f"{job['statusReason']} {job['container'].get('reason', '')}"
    assert "CannotPullContainerError" in words
    assert "exitCode" not in job["container"]


def test_a_role_with_a_source_condition_can_be_assumed(account: RealAccount, queue: str) -> None:
    """The execution role of these jobs asks for aws:SourceAccount: a job that starts and logs shows that it holds."""
    job = account.ended(account.submit(queue, account.shell("echo here")))
    assert (job["status"], account.output(job["jobId"])) == ("SUCCEEDED", ["here"])


def test_spot_without_capacity_waits_and_says_so(account: RealAccount) -> None:
    """A Spot job starts, or is RUNNABLE without an error: there is no fallback of its own, and no failure."""
    name = unique("environment")
    made = account.batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={"type": "FARGATE_SPOT", "maxvCpus": 1, **account.network},
    )["computeEnvironmentArn"]
    describe = account.batch.describe_compute_environments
    until("it is valid", lambda: describe(computeEnvironments=[made])["computeEnvironments"][0]["status"] == "VALID")
    queue = unique("queue")
    order = [{"order": 1, "computeEnvironment": made}]
    account.batch.create_job_queue(jobQueueName=queue, priority=1, computeEnvironmentOrder=order)
    queues = account.batch.describe_job_queues
    until("it is valid", lambda: queues(jobQueues=[queue])["jobQueues"][0]["status"] == "VALID")
    job_id = account.submit(queue, account.shell("true"))
    until("it starts or waits", lambda: account.job(job_id)["status"] in ("RUNNABLE", "RUNNING", "SUCCEEDED"))
    assert account.job(job_id)["status"] != "FAILED"
    account.batch.terminate_job(jobId=job_id, reason="test")
