"""The two linters from npm see faults of the language itself."""

from __future__ import annotations

import pytest

from checks.statemachine import state_language
from tests.infrastructure.checkout import Checkout, Plant, needs_node

PLANTS = [
    Plant(
        "A transition to a state that is not there stops the run in the middle.",
        lambda c: c.state("Plan").update(Next="Read Plans"),
        "Read Plans",
    ),
    Plant("A machine must start somewhere.", lambda c: c.definition.update(StartAt="Prepare"), "Prepare"),
    Plant(
        "A state that nothing leads to is forgotten work.",
        lambda c: c.definition["States"].update(Alone={"Type": "Succeed"}),
        "Alone",
    ),
    Plant(
        "A Choice without its default stops on the number it forgot.",
        lambda c: c.state("How Many Children?").update(Default="Migrate"),
        "Default",
    ),
    Plant(
        "A misspelt field has no effect.", lambda c: c.state("Plan").update(TimeoutSecond=5), "Field is not supported"
    ),
    Plant(
        "A misspelt comparison fails at run time.",
        lambda c: c.state("How Many Children?")["Choices"][1].update(NumericEqual=0),
        "NumericEqual",
    ),
    Plant(
        "A comparison with the wrong type never holds.",
        lambda c: c.state("How Many Children?")["Choices"][1].update(NumericEquals="0"),
        "number",
    ),
    Plant("A path must start with $.", lambda c: c.state("Plan").update(ResultPath="jobs.plan"), "ResultPath"),
    Plant(
        "An intrinsic function must be one there is.",
        lambda c: c.arguments("Plan").update({"JobName.$": "States.Formatt('{}', $.run.job_name)"}),
        "JobName.$",
    ),
    Plant(
        "A member by path and as a constant is refused.",
        lambda c: c.arguments("Plan").update(JobName="plan"),
        "DUPLICATE_FIELD_NAME",
    ),
    Plant("A state must end or go on.", lambda c: c.state("Plan").pop("Next"), "TERMINAL_STATE_WITH_NEXT"),
    Plant(
        "Jitter is FULL or NONE.",
        lambda c: c.state("Plan")["Retry"][0].update(JitterStrategy="HALF"),
        "Value is not accepted",
    ),
    Plant("A resource is an ARN.", lambda c: c.state("Plan").update(Resource="batch:submitJob"), "Resource"),
]


@needs_node
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """One of the two linters names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, state_language.check(checkout.sources())))
