"""Placeholders of a state machine against its DefinitionSubstitutions: each defined, each used, each well named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import Sources, StateMachine

PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
"""As CloudFormation finds them, anywhere in the text."""


def check(sources: Sources) -> Iterator[Fault]:
    """A placeholder that nothing defines stays in the definition as it is, and the execution fails on it."""
    for machine in sources.machines:
        used = set(PLACEHOLDER.findall(machine.text))
        where = f"template.yaml: {machine.resource}/DefinitionSubstitutions"
        for name in sorted(used - set(machine.substitutions)):
            yield Fault(machine.path, f"${{{name}}} is in no DefinitionSubstitutions of {machine.resource}")
        for name in sorted(set(machine.substitutions) - used):
            yield Fault(where, f"{name} is used nowhere in {machine.path}")
        yield from _misleading(machine, where)


def _misleading(machine: StateMachine, where: str) -> Iterator[Fault]:
    """`${ReadPlanFunctionArn}` is the ARN of ReadPlanFunction: name and value cannot part unseen."""
    for name, value in machine.substitutions.items():
        resource = _referenced(value)
        if resource is not None and name != f"{resource}Arn":
            yield Fault(where, f"{name} stands for {resource}: call it {resource}Arn, or refer to {name[:-3]}")


def _referenced(value: Any) -> str | None:
    match value:
        case {"Ref": str(resource)} | {"Fn::GetAtt": [str(resource), "Arn"]}:
            return resource
        case {"Fn::GetAtt": str(attribute)} if attribute.endswith(".Arn"):
            return attribute.removesuffix(".Arn")
        case _:
            return None
