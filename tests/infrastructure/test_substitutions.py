"""A placeholder and its substitution that do not fit are seen."""

from __future__ import annotations

import pytest

from checks.statemachine import substitutions
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A placeholder that nothing defines is submitted as it stands.",
        lambda c: c.resource("MigrationStateMachine")["DefinitionSubstitutions"].pop("MergeJobDefinitionArn"),
        "${MergeJobDefinitionArn} is in no DefinitionSubstitutions",
    ),
    Plant(
        "A misspelt placeholder is submitted as it stands.",
        lambda c: c.arguments("Merge").update(JobDefinition="${MergeJobDefinition}"),
        "${MergeJobDefinition} is in no",
    ),
    Plant(
        "A substitution that nothing uses misleads its reader.",
        lambda c: c.resource("MigrationStateMachine")["DefinitionSubstitutions"].update(OldFunctionArn="x"),
        "OldFunctionArn is used nowhere",
    ),
    Plant(
        "Two ARNs exchanged still look right in the definition.",
        lambda c: c.resource("MigrationStateMachine")["DefinitionSubstitutions"].update(
            PlanJobDefinitionArn={"Ref": "MergeJobDefinition"}
        ),
        "PlanJobDefinitionArn stands for MergeJobDefinition",
    ),
    Plant(
        "Two functions exchanged still look right in the definition.",
        lambda c: c.resource("MigrationStateMachine")["DefinitionSubstitutions"].update(
            ReadPlanFunctionArn={"Fn::GetAtt": "ReadResultFunction.Arn"}
        ),
        "ReadPlanFunctionArn stands for ReadResultFunction",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The comparison of placeholders and substitutions names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, substitutions.check(checkout.sources())))
