"""A function that CloudFormation does not take in the section Rules is seen."""

from __future__ import annotations

import pytest

from checks.template import parameter_rules
from tests.infrastructure.checkout import Checkout, Plant

RULE = "GpusComeWithInstances"
PLANTS = [
    Plant(
        "Fn::Join is for conditions, not for rules.",
        lambda c: c.template["Rules"][RULE].update(
            RuleCondition={"Fn::Equals": [{"Fn::Join": ["", {"Ref": "InstanceTypes"}]}, ""]}
        ),
        f"Rules/{RULE}: Fn::Join is no rule function",
    ),
    Plant(
        "An assertion takes no more functions than a condition.",
        lambda c: c.template["Rules"][RULE]["Assertions"][0].update(Assert={"Fn::If": ["CreateNetwork", True, False]}),
        f"Rules/{RULE}: Fn::If is no rule function",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The rule for rules names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, parameter_rules.check(checkout.sources())))
