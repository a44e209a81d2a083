"""When Batch tries a job again: the template's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.simulation.state_machine import REPOSITORY

DEFINITIONS = {
    "plan": "PlanJobDefinition",
    "migrate": "MigrateJobDefinition",
    "migrate-and-merge": "MigrateAndMergeJobDefinition",
    "merge": "MergeJobDefinition",
}


@dataclass(frozen=True)
class RetryRules:
    """A job definition's RetryStrategy."""

    attempts: int
    rules: tuple[dict[str, str], ...]

    def retried(self, exit_code: int | None, status_reason: str) -> bool:
        """Whether an attempt that ended so is followed by another, if any are left.

        The first rule of which every condition fits decides, and where none fits the job is retried: Batch user guide,
        job retries. No exit code means that the container never told one.
        """
        seen = {"OnExitCode": exit_code, "OnStatusReason": status_reason, "OnReason": ""}
        for rule in self.rules:
            conditions = {name: pattern for name, pattern in rule.items() if name != "Action"}
            if all(_fits(pattern, seen[name]) for name, pattern in conditions.items()):
                return rule["Action"] == "RETRY"
        return True


def _fits(pattern: str, seen: object) -> bool:
    if seen is None:
        return False
    return str(seen).startswith(pattern[:-1]) if pattern.endswith("*") else str(seen) == pattern


@cache
def rules_of_the_template() -> dict[str, RetryRules]:
    """The rules by the job's verb, as stacks/jobs.yaml has them."""
    template = yaml.load((REPOSITORY / "stacks/jobs.yaml").read_text(encoding="utf-8"), _Loader)
    found = {}
    for verb, name in DEFINITIONS.items():
        strategy = template["Resources"][name]["Properties"]["RetryStrategy"]
        found[verb] = RetryRules(int(strategy["Attempts"]), tuple(strategy["EvaluateOnExit"]))
    return found


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref Image` reads as the text `Image`."""


def _short_form(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Loader.add_multi_constructor("!", _short_form)
