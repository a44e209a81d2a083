"""`mirror`: outputs of items that are gone are deleted, those and no others, within the limit, behind the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace.errors import DamagedFileError, MirrorLimitError, TooManyFailuresError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.records.files import listed_shards
from millrace.records.outcome import Outcome
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

ALL = {"mirror": True, "mirror_limit_percent": 100}


def run_of(client: InMemoryS3Client | None = None, name: str = "base", **request: Any) -> RunInMemory:
    """A run in shards of three items, with run.json; on the S3 of an earlier run, and a day later, if that is given."""
    given: dict[str, Any] = {"folder": RunFolder.of(S3Uri(RESULT, "out/"), name)}
    given["request"] = {"shard": {"max_items": 3}, **request}
    if client is not None:
        before = sum(key.endswith("/plan.json") for key in client.bodies(RESULT, "out/"))
        given |= {"client": client, "ticks": before * 86_400}
    run = RunInMemory(**given)
    document = {"request": {"mirror": request.get("mirror", False)}}
    run.client.store(RESULT, run.folder.request.key, json.dumps(document).encode())
    return run


def migrated(run: RunInMemory) -> RunInMemory:
    """The run, planned, and worked where it has no commit."""
    made = run.plan()
    there = set(listed_shards(run.folder.commit, range(made.shards), run.job().s3))
    for index in range(made.shards):
        if index not in there:
            run.migrate(index)
    return run


def store(run: RunInMemory, keys: str, body: bytes = b"x") -> None:
    """Put objects into the source, named by one letter each."""
    for key in keys:
        run.client.store(SOURCE, f"in/{key}", body)


@pytest.fixture
def base() -> RunInMemory:
    """A run over nine items, a to i, with an output each, and objects of others between these."""
    run = run_of()
    store(run, "abcdefghi")
    migrated(run).merge()
    for key in ("out/e.size2", "out/foreign", "out/e", "elsewhere/e.size"):
        run.client.store(RESULT, key, b"other")
    return run


def outputs(run: RunInMemory) -> str:
    """Which items have an output, by their letters; nothing else may have gone."""
    there = run.outputs()
    assert {"e.size2", "foreign", "e"} <= set(there)
    assert "elsewhere/e.size" in run.client.bodies(RESULT)
    return "".join(key[0] for key in sorted(there) if key.endswith(".size"))


def test_outputs_of_what_is_gone_are_deleted(base: RunInMemory) -> None:
    """Those of two shards, one of which is kept no more; changed and new items keep theirs."""
    for key in "eh":
        base.client.remove(SOURCE, f"in/{key}")
    store(base, "az", b"new")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    assert outputs(base) == "abcdefghiz"
    run.merge()
    assert outputs(base) == "abcdfgiz"


def test_without_mirror_nothing_is_deleted(base: RunInMemory) -> None:
    """What is gone is counted and named, its output stays."""
    base.client.remove(SOURCE, "in/e")
    run = migrated(run_of(base.client, "next", reuse="latest"))
    run.merge()
    assert run.result()["reuse"]["removed"] == 1
    assert outputs(base) == "abcdefghi"


@pytest.mark.parametrize(("limit", "refused"), [(0, True), (22, True), (23, False), (100, False)])
def test_more_than_the_limit_stops_the_run_before_any_work(base: RunInMemory, *, limit: int, refused: bool) -> None:
    """Two of nine are 22.2 %: no plan is written, nothing is deleted, and the error names the limit that would do."""
    for key in "eh":
        base.client.remove(SOURCE, f"in/{key}")
    run = run_of(base.client, "next", reuse="latest", mirror=True, mirror_limit_percent=limit)
    if not refused:
        migrated(run).merge()
        assert outputs(base) == "abcdfgi"
        return
    with pytest.raises(MirrorLimitError, match=r"2 of 9 items of run base are gone \(22\.2 %\).*percent 23") as raised:
        run.plan()
    assert raised.value.exit_code == 2
    assert run.file("plan.json") is None
    assert outputs(base) == "abcdefghi"


def test_what_the_run_did_not_delete_is_deleted_later(base: RunInMemory) -> None:
    """A run that was refused is nobody's base: the next one, with a larger limit, knows all that is gone."""
    for key in "efgh":
        base.client.remove(SOURCE, f"in/{key}")
    with pytest.raises(MirrorLimitError):
        run_of(base.client, "second", reuse="latest", mirror=True).plan()
    base.client.remove(SOURCE, "in/a")
    migrated(run_of(base.client, "third", reuse="latest", **ALL)).merge()
    assert outputs(base) == "bcdi"


def test_an_output_that_another_row_names_stays(base: RunInMemory) -> None:
    """Where options let two items have one output: the new one's is not taken for the one that is gone."""
    base.client.remove(SOURCE, "in/e")
    edit_commit(base, 1, lambda one: replace(one, outputs=(f"s3://{RESULT}/out/z.size",)) if one.key == "in/e" else one)
    store(base, "z", b"new")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    run.merge()
    assert outputs(base) == "abcdefghiz"


@pytest.mark.parametrize(
    "output",
    [f"s3://{RESULT}/out/_millrace/base/result.json", "s3://other/e.size", f"s3://{RESULT}/elsewhere/e.size", "e.size"],
)
def test_nothing_outside_the_destinations_outputs_is_deleted(base: RunInMemory, output: str) -> None:
    """Whatever a commit names: a run folder's file, another bucket's object, another folder's, or no object at all."""
    edit_commit(base, 1, lambda one: replace(one, outputs=(output,)) if one.key == "in/e" else one)
    base.client.remove(SOURCE, "in/e")
    before = {key for key in base.client.bodies(RESULT) if "/next/" not in key}
    migrated(run_of(base.client, "next", reuse="latest", **ALL)).merge()
    assert before <= set(base.client.bodies(RESULT))


def test_an_output_written_since_stays(base: RunInMemory) -> None:
    """Another run, which began later, has the object again, and its output is new."""
    base.client.remove(SOURCE, "in/e")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    base.client._clock = lambda: datetime(2100, 1, 1, tzinfo=UTC)
    base.client.store(RESULT, "out/e.size", b"again")
    run.merge()
    assert outputs(base) == "abcdefghi"


def test_a_second_merge_deletes_what_the_first_one_left(base: RunInMemory) -> None:
    """One that died in between; until the end the run is no later run's base."""
    for key in "eh":
        base.client.remove(SOURCE, f"in/{key}")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    deleted: list[str] = []

    def die(verb: str, _bucket: str, key: str) -> None:
        if verb == "delete_object" and key.endswith(".size"):
            deleted.append(key)
            if len(deleted) == 2:
                raise KeyboardInterrupt

    base.client.before = die
    with pytest.raises(KeyboardInterrupt):
        run.merge()
    base.client.before = lambda *_call: None
    assert run.file("_SUCCESS") is not None
    assert b'"next"' not in base.client.bodies(RESULT)["out/_millrace/latest.json"]
    run.merge()
    assert outputs(base) == "abcdfgi"
    assert b'"next"' in base.client.bodies(RESULT)["out/_millrace/latest.json"]


def test_a_run_with_too_many_failures_deletes_nothing_until_it_is_accepted(base: RunInMemory) -> None:
    """Its result counts only then; so it is with a rerun of the failed items."""
    base.client.remove(SOURCE, "in/e")
    store(base, "z", b"bad")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    with pytest.raises(TooManyFailuresError):
        run.merge()
    assert outputs(base) == "abcdefghi"
    store(base, "z", b"good")
    rerun = run.retry()
    rerun.plan()
    rerun.migrate(0)
    rerun.merge()
    assert outputs(base) == "abcdfghiz"


def test_another_list_of_what_is_gone_is_refused(base: RunInMemory) -> None:
    """The plan names it by its digest: nothing is deleted by a list that somebody else put there."""
    base.client.remove(SOURCE, "in/e")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    (key,) = base.client.bodies(RESULT, "out/_millrace/next/plan/removed.")
    base.client.store(RESULT, key, b'{"key":"in/a","retry":0,"shard":0}\n')
    with pytest.raises(DamagedFileError, match=r"not the list that plan\.json names"):
        run.merge()
    assert outputs(base) == "abcdefghi"


def test_a_base_that_has_expired_meanwhile_leaves_its_outputs(base: RunInMemory) -> None:
    """What its commits named is not known any more; the run succeeds all the same."""
    base.client.remove(SOURCE, "in/e")
    run = migrated(run_of(base.client, "next", reuse="latest", **ALL))
    for key in base.client.bodies(RESULT, "out/_millrace/base/shards/"):
        base.client.remove(RESULT, key)
    run.merge()
    assert run.file("_SUCCESS") is not None
    assert outputs(base) == "abcdefghi"


def edit_commit(run: RunInMemory, index: int, change: Callable[[Outcome], Outcome]) -> None:
    """Write a commit anew with changed outcomes, and with a digest that fits."""
    key = run.folder.commit(index).key
    commit = Commit.from_json(run.client.bodies(RESULT)[key], key)
    run.client.store(RESULT, key, replace(commit, outcomes=tuple(map(change, commit.outcomes))).to_json())
