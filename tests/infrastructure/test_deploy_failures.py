"""The rules of failed deployments see what they are for, under every combination that can bring it in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks import exceptions
from checks.conditions import Resolver
from checks.template import deploy_failures
from tests.infrastructure.checkout import REAL, Plant

needs_rules = pytest.mark.skipif(
    not deploy_failures.ENVIRONMENT.is_dir(),
    reason="no cloudformation-validate here: `make check`, which CI runs, does not go without",
)
CHECK = deploy_failures.check
PLANTS = [
    Plant(
        "EC2 refuses an apostrophe in the description of a rule, and the whole stack rolls back.",
        lambda c: c.resource("EndpointSecurityGroup")["SecurityGroupEgress"][0].update(Description="nobody's address"),
        "template.yaml, private: EndpointSecurityGroup: pf-ec2-sg-rule-description",
    ),
    Plant(
        "A queue keeps its messages for 14 days at most.",
        lambda c: c.resource("UndeliveredQueue").update(MessageRetentionPeriod=1209601),
        "template.yaml, as it is: UndeliveredQueue: ",
    ),
    Plant(
        "The metric of an alarm has statistics of its own name only.",
        lambda c: c.resource("QueueWaitAlarm").update(Statistic="p99"),
        "template.yaml, as it is: QueueWaitAlarm: ",
    ),
]


@needs_rules
@pytest.mark.long
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, found: str) -> None:
    """The rules name the planted fault, and the combination that brings it in."""
    assert plant.message in found


@needs_rules
@pytest.mark.long
def test_nothing_but_an_exception_that_nothing_needs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """No combination of parameters makes a template that is known to fail, and what is excused must be there."""
    monkeypatch.setitem(exceptions.DEPLOY_FAILURES, "pf-none", "no such rule")
    found = [str(fault) for fault in deploy_failures.check(REAL)]
    assert found == ["checks/exceptions.py: excepts pf-none, which is not found any more"]


@pytest.mark.parametrize("condition", sorted(REAL.expanded["Conditions"]))
def test_the_combinations_decide_every_condition(condition: str) -> None:
    """Each condition is true in one combination and false in another, so that no branch stays unseen."""
    decided: Callable[[dict[str, str]], bool] = lambda values: Resolver(REAL.expanded, values).holds(condition)  # noqa: E731
    assert {decided(values) for values in deploy_failures.COMBINATIONS.values()} == {True, False}
