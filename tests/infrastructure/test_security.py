"""checkov and parliament see what they are for, and the policies that they get are plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checks import exceptions
from checks.security import linters as security
from checks.security.policies import policy_documents
from checks.sources import Sources
from tests.infrastructure.checkout import REAL, REPOSITORY, Plant, needs_tools

TOOLS = security.ENVIRONMENT
CHECK = security.check
PLANTS = [
    Plant(
        "A bucket that could be made public.",
        lambda c: c.resource("ResultBucket").pop("PublicAccessBlockConfiguration"),
        "ResultBucket: CKV_AWS_5",
    ),
    Plant(
        "An action that IAM does not know grants nothing.",
        lambda c: c.resource("PlanJobRole")["Policies"][0]["PolicyDocument"]["Statement"][0].update(
            Action="s3:ListBuckets"
        ),
        "PlanJobRole/Plan/0: parliament: UNKNOWN_ACTION",
    ),
    Plant(
        "An object action on a bucket's own ARN grants nothing.",
        lambda c: c.resource("MergeJobRole")["Policies"][0]["PolicyDocument"]["Statement"][0].update(
            Action="s3:GetObject"
        ),
        "MergeJobRole/Merge/0: parliament: RESOURCE_MISMATCH",
    ),
]


@needs_tools
@pytest.mark.long
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, found: str) -> None:
    """The tools name the planted fault."""
    assert plant.message in found


@needs_tools
@pytest.mark.long
def test_a_suppression_that_nothing_needs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is excused must be there."""
    monkeypatch.setitem(exceptions.CHECKOV, "CKV_AWS_0", "no such check")
    found = [str(fault) for fault in security._checkov(Sources(REPOSITORY), TOOLS / "bin")]
    assert found == ["checks/exceptions.py: suppresses CKV_AWS_0, which checkov does not find any more"]


def _parts(value: Any) -> Iterator[Any]:
    yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(member)


def test_policies_are_plain_and_whole() -> None:
    """No function of CloudFormation is left in a policy, and every statement of the template is looked at."""
    documents = dict(policy_documents(REAL.expanded))
    for name, document in documents.items():
        for part in _parts(document):
            if isinstance(part, dict):
                assert not {key for key in part if key == "Ref" or key.startswith("Fn::")}, name
            if isinstance(part, str):
                assert "${" not in part, name
    seen = {statement.get("Sid") for document in documents.values() for statement in document["Statement"]}
    written = {
        part["Sid"]
        for resource in REAL.expanded["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
        for part in _parts(resource)
        if isinstance(part, dict) and "Sid" in part
    }
    assert written <= seen
