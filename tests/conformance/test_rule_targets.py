"""A rule's Lambda target: retries, the function's destination, and the rule's dead-letter queue."""

import io
import json
import sys
import zipfile
from typing import Any

import pytest

from tests.conformance.account import ROLE, Account, unique, until

pytestmark = pytest.mark.embedded("it relies on retries that are cut short, and on a role that no account has")

CODE = """
import os
def handler(event, context):
    if event["detail"].get("fail"):
        raise ValueError("refused")
"""
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Rule:
    """A rule on events of its own, with a Lambda function behind it, and a queue for each way to fail."""

    def __init__(self, account: Account) -> None:
        """Deploy everything but the permission."""
        self._events, self._functions, self._sqs = map(account.client, ("events", "lambda", "sqs"))
        self.name = unique("rule")
        self.source = unique("source")
        self.undelivered, undelivered_arn = self._queue()
        self.failed, failed_arn = self._queue()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("code.py", CODE)
        self.function = self._functions.create_function(
            FunctionName=self.name, Runtime=RUNTIME, Role=ROLE, Handler="code.handler",
            Code={"ZipFile": archive.getvalue()},
        )["FunctionArn"]  # fmt: skip
        self._functions.put_function_event_invoke_config(
            FunctionName=self.name,
            MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": failed_arn}},
        )
        self.arn = self._events.put_rule(Name=self.name, EventPattern=json.dumps({"source": [self.source]}))["RuleArn"]
        target = {"Id": "1", "Arn": self.function, "DeadLetterConfig": {"Arn": undelivered_arn}}
        self._events.put_targets(Rule=self.name, Targets=[target])

    def allow(self) -> None:
        """Let the rule call the function."""
        self._functions.add_permission(
            FunctionName=self.name, StatementId="1", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
            SourceArn=self.arn,
        )  # fmt: skip

    def forget_function(self) -> None:
        """Delete the function."""
        self._functions.delete_function(FunctionName=self.name)

    def put(self, **detail: Any) -> None:
        """Put an event that the rule lets through."""
        entry = {"Source": self.source, "DetailType": "Test", "Detail": json.dumps(detail)}
        assert self._events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def message(self, url: str) -> dict[str, Any]:
        """The message that comes to a queue."""

        def come() -> Any:
            return self._sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")

        return dict(until("a message", come)[0])

    def is_empty(self, url: str) -> bool:
        """Whether nothing is in a queue."""
        return "Messages" not in self._sqs.receive_message(QueueUrl=url)

    def close(self) -> None:
        """Remove the rule."""
        self._events.remove_targets(Rule=self.name, Ids=["1"])
        self._events.delete_rule(Name=self.name)

    def _queue(self) -> tuple[str, str]:
        url = self._sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        return url, attributes["QueueArn"]


@pytest.fixture
def rule(account: Account) -> Any:
    """A rule that goes with the test."""
    made = Rule(account)
    yield made
    made.close()


@pytest.mark.parametrize("code", ["NO_PERMISSIONS", "RESOURCE_NOT_FOUND"])
def test_what_cannot_be_delivered(rule: Rule, code: str) -> None:
    """Without the permission, or the function, the event goes to the target's dead-letter queue, with the reason."""
    if code == "RESOURCE_NOT_FOUND":
        rule.forget_function()
    rule.put(number=7)
    message = rule.message(rule.undelivered)

    assert json.loads(message["Body"])["detail"] == {"number": 7}
    attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
    assert (attributes["ERROR_CODE"], attributes["RULE_ARN"], attributes["TARGET_ARN"]) == (
        code,
        rule.arn,
        rule.function,
    )


def test_what_the_function_fails_on(rule: Rule) -> None:
    """An event that the function fails on, with each retry too, goes to the function's destination."""
    rule.allow()
    rule.put(number=1)
    rule.put(fail=True)
    message = json.loads(rule.message(rule.failed)["Body"])

    assert message["requestPayload"]["detail"] == {"fail": True}
    assert message["responsePayload"]["errorMessage"] == "refused"
    assert rule.is_empty(rule.failed)
    assert rule.is_empty(rule.undelivered)
