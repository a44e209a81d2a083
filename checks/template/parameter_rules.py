"""The section Rules of the template: CloudFormation takes a short list of functions there, and cfn-lint any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import TEMPLATE, Sources

FUNCTIONS = {
    "Fn::And",
    "Fn::Contains",
    "Fn::EachMemberEquals",
    "Fn::EachMemberIn",
    "Fn::Equals",
    "Fn::Not",
    "Fn::Or",
    "Fn::RefAll",
    "Fn::ValueOf",
    "Fn::ValueOfAll",
    "Ref",
}
"""CloudFormation template reference, rule functions."""


def check(sources: Sources) -> Iterator[Fault]:
    """Each function in a rule that the deployment would be refused for."""
    for name, rule in sources.template.get("Rules", {}).items():
        assertions = [assertion.get("Assert") for assertion in rule.get("Assertions", [])]
        for used in sorted(set(_functions([rule.get("RuleCondition"), *assertions])) - FUNCTIONS):
            yield Fault(f"{TEMPLATE}: Rules/{name}", f"{used} is no rule function: {', '.join(sorted(FUNCTIONS))}")


def _functions(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield from value
            for member in value.values():
                yield from _functions(member)
        case list():
            for member in value:
                yield from _functions(member)
