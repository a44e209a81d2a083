"""Retrying failed items: plan, migrate and merge in a folder of their own, and one result at a time for readers."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.errors import (
    AccessDeniedError,
    DamagedFileError,
    MissingCommitError,
    RunIdentityError,
    StorageError,
    TooManyFailuresError,
)
from millrace.layout import S3Uri
from millrace.records.plan import Item, Shard
from tests.in_memory_s3 import error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

GOOD = {f"in/{number:02}": b"x" * number for number in range(8)}


def with_failures(**request: Any) -> RunInMemory:
    """A run of twelve items in shards of two, all worked: bad, changed, denied and gone are failed."""
    objects = {**GOOD, "in/bad": b"bad", "in/changed": b"1", "in/denied": b"22", "in/gone": b"333"}
    run = RunInMemory(objects, {"shard": {"max_items": 2}, **request})
    plan = run.plan()
    run.client.store(SOURCE, "in/changed", b"4444")
    run.client.denied.add((SOURCE, "in/denied"))
    run.client.remove(SOURCE, "in/gone")
    for index in range(plan.shards):
        run.migrate(index, job_id=f"base:{index}")
    return run


def merged_with_failures() -> RunInMemory:
    """The same, merged: 8 of 12 succeeded."""
    run = with_failures(tolerated_failure_percent=100)
    run.merge()
    return run


def worked(run: RunInMemory, number: int = 1) -> RunInMemory:
    """A retry that is planned and migrated."""
    retry = run.retry(number)
    for index in range(retry.plan().shards):
        retry.migrate(index, job_id=f"retry{number}:{index}")
    return retry


def planned(retry: RunInMemory) -> list[Item]:
    """The items of a retry's plan."""
    plan = retry.plan()
    items: list[Item] = []
    for index in range(plan.shards):
        uri = retry.folder.shard_items(index, plan.digest)
        lines = retry.client.bodies(RESULT)[uri.key].split(b"\n")[:-1]
        items += Shard.from_lines(index, lines, str(uri)).items
    return items


def at(run: RunInMemory, uri: str) -> bytes:
    """What is at a URI."""
    return run.client.bodies(RESULT)[S3Uri.parse(uri).key]


def rows(run: RunInMemory) -> list[dict[str, str]]:
    """The report that the run's result names."""
    return list(csv.DictReader(io.StringIO(at(run, run.result()["report"]).decode(), newline="")))


def check_whole(run: RunInMemory) -> tuple[int, str]:
    """See that every file which result.json names is there, with the digest that it says; returns what it is of."""
    result = run.result()
    uris = {**result["files"], "report.csv": result["report"], "failures.jsonl": result["failure_rows"]}
    assert uris.keys() == result["digests"].keys()
    for name, uri in uris.items():
        assert f"sha256:{hashlib.sha256(at(run, uri)).hexdigest()}" == result["digests"][name]
    assert len(rows(run)) == result["counts"]["items"]
    return (result["retry"] or {"number": 0})["number"], result["status"]


def test_failed_items_are_planned_as_they_are_now() -> None:
    """The items are the failed rows in their order: the changed one with its new ETag, the gone one as it was."""
    run = merged_with_failures()
    before = {item.key: item for item in planned(run)}
    run.client.requests.clear()
    items = planned(run.retry())

    assert [item.key for item in items] == ["in/bad", "in/changed", "in/denied", "in/gone"]
    assert items[1].size == 4
    assert items[1].etag != before["in/changed"].etag
    assert [items[0], *items[2:]] == [before[key] for key in ("in/bad", "in/denied", "in/gone")]
    assert run.client.requests["head_object"] == 0


def test_a_retry_replaces_the_failed_rows() -> None:
    """What succeeds now is in the result as if it never had failed; what fails again has its row anew."""
    run = merged_with_failures()
    base = run.run_files()
    run.client.denied.clear()
    run.client.store(SOURCE, "in/bad", b"good now")
    worked(run).merge()
    result = run.result()

    assert result["status"] == "SUCCEEDED_WITH_FAILURES"
    assert result["counts"] == {"items": 12, "succeeded": 11, "failed": 1, "bytes": 28 + 8 + 4 + 2, "shards": 6}
    assert result["failures"] == {"NOT_FOUND": 1}
    assert result["retry"] == {"number": 1, "items": 4, "succeeded": 3, "failed": 1}
    assert result["worked_by"] == {"base": {"shards": 6, "items": 12}, "retry1": {"shards": 2, "items": 4}}
    sizes = {**{key: len(body) for key, body in GOOD.items()}, "in/bad": 8, "in/changed": 4, "in/denied": 2}
    assert json.loads(at(run, result["files"]["sizes.json"])) == sizes
    assert [(row["Key"], row["TaskStatus"], row["Retry"]) for row in rows(run)] == [
        *((key, "succeeded", "") for key in GOOD),
        ("in/bad", "succeeded", "1"),
        ("in/changed", "succeeded", "1"),
        ("in/denied", "succeeded", "1"),
        ("in/gone", "failed", "1"),
    ]
    assert [json.loads(line)["key"] for line in at(run, result["failure_rows"]).splitlines()] == ["in/gone"]
    assert len(run.outputs()) == 11
    assert check_whole(run) == (1, "SUCCEEDED_WITH_FAILURES")
    changed = {key for key, digest in run.run_files().items() if key in base and digest != base[key]}
    assert changed == {run.folder.file("result.json").key}


def test_retries_follow_each_other() -> None:
    """The second retry works what the first one left, and its report says which row comes from where."""
    run = merged_with_failures()
    run.client.denied.clear()
    worked(run).merge()
    run.client.store(SOURCE, "in/gone", b"is back")
    second = worked(run, 2)
    assert [item.key for item in planned(second)] == ["in/bad", "in/gone"]
    second.merge()
    result = run.result()

    assert result["counts"]["failed"] == 1
    assert result["retry"] == {"number": 2, "items": 2, "succeeded": 1, "failed": 1}
    assert {row["Key"]: row["Retry"] for row in rows(run)[8:]} == {
        "in/bad": "2",
        "in/changed": "1",
        "in/denied": "1",
        "in/gone": "2",
    }
    assert json.loads(at(run, result["files"]["sizes.json"])).keys() >= {"in/gone", "in/changed"}
    assert check_whole(run) == (2, "SUCCEEDED_WITH_FAILURES")


@pytest.mark.parametrize("earlier", [True, False])
def test_readers_see_one_result_at_a_time(earlier: bool) -> None:  # noqa: FBT001
    """After every single write of a retry's merge, result.json is whole: first the earlier one, then the new one."""
    run = merged_with_failures() if earlier else with_failures()
    if not earlier:
        with pytest.raises(TooManyFailuresError):
            run.merge()
    run.client.denied.clear()
    retry = worked(run)
    seen: list[tuple[int, str]] = []
    written: list[str] = []

    def look(verb: str, _bucket: str, key: str, _answer: object) -> None:
        if verb == "put_object":
            written.append(key.removeprefix(run.folder.root.key))
            seen.append(check_whole(run))

    run.client.after = look
    retry.merge(100)

    new = (1, "SUCCEEDED_WITH_FAILURES")
    assert seen.index(new) == written.index("result.json") == 5
    assert set(seen[:5]) == {(0, "SUCCEEDED_WITH_FAILURES" if earlier else "FAILED")}
    assert set(seen[5:]) == {new}
    marks = ["retries/001/_SUCCESS"] if earlier else ["_SUCCESS", "retries/001/_SUCCESS"]
    assert [name for name in written[6:] if run.file(name) is not None][-len(marks) :] == marks


@pytest.mark.parametrize("writes", range(8))
def test_a_merge_of_a_retry_that_dies_is_made_good(writes: int) -> None:
    """Killed at any of its writes, it leaves a whole result; the next attempt gives an undisturbed merge's bytes."""
    undisturbed = with_failures()
    worked(undisturbed).merge(100)
    run = with_failures()
    with pytest.raises(TooManyFailuresError):
        run.merge()
    retry = worked(run)
    left = [writes]

    def refuse(verb: str, _bucket: str, _key: str) -> None:
        if verb == "put_object":
            left[0] -= 1
            if left[0] < 0:
                raise error("AccessDenied", 403)

    run.client.before = refuse
    with pytest.raises(StorageError):
        retry.merge(100)
    check_whole(run)
    run.client.before = lambda *_call: None
    retry.merge(100)

    check_whole(run)
    kept = {key: digest for key, digest in run.run_files().items() if "/shards/" not in key and "plan.json" not in key}
    alike = undisturbed.run_files()
    timed = {run.folder.file("result.json").key, retry.folder.file("result.json").key}
    assert {key: kept[key] for key in kept if key in alike and key not in timed} == {
        key: alike[key] for key in kept if key in alike and key not in timed
    }
    assert retry.file("_SUCCESS")


def test_a_retry_with_too_many_failures_leaves_the_result() -> None:
    """Beyond the tolerance, a retry has its own report; what readers see is as it was, until it is accepted."""
    run = merged_with_failures()
    before = run.file("result.json")
    retry = worked(run)
    with pytest.raises(TooManyFailuresError, match=r"3 of 12 items failed .*retries/001/report.csv"):
        retry.merge(0)

    assert run.file("result.json") == before
    assert json.loads(retry.file("result.json") or b"")["status"] == "FAILED"
    assert retry.file("_SUCCESS") is None
    retry.merge(25)
    assert check_whole(run) == (1, "SUCCEEDED_WITH_FAILURES")


def test_a_failed_run_is_complete_after_a_good_retry() -> None:
    """A run with too many failures has no mark; a retry within the tolerance gives it a result, and then the mark."""
    run = with_failures(tolerated_failure_count=2)
    with pytest.raises(TooManyFailuresError):
        run.merge()
    run.client.denied.clear()
    retry = worked(run)
    retry.merge()

    assert run.file("_SUCCESS") == f"{run.plan().digest}\n".encode()
    assert check_whole(run) == (1, "SUCCEEDED_WITH_FAILURES")
    files = run.run_files()
    run.merge()
    retry.merge()
    assert run.run_files() == files


def test_a_late_merge_of_the_run_does_not_undo_a_retry() -> None:
    """A copy of the first merge that was held up before its result.json finds the retry's there, and leaves it."""
    run = with_failures(tolerated_failure_percent=100)

    def meanwhile(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key == run.folder.file("result.json").key:
            run.client.before = lambda *_call: None
            worked(run).merge()

    run.client.before = meanwhile
    run.merge()

    assert check_whole(run)[0] == 1


def test_a_late_merge_of_a_retry_does_not_undo_the_next() -> None:
    """The same between two retries."""
    run = merged_with_failures()
    first = worked(run)

    def meanwhile(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key == run.folder.file("result.json").key:
            run.client.before = lambda *_call: None
            run.client.denied.clear()
            worked(run, 2).merge()

    run.client.before = meanwhile
    first.merge()

    assert check_whole(run)[0] == 2


def test_a_late_copy_of_a_child_leaves_the_outputs_of_a_retry() -> None:
    """A child of the run's first try, run again when a retry has made good its failed item, deletes nothing of it."""
    run = merged_with_failures()
    run.client.denied.clear()
    retry = worked(run)
    made = run.outputs()
    assert "denied.size" in made
    for index in range(6):
        run.migrate(index)

    assert run.outputs() == made
    retry.merge()
    assert run.outputs() == made


def test_copies_of_the_plan_job_agree() -> None:
    """The retry's first plan wins, however the objects change afterwards."""
    run = merged_with_failures()
    plan = run.retry().plan()
    run.client.store(SOURCE, "in/gone", b"is back")

    assert run.retry().plan() == plan
    retry = worked(run)
    retry.merge()
    assert run.result()["failures"] == {"ACCESS_DENIED": 1, "NOT_TEXT": 1, "SOURCE_CHANGED": 1}


def test_nothing_to_retry_is_no_error() -> None:
    """A retry of a run without failures has no shards, and the result is what it was."""
    run = RunInMemory(GOOD)
    run.all()
    sizes = run.file("sizes.json")
    retry = worked(run)
    retry.merge()

    assert retry.plan().shards == 0
    assert run.result()["retry"] == {"number": 1, "items": 0, "succeeded": 0, "failed": 0}
    assert at(run, run.result()["files"]["sizes.json"]) == sizes
    assert check_whole(run) == (1, "SUCCEEDED")


def test_many_denied_items_do_not_stop_a_retry() -> None:
    """Twenty denied items in a row say that a source is denied, but not in a retry, where nothing else is left."""
    objects = {f"in/{number:03}": b"x" for number in range(60)}
    run = RunInMemory(objects, {"tolerated_failure_percent": 100})
    run.plan()
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(1, 60)}
    run.migrate()
    run.merge()
    retry = worked(run)
    retry.merge()

    assert run.result()["failures"] == {"ACCESS_DENIED": 59}
    fresh = RunInMemory(objects)
    fresh.plan()
    fresh.client.denied |= {(SOURCE, key) for key in objects}
    with pytest.raises(AccessDeniedError):
        fresh.migrate()


def test_a_range_stays_of_the_version_that_was_planned() -> None:
    """Other ranges of a changed object may be in the result: the sum of two versions would be no one's word count."""

    class Halves(Sizes):
        """Sizes, of objects that may be cut."""

        def splits(self, _key: str) -> bool:
            """Any."""
            return True

    body = b"x" * 2_097_152
    run = RunInMemory({"in/large": body}, {"shard": {"target_bytes": 1}, "tolerated_failure_percent": 100})
    run.load = lambda _name, options: Halves(options)
    plan = run.plan()
    assert plan.items == 2
    run.client.store(SOURCE, "in/large", b"y" + body)
    for index in range(2):
        run.migrate(index)
    run.merge()
    assert run.result()["failures"] == {"SOURCE_CHANGED": 2}

    retry = run.retry()
    retry.load = run.load
    assert planned(retry) == planned(run)
    for index in range(2):
        retry.migrate(index)
    retry.merge()
    assert run.result()["failures"] == {"SOURCE_CHANGED": 2}


def test_an_unfinished_run_cannot_be_retried() -> None:
    """Where a shard has no commit, nobody knows what failed."""
    run = RunInMemory(GOOD, {"shard": {"max_items": 2}})
    run.plan()
    run.migrate(0)
    with pytest.raises(MissingCommitError, match="3 of 4 shards have no commit: 1, 2, 3"):
        run.retry().plan()


def test_an_unfinished_retry_cannot_be_merged() -> None:
    """A shard of the retry that is missing is named."""
    run = merged_with_failures()
    retry = run.retry()
    retry.plan()
    retry.migrate(1)
    with pytest.raises(MissingCommitError, match="1 of 2 shards have no commit: 0"):
        retry.merge()

    assert check_whole(run)[0] == 0


def test_a_retry_is_of_the_same_code_version_and_request() -> None:
    """Rows and partials of two versions, or of two requests, make no result: what differs is named."""
    run = merged_with_failures()
    with pytest.raises(RunIdentityError, match=r"made by version .*, this is 9\.9"):
        run.retry().plan(code_version="9.9")
    other = run.retry()
    other.request = {**run.request, "exclude": ["*bad*"]}
    with pytest.raises(RunIdentityError, match=r"exclude was \[\], is \['\*bad\*'\]"):
        other.plan()
    worked(run)
    with pytest.raises(RunIdentityError, match=r"this is 9\.9"):
        run.retry().migrate(0, code_version="9.9")


def test_a_retry_of_another_plan_is_refused() -> None:
    """A retry's plan names the plan before it, so a folder that was put together from two runs is found out."""
    run = merged_with_failures()
    retry = worked(run)
    other = RunInMemory(GOOD, {"shard": {"max_items": 3}})
    other.all()
    run.client.store(RESULT, run.folder.plan.key, other.file("plan.json") or b"")
    with pytest.raises(RunIdentityError, match="the plan before it is"):
        retry.merge()


@pytest.mark.parametrize("foreign", [["in/b"], ["in/a", "in/b"], []])
def test_rows_that_are_not_the_failed_ones_are_damage(foreign: list[str]) -> None:
    """A retry that another run over the same plan has made, of its own failed rows, is not merged into this one."""
    request = {"shard": {"max_items": 2}, "tolerated_failure_percent": 100}
    objects = {"in/a": b"1", "in/b": b"22", "in/c": b"333"}
    run, other = RunInMemory(objects, request), RunInMemory(objects, request)
    run.client.denied.add((SOURCE, "in/a"))
    other.client.denied |= {(SOURCE, key) for key in foreign}
    assert run.all().digest == other.all().digest
    worked(other)
    for key, body in other.client.bodies(RESULT, other.folder.of_retry(1).root.key).items():
        run.client.store(RESULT, key, body)
    with pytest.raises(DamagedFileError, match="its items are not the failed ones of the plans before it"):
        run.retry().merge()

    assert check_whole(run)[0] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=4), st.integers(1, 5), st.sampled_from([1, 3]))
def test_any_failures_in_any_retries_add_up(bad: list[set[int]], max_items: int, concurrency: int) -> None:
    """Whatever fails in whichever retry, each item has one row, and the sum is that of the items which succeeded."""
    run = RunInMemory(
        {f"in/{number:02}": b"x" * (number + 1) for number in range(12)},
        {"shard": {"max_items": max_items}, "tolerated_failure_percent": 100},
        concurrency,
    )
    failed = set(range(12))
    for number, these in enumerate(bad):
        generation = run if number == 0 else run.retry(number)
        run.client.denied = {(SOURCE, f"in/{item:02}") for item in these}
        plan = generation.plan()
        for index in range(plan.shards):
            generation.migrate(index)
        generation.merge()
        assert plan.items == len(failed)
        failed &= these
    result = run.result()
    sizes = json.loads(at(run, result["files"]["sizes.json"]))

    assert sizes == {f"in/{item:02}": item + 1 for item in range(12) if item not in failed}
    assert [row["Key"] for row in rows(run) if row["TaskStatus"] == "failed"] == [
        f"in/{item:02}" for item in sorted(failed)
    ]
    assert check_whole(run)[0] == len(bad) - 1
