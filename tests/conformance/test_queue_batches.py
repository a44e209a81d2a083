"""A queue as a function's event source: batches, the window, partial failures, the dead-letter queue, refusals."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import ROLE, Account, unique, until

pytestmark = pytest.mark.embedded("it relies on --wait-scale, and on a function's role that no account has")

CODE = """
import json, os, boto3
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    receives = event["Records"][0]["attributes"]["ApproximateReceiveCount"]
    told = json.dumps({"count": len(bodies), "first": bodies[0], "receives": receives})
    boto3.client("sqs").send_message(QueueUrl=os.environ["SEEN"], MessageBody=told)
    bad = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
WINDOW = 100
"""Seconds; the server's --wait-scale makes two of them."""


class Gathered:
    """A queue, its dead-letter queue, and a function that tells a third queue of each batch."""

    def __init__(self, account: Account) -> None:
        """Make all but the mapping."""
        self.sqs, self.functions = account.client("sqs"), account.client("lambda")
        self.buried, buried_arn = self._queue()
        policy = json.dumps({"deadLetterTargetArn": buried_arn, "maxReceiveCount": 2})
        self.queue, self.arn = self._queue(VisibilityTimeout="60", RedrivePolicy=policy)
        self.seen, _ = self._queue()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("code.py", CODE)
        self.name = unique("gathers")
        self.functions.create_function(
            FunctionName=self.name, Runtime=RUNTIME, Role=ROLE, Handler="code.handler", Timeout=3,
            Code={"ZipFile": archive.getvalue()}, Environment={"Variables": {"SEEN": self.seen}},
        )  # fmt: skip
        self.mapping = ""

    def hide_briefly(self) -> None:
        """Show a message again after three seconds, as long as the function may take.

        Where no message fails it is a minute: on a busy machine, one that is slow to be worked would come twice.
        """
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"VisibilityTimeout": "3"})

    def map(self, **settings: Any) -> None:
        """Map the queue to the function."""
        self.mapping = self.functions.create_event_source_mapping(
            EventSourceArn=self.arn,
            FunctionName=self.name,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **settings,
        )["UUID"]

    def send(self, *bodies: str) -> None:
        """Send messages."""
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[at : at + 10])]
            assert not self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries).get("Failed")

    def batch(self) -> dict[str, Any]:
        """The next batch that the function was called with."""
        return dict(json.loads(self.message(self.seen)["Body"]))

    def message(self, url: str) -> dict[str, Any]:
        """The next message of a queue."""

        def come() -> Any:
            return self.sqs.receive_message(QueueUrl=url, AttributeNames=["All"]).get("Messages")

        message = dict(until("a message", come)[0])
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def left(self) -> int:
        """How many messages the queue has."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def close(self) -> None:
        """Remove the mapping."""
        if self.mapping:
            self.functions.delete_event_source_mapping(UUID=self.mapping)

    def _queue(self, **attributes: str) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=unique("queue"), Attributes=attributes)["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        return url, found["QueueArn"]


@pytest.fixture
def gathered(account: Account) -> Iterator[Gathered]:
    """A queue and a function that go with the test."""
    made = Gathered(account)
    yield made
    made.close()


def test_a_window_gathers_what_comes(gathered: Gathered) -> None:
    """What is sent within the window is one batch, after the window and not before."""
    gathered.map(BatchSize=1000, MaximumBatchingWindowInSeconds=WINDOW)
    begun = time.monotonic()
    gathered.send(*map(str, range(40)))
    time.sleep(0.5)
    gathered.send(*map(str, range(40, 50)))
    found = gathered.batch()
    assert (found["count"], found["receives"]) == (50, "1")
    assert time.monotonic() - begun >= WINDOW * 0.02
    until("the queue is empty", lambda: gathered.left() == 0)


def test_a_full_batch_does_not_wait(gathered: Gathered) -> None:
    """BatchSize messages are handed over at once; 10,000 of them are ten batches of a thousand."""
    gathered.send(*map(str, range(10_000)))
    gathered.map(BatchSize=1000, MaximumBatchingWindowInSeconds=300, ScalingConfig={"MaximumConcurrency": 2})
    assert [gathered.batch()["count"] for _ in range(10)] == [1000] * 10
    until("the queue is empty", lambda: gathered.left() == 0)


def test_without_a_window_each_is_handed_over(gathered: Gathered) -> None:
    """BatchSize 1 and no window: a call for each message, at once."""
    gathered.map(BatchSize=1)
    gathered.send("a", "b", "c")
    assert sorted(gathered.batch()["first"] for _ in range(3)) == ["a", "b", "c"]


def test_what_fails_comes_again_and_is_buried(gathered: Gathered) -> None:
    """A message that the function names comes again after its visibility timeout, then it is buried."""
    gathered.hide_briefly()
    gathered.map(BatchSize=10)
    gathered.send("good", "bad")
    assert gathered.message(gathered.buried)["Body"] == "bad"
    calls: list[dict[str, Any]] = []
    while sum(call["count"] for call in calls) < 3:
        calls.append(gathered.batch())
    assert [call["receives"] for call in calls if call["first"] == "bad"][-1] == "2"
    assert gathered.left() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"BatchSize": 10_001, "MaximumBatchingWindowInSeconds": 1}, "out of range"),
        ({"MaximumBatchingWindowInSeconds": 301}, "out of range"),
    ],
)
def test_a_mapping_that_lambda_refuses(gathered: Gathered, settings: dict[str, Any], message: str) -> None:
    """A batch of more than ten without a window, sizes and windows out of range."""
    with pytest.raises(ClientError, match=message):
        gathered.map(**settings)


def test_a_queue_that_shows_messages_too_soon_is_refused(gathered: Gathered) -> None:
    """A message must stay hidden for at least as long as the function may take."""
    gathered.hide_briefly()
    gathered.functions.update_function_configuration(FunctionName=gathered.name, Timeout=4)
    with pytest.raises(
        ClientError, match="Queue visibility timeout: 3 seconds is less than Function timeout: 4 seconds"
    ):
        gathered.map()


def test_a_rule_fills_a_queue(account: Account, gathered: Gathered) -> None:
    """An event goes to the target queue as it is; to the target's dead-letter queue where the queue is gone."""
    events, name, key = account.client("events"), unique("rule"), 'a"b\\ c+%20😀'
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    undelivered = gathered.sqs.get_queue_attributes(QueueUrl=gathered.seen, AttributeNames=["QueueArn"])["Attributes"]
    events.put_targets(
        Rule=name,
        Targets=[{"Id": "1", "Arn": gathered.arn, "DeadLetterConfig": {"Arn": undelivered["QueueArn"]}}],
    )
    entry = {"Source": name, "DetailType": "Test", "Detail": json.dumps({"key": key})}
    events.put_events(Entries=[entry])
    assert json.loads(gathered.message(gathered.queue)["Body"])["detail"] == {"key": key}
    gathered.sqs.delete_queue(QueueUrl=gathered.queue)
    events.put_events(Entries=[entry])
    assert json.loads(gathered.message(gathered.seen)["Body"])["detail"] == {"key": key}
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)
