"""cfn-lint over the expanded template, and each nested stack by itself: schemas, IAM actions, the state machine."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cfnlint.api import lint

from checks.exceptions import CFN_LINT
from checks.expansion import REGION
from checks.faults import Fault
from checks.sources import Sources


def check(sources: Sources) -> Iterator[Fault]:
    """Every error and warning of cfn-lint, named by its rule, such as W3037 for an action that IAM does not know."""
    for match in lint(json.dumps(sources.expanded), regions=[REGION]):
        place = "/".join(str(step) for step in match.path or ())
        if is_mistaken(match.rule.id, place):
            continue
        yield Fault(f"template.yaml, expanded: {place}", f"{match.rule.id} {match.message}")
    for path, template in sources.nested().items():
        for match in lint(json.dumps(template), regions=[REGION]):
            place = "/".join(str(step) for step in match.path or ())
            yield Fault(f"{path}: {place}", f"{match.rule.id} {match.message}")


def is_mistaken(rule: str, place: str) -> bool:
    """Whether a finding is known to be wrong.

    Args:
        rule: The rule's id, E3601.
        place: Where it was found, its steps joined by slashes.
    """
    return any(rule == known and place.endswith(end) for known, end in CFN_LINT)
