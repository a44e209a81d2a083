"""A name that would block a replacement is seen."""

from __future__ import annotations

import pytest

from checks.template import replacement
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "Two job definitions of one name cannot exist side by side.",
        lambda c: c.resource("PlanJobDefinition").update(JobDefinitionName="plan"),
        "PlanJobDefinition/JobDefinitionName",
    ),
    Plant(
        "Two queues of one name cannot exist side by side.",
        lambda c: c.resource("StandardJobQueue").update(JobQueueName="standard"),
        "StandardJobQueue/JobQueueName",
    ),
    Plant(
        "Two compute environments of one name cannot exist side by side.",
        lambda c: c.resource("FargateEnvironment").update(ComputeEnvironmentName="main"),
        "FargateEnvironment/ComputeEnvironmentName",
    ),
    Plant(
        "A scheduling policy is Batch's too.",
        lambda c: c.resource("StandardSchedulingPolicy").update(Name="fair"),
        "StandardSchedulingPolicy/Name",
    ),
    Plant(
        "A function is replaced when its package type changes.",
        lambda c: c.resource("ReadPlanFunction").update(FunctionName="read-plan"),
        "ReadPlanFunction/FunctionName",
    ),
    Plant(
        "A role is replaced when its path changes.",
        lambda c: c.resource("PlanJobRole").update(RoleName="plan"),
        "PlanJobRole/RoleName",
    ),
    Plant(
        "A security group's name is written GroupName.",
        lambda c: c.resource("JobSecurityGroup").update(GroupName="jobs"),
        "JobSecurityGroup/GroupName",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The rule for explicit names names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, replacement.check(checkout.sources())))
