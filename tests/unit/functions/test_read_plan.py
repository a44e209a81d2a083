"""Read Plan: what the array job is sized from."""

import pytest

from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.run.plan import Plan
from millrace.s3.verbs import S3
from read_plan import read_plan
from tests.in_memory_s3 import InMemoryS3Client

EVENT = {"plan": "s3://results/_millrace/run-1/plan.json"}
PLAN = Plan(
    run_id="run-1",
    source="s3://letters/",
    destination="s3://results/",
    workload="word-count",
    options={},
    include=[],
    exclude=[],
    shards=12,
    items=3456,
    total_bytes=789,
    skipped={},
    tolerated_failure_percent=0,
    code_version="1",
    digest="sha256:ab",
    planned_at="2026-11-21T09:00:00Z",
)


def test_the_counts_of_the_plan_are_returned() -> None:
    """The state machine gets numbers, not strings: `Size` must be one."""
    client = InMemoryS3Client("results")
    client.store("results", "_millrace/run-1/plan.json", PLAN.to_json())
    expected = {"shards": 12, "items": 3456, "bytes": 789, "digest": "sha256:ab", "merge_parts": 0}
    assert read_plan(EVENT, S3(client.stub)) == expected


def test_a_missing_plan_is_named() -> None:
    """The error says which object is not there."""
    with pytest.raises(ObjectNotFoundError, match=r"s3://results/_millrace/run-1/plan.json"):
        read_plan(EVENT, S3(InMemoryS3Client("results").stub))


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"shards": 3}', b"\xff"])
def test_a_damaged_plan_is_named(text: bytes) -> None:
    """A file that is not a plan fails as that, with its URI."""
    client = InMemoryS3Client("results")
    client.store("results", "_millrace/run-1/plan.json", text)
    with pytest.raises(DamagedFileError, match=r"s3://results/_millrace/run-1/plan.json"):
        read_plan(EVENT, S3(client.stub))
