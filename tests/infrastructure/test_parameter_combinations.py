"""Whatever a user answers to the template's parameters: what is then deployed passes the schemas and the linter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from cfnlint.api import lint
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from checks.conditions import Resolver, deployed
from checks.expansion import REGION
from checks.template.cloudformation import is_mistaken
from checks.template.deploy_failures import ALL_PARAMETERS, ALL_SECRETS, OWN_NETWORK
from tests.infrastructure.checkout import REAL, Checkout
from tests.infrastructure.test_conditions import SETTINGS

TEMPLATE = REAL.expanded
UNUSED = "W2001"
"""A parameter that nothing refers to under these answers: it is there for others."""
ANSWERS: dict[str, list[str]] = {
    "SourceBucketNames": ["", "my-source", "my-source/in/", "a-b/a/,b-c/b/,c-d/c/,d-e/d/d/,e-f/e/"],
    "PublicBucketNames": ["", "open-data,more-open-data"],
    "ManifestLocation": ["", "reports/inventory/"],
    "ResultBucketName": ["", "my-results"], "ResultPrefix": ["", "out/"],
    "TableNames": ["", "words,import-*"],
    "KmsKeyArn": ["", "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"],
    "AllowedWorkloads": ["*", "word-count,acme.*,line_count:LineCount"],
    "BucketOwner": ["", "123456789012"],
    "ScheduleExpression": ["", "rate(1 day)", "cron(0 3 * * ? *)"], "ScheduleInput": ["", "{}"],
    "UploadRequest": ["", '{"workload": "word-count", "options": {"top": 5}}'], "UploadKeys": ["*", "in/*.csv"],
    "UploadWindowSeconds": ["60", "0"],
    "Compute": ["FARGATE_SPOT", "FARGATE", "EC2", "FARGATE_SPOT_ARM64", "FARGATE_ARM64", "EC2_ARM64", "EC2_GPU"],
    "NotificationEmail": ["", "me@example.com", "NONE"],
    "JobStorage": ["21", "100"], "InstanceTypes": ["", "m7i,c7i.xlarge"],
    "Network": ["PUBLIC", "PRIVATE", OWN_NETWORK["Network"]],
    "WorkloadEnvironment": ["{}", '{"API_URL": "https://example.com"}'],
    "WorkloadSecrets": ["", ALL_SECRETS["WorkloadSecrets"], ALL_PARAMETERS["WorkloadSecrets"]],
    "WorkloadPolicyArn": ["", "arn:aws:iam::123456789012:policy/ask-the-service"],
    "MonthlyBudget": ["0", "50", "NONE"],
}  # fmt: skip
"""Answers that decide conditions, each way; of the other parameters any value is as good as the default."""
FOLLOW = {
    "MonthlyBudget": {"NotificationEmail": "me@example.com"},
}
"""What the section Rules asks for with an answer."""


def with_what_follows(values: dict[str, str]) -> dict[str, str]:
    """Answers, with those that they need beside them."""
    made = dict(values)
    for name, more in FOLLOW.items():
        if made.get(name, "") not in {"", "0", "NONE"}:
            made |= more
    if made.get("Compute") == "EC2_GPU":
        made["InstanceTypes"] = "g5"
    return made


def faults(template: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """What cfn-lint finds: every resource against its schema, every reference, every policy's actions."""
    found = lint(json.dumps(deployed(template, values)), regions=[REGION])
    return [
        f"{place}: {match.rule.id} {match.message}"
        for match in found
        if match.rule.id != UNUSED and not is_mistaken(match.rule.id, place := "/".join(map(str, match.path or ())))
    ]


@pytest.mark.long
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.fixed_dictionaries({name: st.sampled_from(each) for name, each in ANSWERS.items()}))
@example(values={})
@example(values={name: each[-1] for name, each in ANSWERS.items()})
@example(values={name: each[1] for name, each in ANSWERS.items()})
def test_every_combination_passes_the_linter(values: dict[str, str]) -> None:
    """Any answers together make a template that CloudFormation's schemas and cfn-lint have nothing against."""
    assert faults(TEMPLATE, with_what_follows(values)) == []


def test_the_answers_decide_every_condition() -> None:
    """No condition is left out of the combinations: its answers make it true and false."""
    for condition in TEMPLATE["Conditions"]:
        either = {
            Resolver(TEMPLATE, with_what_follows({**base, name: answer})).holds(condition)
            for base in ({}, *SETTINGS, {name: each[-1] for name, each in ANSWERS.items()})
            for name, answers in ANSWERS.items()
            for answer in answers
        }
        assert either == {True, False}, condition


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_answers_are_allowed(name: str) -> None:
    """The parameter lets each of them in."""
    parameter = TEMPLATE["Parameters"][name]
    for answer in ANSWERS[name]:
        assert re.search(parameter.get("AllowedPattern", ""), answer)
        assert answer in map(str, parameter.get("AllowedValues", [answer]))
        assert float(parameter.get("MinValue", "-inf")) <= float(answer) if "MinValue" in parameter else True


@pytest.mark.long
def test_sees_what_only_some_answers_bring_in(checkout: Checkout) -> None:
    """A property that the schema does not know, in the branch of an own network alone."""
    definition = checkout.resource("StandardJobQueue")
    definition["Priority"] = {"Fn::If": ["CreateNetwork", 10, "high"]}
    template = checkout.sources().expanded
    assert faults(template, {}) == []
    (fault,) = faults(template, with_what_follows(OWN_NETWORK))
    assert "StandardJobQueue" in fault
