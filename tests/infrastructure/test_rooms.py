"""A folder that is too full, says nothing of itself or is not on the map is seen."""

from __future__ import annotations

import pytest

from checks import rooms
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A folder with more modules than one takes in at a glance.",
        lambda c: [c.file(f"batch_jobs/planning/more_{number}.py").write_text("") for number in range(16)],
        "batch_jobs/planning: holds",
    ),
    Plant(
        "A folder that does not say what it is for.",
        lambda c: c.file("batch_jobs/planning/__init__.py").write_text(""),
        "batch_jobs/planning: its __init__.py says nothing",
    ),
    Plant(
        "A folder that does not say what belongs elsewhere.",
        lambda c: c.file("batch_jobs/planning/__init__.py").write_text('"""The plan job."""'),
        "batch_jobs/planning: its __init__.py does not say what belongs elsewhere",
    ),
    Plant(
        "A folder that nobody put on the map.",
        lambda c: c.file("batch_jobs/attic/__init__.py").write_text('"""Old things.\n\nNew ones are elsewhere.\n"""'),
        "batch_jobs/attic: is missing in the table of rooms",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_planted_fault_is_seen(plant: Plant, checkout: Checkout) -> None:
    """Each fault that the check claims to see is named with its folder."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, rooms.check(checkout.sources())))
