"""A broken link between state, file, resource and test is seen."""

from __future__ import annotations

import pytest

from checks import names
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A function that was renamed alone.",
        lambda c: c.file("functions/read_plan.py").rename(c.file("functions/read_the_plan.py")),
        "ReadPlanFunction: there is no functions/read_plan.py",
    ),
    Plant(
        "A file that no resource runs.",
        lambda c: c.file("functions/stray.py").touch(),
        "functions/stray.py: no function",
    ),
    Plant(
        "A handler that is another file's.",
        lambda c: c.resource("ReadPlanFunction").update(Handler="read_result.handler"),
        "by its name it is read_plan.handler",
    ),
    Plant(
        "A function without a test.",
        lambda c: c.file("tests/unit/functions/test_read_plan.py").unlink(),
        "there is no tests/unit/functions/test_read_plan.py",
    ),
    Plant(
        "A resource that does not say that it is a function.",
        lambda c: c.template["Resources"].update(ReadPlan=c.template["Resources"].pop("ReadPlanFunction")),
        "ReadPlan: a function's resource is called VerbNounFunction",
    ),
    Plant(
        "A state that was renamed alone.",
        lambda c: c.definition["States"].update({"Look At Plan": c.definition["States"].pop("Read Plan")}),
        "by its name it calls ${LookAtPlanFunctionArn}",
    ),
    Plant(
        "A state that calls another state's function.",
        lambda c: c.arguments("Read Plan").update(FunctionName="${ReadResultFunctionArn}"),
        "Read Plan: calls ${ReadResultFunctionArn}",
    ),
    Plant(
        "A state that submits another state's job.",
        lambda c: c.arguments("Merge").update(JobDefinition="${PlanJobDefinitionArn}"),
        "by its name it submits ${MergeJobDefinitionArn}",
    ),
    Plant(
        "A state whose command is another verb.",
        lambda c: c.arguments("Merge")["ContainerOverrides"].update(
            {"Command.$": "States.Array('migrate', '--plan', $.run.plan)"}
        ),
        "its command starts with 'migrate'; by its name it starts with 'merge'",
    ),
    Plant(
        "A constant command counts as well.",
        lambda c: c.arguments("Merge").update(ContainerOverrides={"Command": ["plan"]}),
        "its command starts with 'plan'",
    ),
    Plant(
        "A state without a command runs the image's own.",
        lambda c: c.arguments("Merge").pop("ContainerOverrides"),
        "its command starts with None",
    ),
    Plant(
        "A verb that was renamed alone.",
        lambda c: c.file("batch_jobs/merging/merge.py").unlink(),
        "MergeJobDefinition: there is no merge.py in a room of batch_jobs/",
    ),
    Plant(
        "A definition whose command is another verb.",
        lambda c: c.container("MergeJobDefinition").update(Command=["plan", "--help"]),
        "MergeJobDefinition: its Command starts with ['plan']",
    ),
    Plant(
        "A resource that does not say that it is a job definition.",
        lambda c: c.template["Resources"].update(Merge=c.template["Resources"].pop("MergeJobDefinition")),
        "Merge: a job definition's resource is called VerbJobDefinition",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The naming chain names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, names.check(checkout.sources())))
