"""cfn-lint sees in the expanded template what it cannot see in the source."""

from __future__ import annotations

import pytest

from checks.template import cloudformation
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "An action that IAM does not know grants nothing, in a function's policy.",
        lambda c: c.resource("ReadPlanFunction")["Policies"][0]["Statement"][0].update(Action="s3:GetObjects"),
        "W3037 'getobjects' is not one of",
    ),
    Plant(
        "An action that IAM does not know grants nothing, in the state machine's policy.",
        lambda c: c.resource("MigrationStateMachine")["Policies"][0]["Statement"][1].update(Action="batch:SubmitJobs"),
        "W3037",
    ),
    Plant(
        "An action that IAM does not know grants nothing, in a job's role.",
        lambda c: c.resource("PlanJobRole")["Policies"][0]["PolicyDocument"]["Statement"][0].update(
            Action="s3:ListBuckets"
        ),
        "W3037",
    ),
    Plant(
        "An effect is Allow or Deny.",
        lambda c: c.resource("ReadPlanFunction")["Policies"][0]["Statement"][0].update(Effect="Permit"),
        "'Permit' is not one of",
    ),
    Plant(
        "A state of an unknown type is seen in the inlined definition.",
        lambda c: c.state("Plan").update(Type="Job"),
        "E3601",
    ),
    Plant(
        "A state without its type is seen in the inlined definition.", lambda c: c.state("Plan").pop("Type"), "E3601"
    ),
    Plant(
        "A reference to a resource that is not there.",
        lambda c: c.resource("StandardJobQueue").update(SchedulingPolicyArn={"Ref": "FairSchedulingPolicy"}),
        "FairSchedulingPolicy",
    ),
    Plant(
        "An attribute that the resource does not have.",
        lambda c: c.resource("StandardJobQueue").update(
            SchedulingPolicyArn={"Fn::GetAtt": ["StandardSchedulingPolicy", "Id"]}
        ),
        "'Id' is not one of",
    ),
    Plant(
        "A property that Batch's schema does not have.",
        lambda c: c.container("PlanJobDefinition").update(ExecutionRole="x"),
        "'ExecutionRole' was unexpected",
    ),
    Plant(
        "A reference without the condition of its target.",
        lambda c: c.resource("FargateEnvironment")["ComputeResources"].update(Subnets=[{"Ref": "JobSubnet1"}]),
        "W1001",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """cfn-lint, on the expanded template, names the planted fault by its rule."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, cloudformation.check(checkout.sources())))
