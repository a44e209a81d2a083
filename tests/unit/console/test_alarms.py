"""`millrace doctor` on alarms: a key that lets CloudWatch in, and keys that do not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from console.doctor.alarms import alarms

TOPIC = "arn:aws:sns:eu-west-1:123456789012:t"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/a"
CLOUDWATCH = {"Service": "cloudwatch.amazonaws.com"}
ACCOUNT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}


def allowed(principal: Any, *actions: str) -> dict[str, Any]:
    """A statement that allows a principal these actions."""
    return {"Effect": "Allow", "Principal": principal, "Action": list(actions)}


def checked(*statements: dict[str, Any], key: str = KEY, topic: str = TOPIC, **parameters: str) -> Any:
    """The check on a topic with a key of this policy, in a stack with these parameters."""

    def get_topic_attributes(**asked: Any) -> dict[str, Any]:
        assert asked == {"TopicArn": TOPIC}
        return {"Attributes": {"KmsMasterKeyId": key} if key else {}}

    def get_key_policy(**asked: Any) -> dict[str, Any]:
        assert asked == {"KeyId": KEY, "PolicyName": "default"}
        return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}

    clients = {
        "sns": SimpleNamespace(get_topic_attributes=get_topic_attributes),
        "kms": SimpleNamespace(get_key_policy=get_key_policy),
    }
    outputs = {"NotificationTopicArn": topic} if topic else {}
    stack = SimpleNamespace(outputs=outputs, parameters=parameters)
    return alarms(SimpleNamespace(stack=stack, aws=SimpleNamespace(client=clients.__getitem__)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        allowed(CLOUDWATCH, "kms:Decrypt", "kms:GenerateDataKey*"),
        allowed({"Service": ["events.amazonaws.com", "cloudwatch.amazonaws.com"]}, "kms:*"),
        allowed("*", "kms:decrypt", "kms:generatedatakey"),
    ],
)
def test_a_key_that_lets_cloudwatch_in(statement: dict[str, Any]) -> None:
    """By itself, among others, or with everybody: alarms reach the topic."""
    assert checked(ACCOUNT, statement).outcome == "ok"


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        ([], "kms:Decrypt and kms:GenerateDataKey"),
        ([allowed(CLOUDWATCH, "kms:Decrypt")], "no kms:GenerateDataKey"),
        ([allowed({"Service": "events.amazonaws.com"}, "kms:*")], "kms:Decrypt and kms:GenerateDataKey"),
        ([{**allowed(CLOUDWATCH, "kms:*"), "Effect": "Deny"}], "kms:Decrypt and kms:GenerateDataKey"),
    ],
    ids=["the default policy", "half", "another service", "denied"],
)
def test_a_key_that_shuts_cloudwatch_out(statements: list[dict[str, Any]], missing: str) -> None:
    """The key is named, and where the statement stands that its policy needs."""
    check = checked(ACCOUNT, *statements)
    assert (check.outcome, KEY in check.message) == ("warn", True)
    assert check.message.endswith(missing)
    assert "docs/security.md" in check.todo


def test_a_topic_without_a_key_or_no_topic() -> None:
    """Without a key nothing is in the way; a stack of an older template has no topic."""
    assert checked(key="").outcome == "ok"
    assert checked(topic="").outcome == "warn"


def test_a_stack_without_notifications() -> None:
    """It has no topic on purpose: nothing to warn of."""
    assert checked(topic="", NotificationEmail="NONE").outcome == "ok"
    assert checked(topic="", MonthlyBudget="NONE").message == "the stack was deployed without alarms"
