"""The table of Fargate's sizes is the one in Batch's own documentation."""

from __future__ import annotations

import re

import botocore.session
from botocore.model import StructureShape

from checks.template.job_definitions import MEMORY_MIB, memory_choices


def test_holds_every_pair_that_the_api_documents() -> None:
    """Each number of vCPUs goes with exactly the memory sizes that ResourceRequirement's documentation lists."""
    model = botocore.session.get_session().get_service_model("batch")
    shape = model.shape_for("ResourceRequirement")
    assert isinstance(shape, StructureShape)
    text = re.sub(r"<[^>]+>", "", shape.members["value"].documentation)
    documented = re.findall(r"value = ([\d.]+) +MEMORY = ([\d, or]+)", text)
    assert len(documented) == 8
    assert {vcpus: tuple(map(int, re.findall(r"\d+", sizes))) for vcpus, sizes in documented} == MEMORY_MIB


def test_has_nothing_for_a_size_that_is_not_there() -> None:
    """A number of vCPUs that Fargate does not have goes with no memory."""
    assert memory_choices("3") == ()
