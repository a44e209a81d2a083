"""cfn-lint over the expanded template, and each nested stack by itself: schemas, IAM actions, the state machine."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cfnlint.api import lint

from checks.expansion import REGION
from checks.faults import Fault
from checks.sources import Sources


def check(sources: Sources) -> Iterator[Fault]:
    """Every error and warning of cfn-lint, named by its rule, such as W3037 for an action that IAM does not know."""
    for match in lint(json.dumps(sources.expanded), regions=[REGION]):
        place = "/".join(str(step) for step in match.path or ())
        yield Fault(f"template.yaml, expanded: {place}", f"{match.rule.id} {match.message}")
    for path, template in sources.nested().items():
        for match in lint(json.dumps(template), regions=[REGION]):
            place = "/".join(str(step) for step in match.path or ())
            yield Fault(f"{path}: {place}", f"{match.rule.id} {match.message}")
