"""Read Result: what an execution ends with."""

import json

import pytest

from millrace.errors import DamagedFileError
from millrace.s3 import S3
from read_result import read_result
from tests.in_memory_s3 import InMemoryS3Client

EVENT = {"plan": "s3://results/_millrace/run-1/plan.json", "migrate_job": "second"}
RESULT = {
    "run_id": "run-1",
    "status": "SUCCEEDED_WITH_FAILURES",
    "counts": {"items": 3, "succeeded": 2, "failed": 1, "bytes": 30, "shards": 1},
    "failures": {"NOT_TEXT": 1},
    "retry": None,
    "files": {"words.csv": "s3://results/_millrace/run-1/words.csv"},
    "report": "s3://results/_millrace/run-1/report.csv",
    "failure_rows": "s3://results/_millrace/run-1/failures.jsonl",
    "worked_by": {"first": {"shards": 2, "items": 2}, "second": {"shards": 1, "items": 1}},
    "result": {"top": [{"word": "mill", "count": 9}] * 10_000},
}


def test_the_output_is_small_whatever_the_workload_wrote() -> None:
    """Counts, failures and addresses go out; the workload's own part stays in result.json."""
    client = InMemoryS3Client("results")
    client.store("results", "_millrace/run-1/result.json", json.dumps(RESULT).encode())
    output = read_result(EVENT, S3(client))
    assert output == {
        **{name: RESULT[name] for name in RESULT if name not in {"worked_by", "result"}},
        "reused": {"shards": 2, "items": 2},
        "result": "s3://results/_millrace/run-1/result.json",
    }


@pytest.mark.parametrize("text", [b"", b"{}", b"3"])
def test_a_damaged_result_is_named(text: bytes) -> None:
    """A file that is not a result fails as that, with its URI."""
    client = InMemoryS3Client("results")
    client.store("results", "_millrace/run-1/result.json", text)
    with pytest.raises(DamagedFileError, match=r"s3://results/_millrace/run-1/result.json"):
        read_result(EVENT, S3(client))


@pytest.mark.parametrize(
    ("migrate_job", "reused"),
    [("", {"shards": 3, "items": 3}), ("third", {"shards": 3, "items": 3}), ("first", {"shards": 1, "items": 1})],
)
def test_the_output_says_how_much_was_reused(migrate_job: str, reused: dict[str, int]) -> None:
    """What other jobs than this execution's have committed was there before, or is a duplicate's."""
    client = InMemoryS3Client("results")
    client.store("results", "_millrace/run-1/result.json", json.dumps(RESULT).encode())
    assert read_result({**EVENT, "migrate_job": migrate_job}, S3(client))["reused"] == reused
