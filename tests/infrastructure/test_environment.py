"""A variable that nothing reads is seen."""

from __future__ import annotations

import pytest

from checks import environment
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A job's variable misspelt in the template is unset for the code.",
        lambda c: c.container("MigrateJobDefinition")["Environment"].append(
            {"Name": "MILLRACE_ATEMPT_SECONDS", "Value": "60"}
        ),
        "MigrateJobDefinition: sets MILLRACE_ATEMPT_SECONDS",
    ),
    Plant(
        "A variable of one function counts.",
        lambda c: c.resource("ReadPlanFunction").update(Environment={"Variables": {"PLAN": "x"}}),
        "ReadPlanFunction: sets PLAN,",
    ),
    Plant(
        "A variable that was renamed in the code alone.",
        lambda c: c.file("layer/python/millrace/settings.py").write_text(
            c.file("layer/python/millrace/settings.py").read_text("utf-8").replace('"QUEUES"', '"MILLRACE_QUEUES"'),
            "utf-8",
        ),
        "sets QUEUES,",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The comparison of the template's variables and the settings names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, environment.check(checkout.sources())))
