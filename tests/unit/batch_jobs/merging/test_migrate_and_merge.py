"""A small run in one job: all shards, then the merge; it ends with a mark, or with an error."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from batch_jobs.merging.migrate_and_merge import migrate_and_merge
from batch_jobs.stop import Stop
from millrace.errors import MillraceError, StoppedError, TooManyFailuresError
from millrace.layout import S3Uri
from millrace.records.latest import read_latest
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

OBJECTS = {f"in/{number}": b"x" * number for number in range(6)}
SHARDS = {"shard": {"max_items": 1}}


def test_one_job_does_what_three_did() -> None:
    """Every file but the page and the commits' times is byte for byte that of a run job by job."""
    one, three = RunInMemory(OBJECTS, SHARDS), RunInMemory(OBJECTS, SHARDS)
    one.plan()
    migrate_and_merge(one.folder, one.job())
    three.all()
    assert one.outputs() == three.outputs()
    assert one.file("sizes.json") == three.file("sizes.json")
    assert one.file("_SUCCESS") == three.file("_SUCCESS") is not None
    assert one.run_files().keys() == three.run_files().keys()


def test_what_is_committed_is_not_worked_again() -> None:
    """A second attempt reads the items of what is left alone, and merges."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    run.migrate(0)
    run.migrate(3)
    read: list[str] = []
    run.client.before = lambda verb, bucket, key: read.append(key) if (verb, bucket) == ("get_object", SOURCE) else None
    migrate_and_merge(run.folder, run.job())
    assert sorted(read) == ["in/1", "in/2", "in/4", "in/5"]
    assert run.file("_SUCCESS") is not None


def test_it_hands_nothing_back() -> None:
    """However slow the shards are beside what was thought, and however many slots are free, it works them all."""
    times = iter(range(0, 10**9, 4000))
    run = RunInMemory(OBJECTS, SHARDS, clock=lambda: float(next(times)))
    run.plan()
    migrate_and_merge(run.folder, run.job(slots=1000))
    assert run.result()["counts"]["succeeded"] == 6
    assert run.file("_SUCCESS") is not None


def test_a_job_that_has_to_stop_ends_with_1() -> None:
    """With no result: the next attempt continues."""
    stop = Stop(wait=lambda _seconds: None)
    stop.request("SIGTERM")
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    with pytest.raises(StoppedError) as raised:
        migrate_and_merge(run.folder, run.job(stop))
    assert raised.value.exit_code == 1
    assert run.file("result.json") is None
    migrate_and_merge(run.folder, run.job())
    assert run.file("_SUCCESS") is not None


def test_more_failures_than_tolerated_end_with_3() -> None:
    """With _INCOMPLETE; the same job with another tolerance accepts them, and takes the mark off."""
    run = RunInMemory({**OBJECTS, "in/bad": b"bad"}, SHARDS)
    run.plan()
    with pytest.raises(TooManyFailuresError) as raised:
        migrate_and_merge(run.folder, run.job())
    assert raised.value.exit_code == 3
    assert run.file("_INCOMPLETE") is not None
    migrate_and_merge(run.folder, run.job(), None, 1)
    assert run.file("_INCOMPLETE") is None
    assert json.loads(run.file("result.json") or b"")["counts"]["failed"] == 1


def test_a_shard_that_breaks_leaves_no_result() -> None:
    """The others are worked, its error ends the job, and nothing is merged; once it is mended the next attempt is."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    run.client.denied.add((RESULT, run.folder.commit(2).key))
    with pytest.raises(MillraceError):
        migrate_and_merge(run.folder, run.job())
    assert run.file("result.json") is None
    run.client.denied.clear()
    migrate_and_merge(run.folder, run.job())
    assert run.file("_SUCCESS") is not None


def test_a_small_job_does_what_a_full_one_does() -> None:
    """In its first attempt."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    migrate_and_merge(run.folder, run.job(job_id="small"), size="small")
    assert run.file("_SUCCESS") is not None
    assert run.file("claims/handed-back-small") is None


def test_a_second_attempt_of_a_small_job_hands_back() -> None:
    """It reads no item and merges nothing, whatever is there: the mark that it leaves names the job."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    run.migrate(0)
    wrote: list[str] = []
    run.client.before = lambda verb, _bucket, key: wrote.append(key) if verb == "put_object" else None
    migrate_and_merge(run.folder, run.job(job_id="small", attempt=2), size="small")
    assert wrote == [run.folder.handed_back("small").key]
    assert json.loads(run.file("claims/handed-back-small") or b"")["job"] == "small"
    migrate_and_merge(run.folder, run.job(job_id="full", attempt=2))
    assert run.result()["counts"]["succeeded"] == 6


def test_the_pace_of_a_small_job_is_that_of_a_full_one() -> None:
    """Its seconds count a quarter: the next run is sized by what a child of one vCPU takes. A few say nothing."""
    paces = []
    for size, step in (("full", 20.0), ("small", 80.0), ("small", 8.0)):
        run = RunInMemory(OBJECTS)
        run.plan()
        dates = (datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=step * tick) for tick in itertools.count())
        migrate_and_merge(run.folder, replace(run.job(), now=partial(next, dates)), size=size)
        (latest,) = read_latest(S3Uri(RESULT, "out/"), run.job().s3)
        paces.append(latest.pace)
    assert paces[0] == paces[1] is not None
    assert paces[2] is None


def child(run: RunInMemory, index: int, size: int = 3, attempt: int = 1, job: str = "array") -> None:
    """An attempt of a child of an array."""
    settings: dict[str, Any] = {
        "array_index": index,
        "array_size": size,
        "job_id": f"{job}:{index}",
        "attempt": attempt,
    }
    migrate_and_merge(run.folder, run.job(**settings))


def test_the_last_child_of_an_array_merges() -> None:
    """The first one helps until nothing is left and merges; the others find its claim. The bytes are a merge job's."""
    array, three = RunInMemory(OBJECTS, SHARDS), RunInMemory(OBJECTS, SHARDS)
    array.plan()
    wrote: list[str] = []
    array.client.before = lambda verb, _bucket, key: wrote.append(key) if verb == "put_object" else None
    for index in range(3):
        child(array, index)
    three.all()
    assert sum(key.endswith("/_SUCCESS") for key in wrote) == 1
    assert sum(key.endswith("/result.json") for key in wrote) == 1
    assert array.outputs() == three.outputs()
    assert array.file("sizes.json") == three.file("sizes.json")
    assert array.file("report.csv") == three.file("report.csv")


def test_a_child_that_leaves_something_merges_nothing() -> None:
    """As long as another child is at a shard, that one is the last."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    claim = {"job": "array:2", "child": 2, "attempt": 1, "at": run.job().timestamp()}
    run.client.store(RESULT, run.folder.claim(5).key, json.dumps(claim).encode())
    child(run, 0)
    assert run.file("result.json") is None
    child(run, 2, attempt=2)
    assert run.file("_SUCCESS") is not None


@pytest.mark.parametrize("at", ["sizes.json", "report.csv", "result.json", "_SUCCESS"])
def test_a_child_that_dies_as_it_merges_is_followed_by_its_next_attempt(at: str) -> None:
    """The claim of the dead attempt keeps the other children from merging, but not the next attempt of its own."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    run.client.denied.add((RESULT, run.folder.file(at).key))
    with pytest.raises(MillraceError):
        child(run, 0)
    run.client.denied.clear()
    child(run, 1)
    assert run.file("_SUCCESS") is None
    child(run, 0, attempt=2)
    assert run.file("_SUCCESS") is not None


def test_children_of_another_array_merge_whatever_is_claimed() -> None:
    """After a redrive the claim of the array before is a dead child's; two that merge change nothing."""
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()
    child(run, 0)
    before = run.run_files()
    child(run, 1, job="again")
    after = run.run_files()
    claim = run.folder.merge_claim.key
    assert {key for key in before | after if before.get(key) != after.get(key)} <= {claim}


def test_more_failures_than_tolerated_are_the_merge_jobs() -> None:
    """The child exits 0, and leaves _INCOMPLETE: no redrive has to start the whole array for it."""
    run = RunInMemory({**OBJECTS, "in/bad": b"bad"}, SHARDS)
    run.plan()
    child(run, 0)
    assert run.file("_INCOMPLETE") is not None
    assert run.file("_SUCCESS") is None
    with pytest.raises(TooManyFailuresError):
        run.merge()


def test_a_child_that_has_to_stop_does_not_merge() -> None:
    """It ends with exit code 1 before it writes a result, and its next attempt does it."""
    stop = Stop(wait=lambda _seconds: None)
    run = RunInMemory(OBJECTS, SHARDS)
    run.plan()

    def end_of_the_work(_verb: str, _bucket: str, key: str) -> None:
        if key == run.folder.merge_claim.key:
            stop.request("SIGTERM")

    run.client.before = end_of_the_work
    with pytest.raises(StoppedError):
        migrate_and_merge(run.folder, run.job(stop, array_index=0, array_size=2, job_id="array:0"))
    run.client.before = lambda *_call: None
    assert run.file("result.json") is None
    child(run, 0, 2, attempt=2)
    assert run.file("_SUCCESS") is not None
