"""Read Result: what an execution ends with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from millrace.errors import DamagedFileError, HandedBackError, ObjectNotFoundError
from millrace.s3.verbs import S3
from read_result import read_result
from tests.run_in_memory import RESULT, RunInMemory, fast


def merged(**job: Any) -> RunInMemory:
    """A run of three shards and four items, one of them bad, that is merged."""
    objects = {"in/a": b"1", "in/b": b"22", "in/c": b"bad", "in/d": b"4444"}
    run = RunInMemory(objects, {"shard": {"max_items": 1}, "tolerated_failure_percent": 50})
    for index in range(run.plan().shards):
        run.migrate(index, job_id=f"{'first' if index < 3 else 'second'}:{index}", **job)
    run.merge()
    return run


def output(run: RunInMemory, migrate_job: str = "second", jobs: Sequence[str] = ()) -> dict[str, Any]:
    """What the function makes of it."""
    event = {"plan": str(run.folder.plan), "migrate_jobs": jobs, "migrate_job": migrate_job}
    return read_result(event, S3(run.client.stub, fast()))


def store(run: RunInMemory, name: str, body: bytes) -> None:
    """Put something into the run folder."""
    run.client.store(RESULT, run.folder.file(name).key, body)


def test_the_output_is_small_whatever_the_workload_wrote() -> None:
    """Counts, failures and addresses go out; the workload's own part stays in result.json."""
    run = merged()
    result = run.result()
    store(run, "result.json", json.dumps({**result, "result": {"top": ["mill"] * 100_000}}).encode())
    said = output(run)

    names = ("run_id", "status", "counts", "failures", "retry", "files", "report", "failure_rows")
    assert said == {
        **{name: result[name] for name in names},
        "reused": {"shards": 3, "items": 3},
        "result": "s3://result/out/_millrace/run/result.json",
    }
    assert len(json.dumps(said)) < 2000


@pytest.mark.parametrize(
    ("size", "left_by", "handed_back"),
    [("small", "second", True), ("small", "another", False), ("small", "", False), ("full", "second", False)],
)
def test_what_a_small_job_has_left_is_no_result(size: str, left_by: str, handed_back: object) -> None:
    """Whatever result is there, of an earlier job, the mark that this one left says that it is none of its own."""
    run = merged()
    if left_by:
        run.client.store(RESULT, run.folder.handed_back(left_by).key, b"{}")
    event = {"plan": str(run.folder.plan), "migrate_jobs": [], "migrate_job": "second", "size": size}
    if not handed_back:
        assert read_result(event, S3(run.client.stub, fast()))["run_id"] == "run"
        return
    with pytest.raises(HandedBackError, match="JobSize continues"):
        read_result(event, S3(run.client.stub, fast()))


@pytest.mark.parametrize("text", [b"", b"{}", b"3", b"[" * 100_000])
def test_a_damaged_result_is_named(text: bytes) -> None:
    """A file that is not a result fails as that, with its URI and the command that helps."""
    run = merged()
    store(run, "result.json", text)
    with pytest.raises(DamagedFileError, match=r"s3://result/out/_millrace/run/result.json.*millrace resume run"):
        output(run)


def test_a_result_that_is_not_there_is_named() -> None:
    """Merge writes it: without it the execution does not succeed."""
    run = merged()
    run.client.remove(RESULT, run.folder.file("result.json").key)
    with pytest.raises(ObjectNotFoundError, match=r"result\.json.*`millrace resume run` merges again"):
        output(run)


def counted(**given: int) -> Callable[[dict[str, Any]], None]:
    """Write other counts."""
    return lambda result: result["counts"].update(given)


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "999 of 4 succeeded": counted(succeeded=999),
    "999 items": counted(items=999, succeeded=998),
    "another number of shards": counted(shards=9),
    "a negative count": counted(succeeded=5, failed=-1),
    "no failure": counted(succeeded=4, failed=0),
    "error codes that do not add up": lambda result: result["failures"].update(NOT_FOUND=1),
    "a success with failures": lambda result: result.update(status="SUCCEEDED"),
    "another plan": lambda result: result.update(plan_digest="sha256:0"),
    "another run": lambda result: result.update(run_id="other"),
    "another digest": lambda result: result["digests"].update({"sizes.json": "sha256:0"}),
    "no digests": lambda result: result.update(digests={}),
    "a file that is not there": lambda result: result["files"].update({"sizes.json": "s3://result/none"}),
    "no such bucket's name": lambda result: result["files"].update({"sizes.json": "sizes.json"}),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_result_does_not_become_the_output(forgery: str) -> None:
    """What does not go with plan, files and itself ends the execution with an error instead."""
    run = merged()
    result = run.result()
    FORGED[forgery](result)
    store(run, "result.json", json.dumps(result).encode())
    with pytest.raises(DamagedFileError, match="millrace resume run"):
        output(run)


@pytest.mark.parametrize("name", ["sizes.json", "report.csv", "failures.jsonl"])
@pytest.mark.parametrize("end", [0, -1])
def test_a_damaged_file_does_not_pass_for_the_result(name: str, end: int) -> None:
    """words.csv or report.csv cut short: its digest in result.json finds it out; merging again makes it good."""
    run = merged()
    whole = run.file(name) or b""
    store(run, name, whole[:end])
    with pytest.raises(DamagedFileError, match=f"{name}.*is not the file"):
        output(run)
    run.merge()
    assert hashlib.sha256(run.file(name) or b"").digest() == hashlib.sha256(whole).digest()
    assert output(run)["status"] == "SUCCEEDED_WITH_FAILURES"


@pytest.mark.parametrize(
    ("migrate_job", "jobs", "reused"),
    [
        ("", [], 4),
        ("third", [], 4),
        ("first", [], 1),
        ("second", ["first", "second"], 0),
        ("second", ["third", "second"], 3),
    ],
)
def test_the_output_says_how_much_was_reused(migrate_job: str, jobs: list[str], reused: int) -> None:
    """What other jobs than those of this execution's passes have committed was there before, or is a duplicate's."""
    assert output(merged(), migrate_job, jobs)["reused"] == {"shards": reused, "items": reused}
