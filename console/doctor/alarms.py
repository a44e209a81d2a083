"""Whether alarms reach the stack's topic: CloudWatch must be let into the policy of the key that encrypts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from console.doctor.check import Check
from console.find.target import Target

NAME = "alarms"

PRINCIPAL = "cloudwatch.amazonaws.com"

NEEDED = ("kms:Decrypt", "kms:GenerateDataKey")
"""CloudWatch user guide: what an alarm needs to publish to a topic with a customer managed key."""


def alarms(target: Target) -> Check:
    """Whether the policy of the topic's key lets CloudWatch in; without it every alarm is lost."""
    topic = target.stack.outputs.get("NotificationTopicArn", "")
    if target.stack.parameters.get("MonthlyBudget") == "NONE":
        return Check(NAME, "ok", "the stack was deployed without alarms")
    if target.stack.parameters.get("NotificationEmail") == "NONE":
        return Check(NAME, "ok", "the stack was deployed without notifications: alarms notify nobody")
    if not topic:
        return Check(NAME, "warn", "the stack has no topic for them", "deploy this version of the template")
    key = target.aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"].get("KmsMasterKeyId", "")
    if not key:
        return Check(NAME, "ok", "the topic has no key: nothing keeps alarms from it")
    policy = json.loads(target.aws.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    missing = [action for action in NEEDED if not _lets_in(policy, action)]
    if not missing:
        return Check(NAME, "ok", "CloudWatch may use the topic's key")
    return Check(
        NAME,
        "warn",
        f"lost: the policy of the topic's key {key} gives {PRINCIPAL} no {' and '.join(missing)}",
        "put the statement of docs/security.md, Narrowing a stack, into the key's policy",
    )


def _lets_in(policy: dict[str, Any], action: str) -> bool:
    """Whether a statement allows CloudWatch the action; what conditions it has is not looked at."""
    return any(
        statement.get("Effect") == "Allow"
        and {PRINCIPAL, "*"} & set(_principals(statement.get("Principal", {})))
        and any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _list(statement.get("Action", [])))
        for statement in _list(policy.get("Statement", []))
    )


def _principals(principal: Any) -> Iterator[str]:
    """The services that a statement is about; a star means all of them."""
    if principal == "*":
        yield principal
    elif isinstance(principal, dict):
        yield from _list(principal.get("Service", []))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
