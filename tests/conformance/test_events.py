"""What comes out of EventBridge: job state changes and execution status changes."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import Account, unique, until


class Listener:
    """An EventBridge rule with a queue behind it."""

    def __init__(self, account: Account, pattern: dict[str, Any]) -> None:
        """Deploy both."""
        self.events, self.sqs = account.client("events"), account.client("sqs")
        self.url = self.sqs.create_queue(QueueName=unique("events"))["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        sender = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**sender, "Resource": attributes["QueueArn"]}]}
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps(policy)})
        self.rule = unique("rule")
        self.events.put_rule(Name=self.rule, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=self.rule, Targets=[{"Id": "1", "Arn": attributes["QueueArn"]}])
        self.seen: list[dict[str, Any]] = []

    def close(self) -> None:
        """Remove the rule."""
        self.events.remove_targets(Rule=self.rule, Ids=["1"])
        self.events.delete_rule(Name=self.rule)

    def details(self, count: int) -> list[dict[str, Any]]:
        """The details of this many events, once they have come."""

        def arrived() -> bool:
            while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
                self.seen += [json.loads(message["Body"]) for message in messages]
                for message in messages:
                    self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return len(self.seen) >= count

        until(f"{count} events came", arrived)
        return [event["detail"] for event in self.seen]


@pytest.fixture
def listen(account: Account) -> Any:
    """Makes listeners that go with the test."""
    listeners = []

    def make(pattern: dict[str, Any]) -> Listener:
        listeners.append(Listener(account, pattern))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


def test_every_change_of_a_job(account: Account, queue: str, listen: Any) -> None:
    """A rule sees every state but SUBMITTED, in order, with the job as DescribeJobs shows it."""
    name = unique("job")
    listener = listen(
        {"source": ["aws.batch"], "detail-type": ["Batch Job State Change"], "detail": {"jobName": [name]}}
    )
    job_id = account.submit(queue, account.shell("exit 4"), jobName=name)
    details = listener.details(4)

    assert [detail["status"] for detail in details] == ["RUNNABLE", "STARTING", "RUNNING", "FAILED"]
    described = account.job(job_id)
    last = details[-1]
    assert {name: last[name] for name in ("jobId", "jobArn", "jobQueue", "jobDefinition", "attempts", "container")} == {
        name: described[name] for name in ("jobId", "jobArn", "jobQueue", "jobDefinition", "attempts", "container")
    }
    event = listener.seen[0]
    assert event["resources"] == [described["jobArn"]]
    assert (event["account"], event["region"]) == (account.account_id, account.region)


def test_children_and_parent(account: Account, queue: str, listen: Any) -> None:
    """Children have events of their own, untouched ones too; a rule on arrayProperties.size sees the parent only."""
    name = unique("job")
    everything = listen({"source": ["aws.batch"], "detail": {"jobName": [name]}})
    parents = listen({
        "source": ["aws.batch"],
        "detail": {"jobName": [name], "status": ["SUCCEEDED"], "arrayProperties": {"size": [{"exists": True}]}},
    })  # fmt: skip
    account.ended(account.submit(queue, account.shell("true"), jobName=name, arrayProperties={"size": 3}))
    seen = [(detail["arrayProperties"].get("index"), detail["status"]) for detail in everything.details(14)]

    for index in range(3):
        assert [status for child, status in seen if child == index] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert [status for child, status in seen if child is None] == ["PENDING", "SUCCEEDED"]
    (parent,) = parents.details(1)
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3


@pytest.mark.embedded("it times 10,000 jobs, which would be paid for")
def test_big_arrays_stay_quick_under_a_rule_on_parents(account: Account, listen: Any) -> None:
    """A rule on ended parents does not slow the submission of 10,000 children."""
    listen({"source": ["aws.batch"], "detail": {"status": ["FAILED"], "arrayProperties": {"size": [{"exists": True}]}}})
    queue = account.queue(max_vcpus=1)
    definition = account.shell("sleep 60")
    begin = time.monotonic()
    parent = account.submit(queue, definition, arrayProperties={"size": 10_000})
    taken = time.monotonic() - begin
    account.batch.terminate_job(jobId=parent, reason="test")

    assert taken < 0.5


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_events_that_come_again(account: Account, queue: str, listen: Any) -> None:
    """Events that were kept are delivered again as often as asked, shuffled; what came before or after is not."""
    name, listener = unique("job"), listen({"source": ["aws.batch"], "detail": {"status": ["SUCCEEDED"]}})
    account.ended(account.submit(queue, account.shell("true")))
    listener.details(1)
    account.control("POST", "events/keep", {})
    account.ended(account.submit(queue, account.shell("true"), jobName=name, arrayProperties={"size": 20}))
    first = [detail["jobId"] for detail in listener.details(22)[1:]]
    account.control("POST", "events/again", {"copies": 2, "seed": 3})
    again = [detail["jobId"] for detail in listener.details(64)[22:]]

    assert sorted(again) == sorted(first * 2)
    assert again != first * 2
    assert account.control("POST", "events/again", {"copies": 2}) == {"events": 0}


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"])
def test_every_end_of_an_execution(account: Account, listen: Any, status: str) -> None:
    """RUNNING and then the end, whichever it is, is told exactly once, with times in milliseconds."""
    states: dict[str, Any] = {
        "SUCCEEDED": {"Type": "Succeed"},
        "FAILED": {"Type": "Fail", "Error": "E", "Cause": "C"},
    }
    wait = {"Type": "Wait", "Seconds": 500, "End": True}  # 10 seconds at the scale of these tests
    definition: dict[str, Any] = {"StartAt": "S", "States": {"S": states.get(status, wait)}}
    if status == "TIMED_OUT":
        definition["TimeoutSeconds"] = 1
    machine = account.machine(definition)
    listener = listen({"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}})
    arn = account.start(machine, {"a": 1})
    if status == "ABORTED":
        account.states.stop_execution(executionArn=arn)
    details = listener.details(2)

    assert [detail["status"] for detail in details] == ["RUNNING", status]
    last = details[-1]
    assert (last["executionArn"], json.loads(last["input"])) == (arn, {"a": 1})
    assert last["stopDate"] >= last["startDate"] > 10**12
    assert last["redriveStatus"] == ("NOT_REDRIVABLE" if status == "SUCCEEDED" else "REDRIVABLE")
    if status == "FAILED":
        assert (last["error"], last["cause"]) == ("E", "C")


def test_a_redrive_is_told(account: Account, listen: Any) -> None:
    """A redriven execution is RUNNING again, with its count."""
    machine = account.machine({"StartAt": "S", "States": {"S": {"Type": "Fail", "Error": "E"}}})
    listener = listen({"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}})
    arn = account.start(machine)
    account.execution(arn)
    account.states.redrive_execution(executionArn=arn)
    details = listener.details(4)

    assert [(detail["status"], detail["redriveCount"]) for detail in details] == [
        ("RUNNING", 0), ("FAILED", 0), ("RUNNING", 1), ("FAILED", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["Source", "DetailType", "Detail"])
def test_an_event_without_what_it_needs_is_refused(account: Account, missing: str) -> None:
    """PutEvents answers InvalidArgument for that entry alone (recorded on AWS: localstack, test_events)."""
    whole = {"Source": "a", "DetailType": "b", "Detail": "{}"}
    lacking = {name: value for name, value in whole.items() if name != missing}
    answer = account.client("events").put_events(Entries=[whole, lacking, whole])
    assert answer["FailedEntryCount"] == 1
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [None, "InvalidArgument", None]
    message = f"Parameter {missing} is not valid. Reason: {missing} is a required argument."
    assert answer["Entries"][1]["ErrorMessage"] == message


def test_a_template_with_an_unknown_placeholder_is_refused(account: Account) -> None:
    """PutTargets knows a transformer's own paths and the reserved variables alone (recorded on AWS: localstack,
    test_events_inputs).
    """
    events, name = account.client("events"), unique("rule")
    events.put_rule(Name=name, EventPattern='{"source": ["a"]}')
    arn = "arn:aws:sqs:us-east-1:123456789012:queue"

    def put(template: str) -> None:
        transformer = {"InputPathsMap": {"known": "$.detail"}, "InputTemplate": template}
        events.put_targets(Rule=name, Targets=[{"Id": "one", "Arn": arn, "InputTransformer": transformer}])

    put('{"a": <known>, "b": <aws.events.event.json>, "c": "<aws.events.rule-name>"}')
    for wrong in ("notdefinedkey", "aws.events.unknown", "Known"):
        with pytest.raises(ClientError, match=f"contains invalid placeholder {wrong}") as refused:
            put(f'{{"a": <known>, "b": <{wrong}>}}')
        assert refused.value.response["Error"]["Code"] == "ValidationException"
