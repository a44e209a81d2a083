"""cfn-lint sees in the expanded template what it cannot see in the source."""

from __future__ import annotations

import pytest

from checks.template import cloudformation
from tests.infrastructure.checkout import Plant

CHECK = cloudformation.check
PLANTS = [
    Plant(
        "An action that IAM does not know grants nothing, in a function's policy.",
        lambda c: c.resource("ReadPlanFunction")["Policies"][0]["Statement"][0].update(Action="s3:GetObjects"),
        "ReadPlanFunctionRole/Properties/Policies/0/PolicyDocument/Statement/0/Action: W3037 'getobjects'",
    ),
    Plant(
        "An action that IAM does not know grants nothing, in the state machine's policy.",
        lambda c: c.resource("MigrationStateMachine")["Policies"][0]["Statement"][1].update(Action="batch:SubmitJobs"),
        "MigrationStateMachineRole/Properties/Policies/0/PolicyDocument/Statement/1/Action: W3037 'submitjobs'",
    ),
    Plant(
        "An action that IAM does not know grants nothing, in a job's role.",
        lambda c: c.resource("PlanJobRole")["Policies"][0]["PolicyDocument"]["Statement"][0].update(
            Action="s3:ListBuckets"
        ),
        "PlanJobRole/Properties/Policies/0/PolicyDocument/Statement/0/Action: W3037 'listbuckets'",
    ),
    Plant(
        "An effect is Allow or Deny.",
        lambda c: c.resource("ReadPlanFunction")["Policies"][0]["Statement"][0].update(Effect="Permit"),
        "Statement/0/Effect: E3510 'Permit' is not one of",
    ),
    Plant(
        "A state of an unknown type is seen in the inlined definition.",
        lambda c: c.state("Plan").update(Type="Job"),
        "States/Plan/Type: E3601 'Job' is not one of",
    ),
    Plant(
        "A state without its type is seen in the inlined definition.",
        lambda c: c.state("Merge").pop("Type"),
        "States/Merge: E3601 'Type' is a required property",
    ),
    Plant(
        "A reference to a resource that is not there.",
        lambda c: c.resource("StandardJobQueue").update(SchedulingPolicyArn={"Ref": "FairSchedulingPolicy"}),
        "StandardJobQueue/Properties/SchedulingPolicyArn/Ref: E1020 'FairSchedulingPolicy'",
    ),
    Plant(
        "An attribute that the resource does not have.",
        lambda c: c.resource("UrgentJobQueue").update(
            SchedulingPolicyArn={"Fn::GetAtt": ["StandardSchedulingPolicy", "Id"]}
        ),
        "UrgentJobQueue/Properties/SchedulingPolicyArn/Fn::GetAtt/1: E1010 'Id' is not one of",
    ),
    Plant(
        "A property that Batch's schema does not have.",
        lambda c: c.container("PlanJobDefinition").update(ExecutionRole="x"),
        "PlanJobDefinition/Properties/ContainerProperties/ExecutionRole: E3002",
    ),
    Plant(
        "A reference without the condition of its target.",
        lambda c: c.resource("FargateEnvironment")["ComputeResources"].update(Subnets=[{"Ref": "JobSubnet1"}]),
        "FargateEnvironment/Properties/ComputeResources/Subnets/0: W1001",
    ),
]


@pytest.mark.long
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, found: str) -> None:
    """cfn-lint, on the expanded template, names the planted fault's place and rule."""
    assert plant.message in found
