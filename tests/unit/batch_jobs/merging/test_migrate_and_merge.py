"""A small run in one job: all shards, then the merge; it ends with a mark, or with an error."""

from __future__ import annotations

import json

import pytest

from batch_jobs.merging.migrate_and_merge import migrate_and_merge
from batch_jobs.stop import Stop
from millrace.errors import MillraceError, StoppedError, TooManyFailuresError
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
