"""Who is told what of real runs: through the deployed rules, function, bus and topic."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from console.checkout import ROOT
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Gate
from tests.workflow.inbox import Inbox
from tests.workflow.runs import Run, Runs, a_child_each, until
from tests.workflow.sam import physical
from tests.workflow.texts import NOT_TEXT, texts

pytestmark = pytest.mark.long

CHILDREN = 10_000


@pytest.fixture(scope="module")
def topic(stack: Any) -> Inbox:
    """What the stack's topic tells."""
    inbox = Inbox.make(stack.aws)
    inbox.subscribe(stack.stack.outputs["NotificationTopicArn"])
    return inbox


@pytest.fixture(scope="module")
def bus(stack: Any) -> Inbox:
    """What the stack's bus tells."""
    inbox = Inbox.make(stack.aws)
    inbox.listen({"source": ["millrace"]}, stack.stack.outputs["EventBusName"])
    return inbox


@pytest.fixture(scope="module")
def aws_events(stack: Any) -> Inbox:
    """Every end of a job or an execution that AWS tells, children's too."""
    inbox = Inbox.make(stack.aws)
    ends = {"status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]}
    inbox.listen({"source": ["aws.batch", "aws.states"], "detail": ends})
    return inbox


@dataclass
class Inboxes:
    """All of them."""

    topic: Inbox
    bus: Inbox
    aws: Inbox


@pytest.fixture(scope="module")
def inboxes(topic: Inbox, bus: Inbox, aws_events: Inbox) -> Inboxes:
    """Topic, bus, and AWS's own events."""
    return Inboxes(topic, bus, aws_events)


@pytest.fixture(scope="module")
def function(stack: Any) -> str:
    """The function's name."""
    return physical(stack.aws.cloudformation, stack.stack.name, "NotifyFunction")


def of_run(events: Inbox, run: Run) -> list[dict[str, Any]]:
    """What AWS told of a run: by the execution, or by the run folder in the job's command."""
    return [
        event
        for event in events.read()
        if event["detail"].get("executionArn") == run.execution
        or any(str(run.folder.root) in word for word in event["detail"].get("container", {}).get("command", ()))
    ]


def deliver(runs: Runs, function: str, event: dict[str, Any]) -> None:
    """Call the function as a rule does, and wait for it."""
    answer = runs.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_one_message_for_a_run(runs: Runs, inboxes: Inboxes, function: str, source: str, destination: str) -> None:
    """A run of 5 children is one message on the topic; on the bus, an event for it and one for each of its three jobs.
    Each event of AWS delivered three times more, in any order, changes nothing.
    """
    runs.put(source, {**texts(9), "bad": NOT_TEXT})
    run = runs.start(
        source, destination, max_items=2, tolerated_failure_percent=10, plan="job", pace={"seconds_per_item": 25}
    )
    runs.wait(run)
    topic, bus = inboxes.topic, inboxes.bus
    events = bus.about(run.run_id, 4)
    (message,) = topic.about(run.run_id, 1)

    assert Counter(event["event"] for event in events) == {"JOB_SUCCEEDED": 3, "RUN_SUCCEEDED_WITH_FAILURES": 1}
    assert message in events
    assert message["counts"] == {
        "items": 10,
        "succeeded": 9,
        "failed": 1,
        "bytes": sum(map(len, texts(9).values())),
        "shards": 5,
    }
    (frequent,) = message["most_frequent"]
    assert (frequent["error_code"], frequent["count"]) == ("NOT_TEXT", 1)
    assert frequent["key"].endswith("/bad")
    cost = message["cost"]
    assert {stage: told["attempts"] for stage, told in cost["stages"].items()} == {"plan": 1, "migrate": 5, "merge": 1}
    assert cost["dollars"] == pytest.approx(sum(cost["parts"].values()), abs=1e-6)
    assert cost["complete"]
    assert json.loads(runs.read(run.folder.file("cost.json")) or b"") == cost
    jobs = {event["verb"]: event for event in events if event["event"] == "JOB_SUCCEEDED"}
    assert jobs["migrate"]["children"] == {"size": 5, "succeeded": 5, "failed": 0}

    again = until("AWS's events", lambda: found if len(found := of_run(inboxes.aws, run)) >= 9 else None) * 3
    ours = [event for event in again if "index" not in event["detail"].get("arrayProperties", {})]
    random.Random(7).shuffle(ours)
    assert len(ours) == 12
    for event in ours:
        deliver(runs, function, event)
    assert len(bus.about(run.run_id)) == 4
    assert len(topic.about(run.run_id)) == 1


def test_the_rule_and_not_the_function_leaves_children_out(
    stack: Any, runs: Runs, aws_events: Inbox, source: str, destination: str
) -> None:
    """Of a run's real events the deployed pattern lets the array's parent and the plain jobs through, no child."""
    runs.put(source, texts(4))
    run = runs.start(source, destination, **a_child_each(2))
    runs.wait(run)
    told = until("AWS's events", lambda: found if len(found := of_run(aws_events, run)) >= 6 else None)
    client = runs.aws.client("events")
    rule = physical(runs.aws.cloudformation, stack.stack.name, "NotifyFunctionJobEnded")
    pattern = client.describe_rule(Name=rule.rpartition("|")[2])["EventPattern"]

    def passes(event: dict[str, Any]) -> bool:
        return bool(client.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"])

    jobs = [event for event in told if event["source"] == "aws.batch"]
    let_through = [event["detail"]["jobName"].rpartition("-")[2] for event in jobs if passes(event)]
    assert sorted(let_through) == ["merge", "migrate", "plan"]
    assert len(jobs) == 5


def test_an_aborted_run_notifies(
    runs: Runs, proxy: FaultProxy, topic: Inbox, source: str, destination: str
) -> None:  # fmt: skip
    """A run that is cancelled in mid-work is reported, with what is kept and the line that resumes it."""
    runs.put(source, texts(6))
    gate = Gate()
    with proxy.when("GET", f"^{source}005", gate) as held:
        run = runs.start(source, destination, max_items=1)
        held.wait_for_hits()
        until("five commits", lambda: len(runs.committed(run)) == 5)
        runs.aws.step_functions.stop_execution(executionArn=run.execution, error="Enough", cause="for today")
        (message,) = topic.about(run.run_id, 1)
        gate.open()

    assert (message["event"], message["shards_committed"]) == ("RUN_ABORTED", 5)
    assert (message["planned"]["items"], message["counts"]) == (6, None)
    assert message["resume"]["redrive"].endswith(f"--execution-arn {run.execution}")


def test_a_refused_request_is_told_of(runs: Runs, topic: Inbox, source: str, destination: str) -> None:
    """A run that failed before it had a folder: its end, with the real error."""
    run = runs.start(source, destination, workload="wordcount")
    runs.wait(run, "FAILED")
    (message,) = topic.about(run.run_id, 1)

    assert (message["event"], message["planned"]) == ("RUN_FAILED", None)
    assert message["error"]["name"] == "InvalidRunRequest"
    assert "word-count" in message["error"]["message"]


def test_a_failed_childs_error_is_in_the_message(runs: Runs, topic: Inbox, source: str, destination: str) -> None:
    """More failures than tolerated: the message has the merge job's own error, counts and an example."""
    runs.put(source, {**texts(3), "bad": NOT_TEXT})
    run = runs.start(source, destination, max_items=1)
    runs.wait(run, "FAILED")
    (message,) = topic.about(run.run_id, 1)

    assert message["error"]["name"] == "TooManyFailuresError"
    assert message["counts"]["failed"] == 1
    assert message["most_frequent"][0]["error_code"] == "NOT_TEXT"


def test_a_filter_policy_goes_by_the_event(stack: Any, runs: Runs, topic: Inbox, source: str, destination: str) -> None:
    """A subscriber that asks for failures alone gets no message of a run that went well."""
    failures = Inbox.make(stack.aws)
    policy = json.dumps({"event": ["RUN_FAILED", "RUN_TIMED_OUT"]})
    failures.subscribe(stack.stack.outputs["NotificationTopicArn"], FilterPolicy=policy)
    runs.put(source, texts(1))
    good = runs.start(source, destination)
    bad = runs.start(source, destination, workload="wordcount")
    runs.wait(good)
    topic.about(good.run_id, 1)

    assert len(failures.about(bad.run_id, 1)) == 1
    assert failures.about(good.run_id) == []


@contextmanager
def broken(runs: Runs, function: str) -> Iterator[None]:
    """The function without its table: every call of it fails."""
    client = runs.aws.client("lambda")
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]

    def set_table(name: str) -> None:
        changed = {**variables, "SENT_TABLE_NAME": name}
        client.update_function_configuration(FunctionName=function, Environment={"Variables": changed})

    set_table("gone")
    try:
        yield
    finally:
        set_table(variables["SENT_TABLE_NAME"])


@pytest.fixture
def undelivered(stack: Any) -> Inbox:
    """The stack's queue of undelivered notifications."""
    return Inbox.of(stack.aws, stack.stack.outputs["UndeliveredQueueUrl"])


def test_what_the_function_fails_on_is_kept(
    runs: Runs, inboxes: Inboxes, undelivered: Inbox, function: str, destination: str
) -> None:
    """While the function cannot work, the end of a run goes to the queue; from there, twice, it is told once."""
    topic, source = inboxes.topic, destination
    with broken(runs, function):
        run = runs.start(source, destination, workload="wordcount")
        runs.wait(run, "FAILED")

        def kept() -> dict[str, Any] | None:
            payloads = (message["requestPayload"] for message in undelivered.read() if "requestPayload" in message)
            return next((each for each in payloads if each["detail"].get("executionArn") == run.execution), None)

        event = until("the event in the queue", kept)
        assert topic.about(run.run_id) == []
    deliver(runs, function, event)
    deliver(runs, function, event)
    assert len(topic.about(run.run_id, 1)) == 1


def doctor_on_notices(stack: Any) -> dict[str, str]:
    """What `millrace doctor` says of undelivered notifications."""
    command = [sys.executable, "-m", "console", "doctor", "--json", "--state-dir", str(stack.state_dir)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found: list[dict[str, str]] = json.loads(ended.stdout)
    return next(check for check in found if check["name"] == "undelivered notifications")


def test_a_subscriber_that_is_down_loses_nothing(
    stack: Any, runs: Runs, undelivered: Inbox, source: str, destination: str
) -> None:
    """A queue that is gone when a run ends: its message is whole in the stack's own, and `doctor` says so until it
    is taken from there.
    """
    outputs, sqs = stack.stack.outputs, stack.aws.client("sqs")
    url = outputs["UndeliveredQueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    undelivered.read()  # what other tests left
    down = Inbox.make(stack.aws)
    down.subscribe(outputs["NotificationTopicArn"], RedrivePolicy=json.dumps({"deadLetterTargetArn": arn}))
    sqs.delete_queue(QueueUrl=down.url)
    run = runs.start(source, destination, workload="wordcount")
    runs.wait(run, "FAILED")

    def kept() -> bool:
        counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(counted["Attributes"]["ApproximateNumberOfMessages"]) > 0

    until("the message in the queue", kept)
    check = doctor_on_notices(stack)
    assert (check["outcome"], check["message"].startswith(f"1 message in {url}")) == ("warn", True), check["message"]
    assert run.run_id in check["message"]
    (message,) = undelivered.about(run.run_id, 1)
    assert (message["event"], message["error"]["name"]) == ("RUN_FAILED", "InvalidRunRequest")
    assert doctor_on_notices(stack)["outcome"] == "ok"


def test_what_no_rule_can_deliver_is_kept(
    runs: Runs, undelivered: Inbox, function: str, source: str, destination: str
) -> None:
    """While the rules may not call the function, the end of a run goes to the same queue, as AWS told it."""
    client = runs.aws.client("lambda")
    policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    statements = policy["Statement"]
    for statement in statements:
        client.remove_permission(FunctionName=function, StatementId=statement["Sid"])
    try:
        run = runs.start(source, destination, workload="wordcount")
        runs.wait(run, "FAILED")
        until(
            "the event in the queue",
            lambda: any(event.get("detail", {}).get("executionArn") == run.execution for event in undelivered.read()),
        )
    finally:
        for statement in statements:
            client.add_permission(
                FunctionName=function,
                StatementId=statement["Sid"],
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
            )


def test_ten_thousand_children(runs: Runs, bus: Inbox, topic: Inbox, source: str, destination: str) -> None:
    """An array of 10,000 children that do nothing, beside a run in the same queue: their 10,000 ends are one event on
    the bus; with the run's own, one run message and at most six of jobs. Every event that AWS told of them, the
    children's too, twice more through the deployed rules, in another order: nothing more is told.
    """
    definition = runs.aws.batch.register_job_definition(
        jobDefinitionName="nothing",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={
            "image": "command:latest",
            "command": ["true"],
            "executionRoleArn": "arn:aws:iam::123456789012:role/any",
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
        },
    )["jobDefinitionArn"]
    runs.put(source, texts(4))
    runs.control("events/keep", {})
    run = runs.start(source, destination, max_items=2)
    runs.wait(run)
    array = runs.aws.batch.submit_job(
        jobName=f"{run.run_id}-migrate",
        jobQueue=runs.queue,
        jobDefinition=definition,
        shareIdentifier="default",
        schedulingPriorityOverride=0,
        arrayProperties={"size": CHILDREN},
    )["jobId"]

    def told() -> list[dict[str, Any]]:
        return [event["detail"] for event in bus.read() if event["detail"].get("job_name") == f"{run.run_id}-migrate"]

    until("the end of the array", lambda: any(event["job_id"] == array for event in told()), 540)
    topic.about(run.run_id, 1)
    assert runs.control("events/again", {"copies": 2, "seed": 11})["events"] > CHILDREN
    later = runs.start(source, destination, workload="wordcount")
    topic.about(later.run_id, 1)  # the function was called for the copies before
    jobs = [event for event in told() if event["job_id"].partition(":")[0] == array]
    assert [event["children"] for event in jobs] == [{"size": CHILDREN, "succeeded": CHILDREN, "failed": 0}]
    assert len([event for event in bus.about(run.run_id) if event["event"].startswith("JOB_")]) + len(jobs) <= 6
    assert len(topic.about(run.run_id, 1)) == 1
