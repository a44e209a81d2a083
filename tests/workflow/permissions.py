"""The permissions of the template's roles, one by one, and policies with one of them taken away."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from checks.conditions import Resolver


@dataclass(frozen=True)
class Permission:
    """One action on one resource.

    Attributes:
        role: The logical id of the role, or of the managed policy.
        policy: Which of its inline policies, from 0.
        statement: Which statement of that policy, from 0.
        sid: The statement's Sid.
        action: The action.
        resource: Which of the statement's resources, from 0.
    """

    role: str
    policy: int
    statement: int
    sid: str
    action: str
    resource: int

    def __str__(self) -> str:
        return f"{self.role}-{self.sid}-{self.action.replace(':', '.')}-{self.resource}"


def permissions(template: dict[str, Any], values: dict[str, str], effect: str = "Allow") -> Iterator[Permission]:
    """Every permission of every role's inline policies and of the managed ones, or everything that they deny.

    Args:
        template: The expanded template.
        values: Its parameters' values; the others keep their defaults.
        effect: "Allow" or "Deny".
    """
    resolver = Resolver(template, values)
    for role, resource in template["Resources"].items():
        there = "Condition" not in resource or resolver.holds(resource["Condition"])
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"} and there:
            properties = resolver.resolve(resource["Properties"])
            policies = properties.get("Policies", [properties] if "PolicyDocument" in properties else [])
            for number, policy in enumerate(policies):
                for index, statement in enumerate(_list(policy["PolicyDocument"]["Statement"])):
                    if statement["Effect"] != effect:
                        continue
                    for action in _list(statement["Action"]):
                        for which in range(len(_list(statement["Resource"]))):
                            yield Permission(role, number, index, statement.get("Sid", str(index)), action, which)


def without(document: dict[str, Any], gone: Permission) -> dict[str, Any]:
    """A policy document that allows all but this one."""
    changed = copy.deepcopy(document)
    statement = changed["Statement"].pop(gone.statement)
    for action in _list(statement["Action"]):
        for which, resource in enumerate(_list(statement["Resource"])):
            if (action, which) != (gone.action, gone.resource):
                changed["Statement"].append({**statement, "Action": action, "Resource": resource})
    if not changed["Statement"]:  # IAM refuses an empty policy
        changed["Statement"].append({"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"})
    for number, kept in enumerate(changed["Statement"]):
        kept["Sid"] = f"Kept{number}"
    return changed


def without_denials(document: dict[str, Any]) -> dict[str, Any]:
    """A policy document without its denials."""
    return {**document, "Statement": [each for each in document["Statement"] if each["Effect"] == "Allow"]}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
