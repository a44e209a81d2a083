"""Merging in parts: the same result as of one job, whatever happens to a part."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.arguments import FROM_ENVIRONMENT, parse_arguments
from batch_jobs.stop import Stop
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    DamagedFileError,
    InvalidRunRequest,
    MissingCommitError,
    RunIdentityError,
    StoppedError,
    TooManyFailuresError,
)
from millrace.planning.making import parts_of_merge
from millrace.workload.contract import MergingInParts
from millrace.workload.registry import checked_options, workload_records
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

IN_PARTS: dict[str, Any] = {"shard": {"max_items": 1}, "merge_limit_seconds": 0}


def words(count: int) -> dict[str, bytes]:
    """Texts that share words, and one that is none."""
    made = {f"in/{number:03}": b"race %d mill " % (number % 3) * number for number in range(count)}
    return {**made, "in/bad": b"\xff"}


def word_run(count: int = 9, **request: Any) -> RunInMemory:
    """A word-count run that tolerates failures, its shards migrated."""
    run = RunInMemory(words(count), {**IN_PARTS, "tolerated_failure_percent": 100, **request}, load=load_workload)
    for index in range(run.plan().shards):
        run.migrate(index)
    return run


def store(run: RunInMemory, name: str, body: bytes) -> None:
    """Put a file into the run folder."""
    run.client.store(RESULT, run.folder.file(name).key, body)


@given(count=st.integers(3, 12), left_out=st.sets(st.integers(0, 5)), retried=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_result_is_that_of_one_job(count: int, left_out: set[int], retried: bool) -> None:  # noqa: FBT001
    """Every file of the result has the bytes of a merge by one job, whichever parts were merged, retries too."""
    alone, parted = word_run(count, merge_limit_seconds=900), word_run(count)
    for run in (alone, parted):
        plan = json.loads(run.file("plan.json") or b"{}")
        for part in range(plan["merge_parts"]):
            if part not in left_out:
                run.merge_part(part)
        run.merge()
        if retried:
            run.client.store(SOURCE, "in/bad", b"good by now")
            run.retry().all()
    assert json.loads(alone.file("plan.json") or b"{}")["merge_parts"] == 0
    assert plan["merge_parts"] == (count + 1) // 2
    for name in ("words.csv", "report.csv", "failures.jsonl", "retries/001/words.csv", "retries/001/report.csv"):
        assert parted.file(name) == alone.file(name), name
    assert parted.result()["result"] == alone.result()["result"]
    assert parted.result()["counts"] == alone.result()["counts"]


def test_a_part_is_committed_once() -> None:
    """A second copy of a child ends at once, writes nothing, and the commit stays."""
    run = word_run()
    run.merge_part(1)
    before = run.run_files()
    run.merge_part(1, job_id="another")
    assert run.run_files() == before
    commit = json.loads(run.file("parts/00001.json") or b"{}")
    assert commit["partial"]["uri"].startswith(f"{run.folder.root}parts/00001.")


def test_merge_reads_parts_instead_of_partials() -> None:
    """With all parts there, the last job reads no shard's partial."""
    run = word_run()
    for part in range(5):
        run.merge_part(part)
    read: list[str] = []
    run.client.before = lambda verb, _bucket, key: read.append(key) if verb == "get_object" else None
    run.merge()
    assert not [key for key in read if "/partials/" in key]
    assert len([key for key in read if key.endswith(".tsv")]) == 5


def test_a_part_of_failed_items_has_no_file() -> None:
    """Where no item of a part succeeded, there is a commit that says so, and merge continues without it."""
    run = RunInMemory({f"in/{number}": b"bad" for number in range(4)}, IN_PARTS)
    for index in range(run.plan().shards):
        run.migrate(index)
    run.merge_part(0)
    assert json.loads(run.file("parts/00000.json") or b"{}")["partial"] is None
    run.merge_part(1)
    with pytest.raises(TooManyFailuresError):
        run.merge()
    run.merge(percent=100)
    assert run.result()["result"] == {"total": 0}


def test_a_part_waits_for_its_shards_alone() -> None:
    """A part whose shards have no commit names the first; another part does not mind."""
    run = RunInMemory({f"in/{number}": b"x" for number in range(4)}, IN_PARTS)
    run.plan()
    run.migrate(0)
    run.migrate(1)
    run.merge_part(0)
    with pytest.raises(MissingCommitError, match="shard 2 has no commit"):
        run.merge_part(1)


def test_a_part_stops_when_it_has_to() -> None:
    """SIGTERM ends it before the next shard, and it leaves no commit."""
    run = word_run()
    stop = Stop()
    stop.request("SIGTERM")
    with pytest.raises(StoppedError):
        run.merge_part(0, stop)
    assert run.file("parts/00000.json") is None


def test_what_is_no_part_is_refused() -> None:
    """A part that the plan does not have, and an array of another size."""
    run = word_run()
    with pytest.raises(InvalidRunRequest, match="0 to 4"):
        run.merge_part(5)
    with pytest.raises(InvalidRunRequest, match="AWS_BATCH_JOB_ARRAY_SIZE is 4"):
        run.merge_part(0, array_size=4)
    with pytest.raises(InvalidRunRequest, match="none: one job"):
        word_run(merge_limit_seconds=900).merge_part(0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"plan_digest": "sha256:other"}, RunIdentityError),
        ({"part": 3}, RunIdentityError),
        ({"merged_digest": "sha256:other"}, DamagedFileError),
        ({"partial": None}, DamagedFileError),
        ({"odd": 1}, DamagedFileError),
    ],
)
def test_a_commit_that_does_not_belong_is_refused(change: dict[str, Any], error: type[Exception]) -> None:
    """Another plan's, another part's, one of other partials, one that lost its own, and one that is none."""
    run = word_run()
    run.merge_part(0)
    commit = json.loads(run.file("parts/00000.json") or b"{}")
    store(run, "parts/00000.json", json.dumps({**commit, **change}).encode())
    with pytest.raises(error, match=r"parts/00000\.json"):
        run.merge()


def test_a_damaged_part_is_refused() -> None:
    """A part's file that is not as its commit says is named."""
    run = word_run()
    run.merge_part(0)
    uri = json.loads(run.file("parts/00000.json") or b"{}")["partial"]["uri"]
    store(run, uri.removeprefix(str(run.folder.root)), b"x\t1\n")
    with pytest.raises(DamagedFileError, match="is not the partial that was committed"):
        run.merge()


@given(shards=st.integers(0, 10_000), limit=st.integers(0, 10_000))
def test_there_are_as_many_parts_as_needed(shards: int, limit: int) -> None:
    """None, or as many as Batch takes in an array, each with two shards or more, and within the limit if it can be."""
    parts = parts_of_merge(Sizes({}).merge_seconds, shards, 0, limit)
    assert parts == 0 or 2 <= parts <= min(10_000, shards // 2)
    if limit and parts:
        assert shards > limit
        assert shards / parts <= limit or parts == shards // 2
    if limit >= shards:
        assert parts == 0


def test_only_workloads_that_say_so_are_merged_in_parts() -> None:
    """word-count can be; images and csv-to-dynamodb have counts that one job adds up in no time."""
    assert isinstance(load_workload("word-count", checked_options("word-count", {})), MergingInParts)
    assert parts_of_merge(None, 10_000, 2**50, 0) == 0


def test_word_count_knows_how_long_a_merge_takes() -> None:
    """10,000 shards of 256 MiB stay within a quarter of an hour; more in each, or a lower limit, makes parts."""
    workload = workload_records()["word-count"].merge_seconds
    assert parts_of_merge(workload, 10_000, 10_000 * 2**28, 900) == 0
    assert parts_of_merge(workload, 10_000, 10_000 * 2**28, 100) == 6
    assert parts_of_merge(workload, 10_000, 10_000 * 2**31, 900) == 2
    assert parts_of_merge(workload, 0, 0, 900) == 0


def test_a_part_is_named_or_left_to_batch() -> None:
    """`--part` alone takes the array index; without it, all is merged."""
    command = ["merge", "--plan", "s3://b/_millrace/r/plan.json"]
    assert parse_arguments(command).part is None
    assert parse_arguments([*command, "--part"]).part == FROM_ENVIRONMENT
    assert parse_arguments([*command, "--part", "7"]).part == 7
