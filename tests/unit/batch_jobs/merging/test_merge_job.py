"""The merge job: follows plan and commits, adds up or says why not, and marks the run once."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from millrace.errors import (
    DamagedFileError,
    InvalidRunRequest,
    MissingCommitError,
    RunIdentityError,
    StorageError,
    TooManyFailuresError,
)
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.request.run_request import checked_percent
from millrace.request.tolerance import Tolerance
from tests.in_memory_s3 import error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

ONE_EACH: dict[str, Any] = {"shard": {"max_items": 1}}


def objects(count: int) -> dict[str, bytes]:
    """Objects of 0, 1, 2, … bytes."""
    return {f"in/{number:03}": b"x" * number for number in range(count)}


def migrated(given: dict[str, bytes], **request: Any) -> RunInMemory:
    """A run whose shards all have their commits."""
    run = RunInMemory(given, {**ONE_EACH, **request})
    for index in range(run.plan().shards):
        run.migrate(index)
    return run


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_the_result_adds_up(count: int, concurrency: int) -> None:
    """0, 1, 2 and 40 shards: the result has every item once, and the files are where it says."""
    run = RunInMemory(objects(count), dict(ONE_EACH), concurrency)
    plan = run.all()
    result = run.result()

    assert result["status"] == "SUCCEEDED"
    assert result["counts"] == {
        "items": count,
        "succeeded": count,
        "failed": 0,
        "bytes": sum(range(count)),
        "shards": count,
    }
    assert result["result"] == {"total": sum(range(count))}
    assert result["files"] == {"sizes.json": "s3://result/out/_millrace/run/sizes.json"}
    assert json.loads(run.file("sizes.json") or b"") == {key: len(body) for key, body in objects(count).items()}
    assert run.file("failures.jsonl") == b""
    assert run.file("_SUCCESS") == f"{plan.digest}\n".encode()
    rows = list(csv.DictReader(io.StringIO((run.file("report.csv") or b"").decode(), newline="")))
    assert [row["Key"] for row in rows] == list(objects(count))


def test_the_mark_comes_last() -> None:
    """The workload's files, failures.jsonl, report.csv, report.html, result.json, _SUCCESS, in this order.

    Only then is the run kept among the destination's last ones, outside of its folder.
    """
    run = migrated(objects(2))
    written: list[str] = []
    run.client.before = lambda verb, _bucket, key: (
        written.append(key.rpartition("/")[2]) if verb == "put_object" else None
    )
    run.merge()

    assert written[:-1] == ["sizes.json", "failures.jsonl", "report.csv", "report.html", "result.json", "_SUCCESS"]
    assert written[-1] == "latest.json"


def test_a_repeated_merge_changes_nothing() -> None:
    """A merge that is submitted twice finds what it would write, and writes nothing; after a crash the mark alone."""
    run = migrated(objects(3))
    run.merge()
    files = run.run_files()
    written: list[str] = []
    run.client.after = lambda verb, _bucket, key, _answer: (
        written.append(key.rpartition("/")[2]) if verb == "put_object" else None
    )
    run.merge()
    assert written == []
    assert run.run_files() == files

    run.client.remove(RESULT, run.folder.file("_SUCCESS").key)
    run.merge()
    assert run.run_files() == files


def test_two_merges_at_once_are_harmless() -> None:
    """A second copy that finishes in between wrote what the first one is about to write."""
    run = migrated(objects(3))

    def other_copy(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith("report.csv"):
            run.client.before = lambda *_call: None
            run.merge()

    run.client.before = other_copy
    run.merge()
    files = run.run_files()
    alone = migrated(objects(3))
    alone.merge()

    assert {key: files[key] for key in files if "/shards/" not in key} == {
        key: digest for key, digest in alone.run_files().items() if "/shards/" not in key
    }


@pytest.mark.parametrize(
    "name", ["sizes.json", "failures.jsonl", "report.csv", "report.html", "result.json", "_SUCCESS"]
)
def test_a_merge_that_dies_leaves_no_mark(name: str) -> None:
    """Whichever file cannot be written, there is no _SUCCESS before all of them are there."""
    run = migrated(objects(2))

    def refuse(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith(name):
            raise error("AccessDenied", 403)

    run.client.before = refuse
    with pytest.raises(StorageError):
        run.merge()

    assert run.file("_SUCCESS") is None


def test_missing_commits_are_named() -> None:
    """A shard without a commit stops the merge; nothing is marked, and nothing of the result is written."""
    run = RunInMemory(objects(40), ONE_EACH)
    run.plan()
    for index in (0, 3, 39):
        run.migrate(index)
    with pytest.raises(MissingCommitError, match=r"37 of 40 shards have no commit: 1, 2, 4, .* and 17 more") as raised:
        run.merge()

    assert raised.value.exit_code == 1
    assert run.file("result.json") is None
    assert run.file("_SUCCESS") is None


def test_a_stray_commit_is_not_merged() -> None:
    """Files that the plan does not name do not count, whoever wrote them."""
    run = migrated(objects(2))
    run.client.store(RESULT, run.folder.commit(7).key, b"stray")
    run.client.store(RESULT, run.folder.root.key + "partials/00000.stray.json", b'{"stray": 1}')
    run.merge()

    assert run.result()["result"] == {"total": 1}


def test_a_failure_fails_a_strict_run() -> None:
    """By default no failure is tolerated: exit 3, what succeeded is merged and reported all the same, _INCOMPLETE."""
    run = migrated({**objects(3), "in/b": b"bad", "in/c": b"broken"})
    with pytest.raises(TooManyFailuresError, match=r"2 of 5 items failed \(NOT_TEXT 1, WORKLOAD_FAILED 1\)") as raised:
        run.merge()

    assert raised.value.message.endswith("To accept it, resume the run with --tolerated-failure-percent 40")

    assert raised.value.exit_code == 3
    result = run.result()
    assert (result["status"], result["result"], result["files"]) == (
        "FAILED",
        {"total": 3},
        {"sizes.json": "s3://result/out/_millrace/run/sizes.json"},
    )
    assert result["counts"]["failed"] == 2
    assert result["failures"] == {"NOT_TEXT": 1, "WORKLOAD_FAILED": 1}
    assert (run.file("report.csv") or b"").count(b"\r\n") == 6
    assert [json.loads(line)["key"] for line in (run.file("failures.jsonl") or b"").splitlines()] == ["in/b", "in/c"]
    assert json.loads(run.file("sizes.json") or b"") == {"in/000": 0, "in/001": 1, "in/002": 2}
    assert run.file("_INCOMPLETE")
    assert run.file("_SUCCESS") is None


def test_the_mark_of_an_incomplete_result_goes_when_it_is_accepted() -> None:
    """With the percentage that the error names the same result is complete: one mark at any time, never both."""
    run = migrated({**objects(2), "in/b": b"bad"})
    with pytest.raises(TooManyFailuresError) as raised:
        run.merge()
    before = run.result()
    run.merge(percent=float(raised.value.message.rpartition(" ")[2]))

    assert run.file("_INCOMPLETE") is None
    assert run.file("_SUCCESS")
    result = run.result()
    assert result.pop("content_digest") != before.pop("content_digest")
    assert result == {**before, "status": "SUCCEEDED_WITH_FAILURES"}


@pytest.mark.parametrize("at", ["/_INCOMPLETE", "/report.csv", "/result.json"])
def test_a_merge_that_fails_late_leaves_no_mark_beside_success(at: str) -> None:
    """A copy of merge that tolerates less, held up at any write, never leaves _INCOMPLETE beside _SUCCESS."""
    run = migrated({"in/a": b"1", "in/b": b"bad"})

    def accepted(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith(at):
            run.client.before = lambda *_call: None
            run.merge(100)

    run.client.before = accepted
    with pytest.raises(TooManyFailuresError):
        run.merge(0)

    assert run.file("_SUCCESS")
    assert run.file("_INCOMPLETE") is None


@pytest.mark.parametrize("percent", [100, None])
def test_an_accepted_merge_that_died_between_the_marks_is_made_good(percent: float | None) -> None:
    """Killed after _SUCCESS and before _INCOMPLETE is removed, the next merge removes it, whatever it tolerates."""
    run = migrated({"in/a": b"1", "in/b": b"bad"})
    with pytest.raises(TooManyFailuresError):
        run.merge()

    def refuse(verb: str, _bucket: str, _key: str) -> None:
        if verb == "delete_object":
            raise error("AccessDenied", 403)

    run.client.before = refuse
    with pytest.raises(StorageError):
        run.merge(100)
    run.client.before = lambda *_call: None
    run.merge(percent)

    assert run.file("_SUCCESS")
    assert run.file("_INCOMPLETE") is None


def test_a_mark_of_an_incomplete_result_that_names_another_plan_is_replaced() -> None:
    """Whatever is there under its name is compared, never believed."""
    run = migrated({"in/a": b"1", "in/b": b"bad"})
    run.client.store(RESULT, run.folder.file("_INCOMPLETE").key, b"sha256:another")
    with pytest.raises(TooManyFailuresError):
        run.merge()

    assert run.file("_INCOMPLETE") == f"{json.loads(run.file('plan.json') or b'')['digest']}\n".encode()


@over(items=st.integers(1, 10_000_000), share=st.floats(0, 1))
def test_the_percentage_that_accepts_is_just_enough(items: int, share: float) -> None:
    """Whatever the counts, the percentage that an error names accepts them, and hardly more."""
    failed = max(1, round(items * share))
    percent = float(Tolerance.accepting(failed, items))

    assert 0 <= percent <= 100
    assert Tolerance(percent, 0).allows(failed, items)
    assert percent <= failed * 100 / items * 1.1


@pytest.mark.parametrize(("percent", "fails"), [(39.9, True), (40, False), (100, False)])
def test_failures_within_the_tolerance(percent: float, fails: bool) -> None:  # noqa: FBT001
    """Two of five is 40 %: tolerated at 40, not just below; the result then says SUCCEEDED_WITH_FAILURES."""
    run = migrated({**objects(3), "in/b": b"bad", "in/c": b"bad"}, tolerated_failure_percent=percent)
    if fails:
        with pytest.raises(TooManyFailuresError):
            run.merge()
        return
    run.merge()

    assert run.result()["status"] == "SUCCEEDED_WITH_FAILURES"
    assert run.result()["result"] == {"total": 3}
    assert run.file("_SUCCESS")


def test_a_failed_run_can_be_accepted() -> None:
    """The same commits, merged again with more tolerance, give the result."""
    run = migrated({**objects(3), "in/b": b"bad"})
    with pytest.raises(TooManyFailuresError):
        run.merge()
    run.merge(percent=25)

    assert run.result()["status"] == "SUCCEEDED_WITH_FAILURES"
    with pytest.raises(InvalidRunRequest, match="0 to 100"):
        checked_percent(101)


@pytest.mark.parametrize(
    ("percent", "count", "fails"), [(0, 1, True), (0, 2, False), (39, 2, False), (40, 0, False), (39, 1, True)]
)
def test_the_larger_allowance_counts(percent: float, count: int, fails: bool) -> None:  # noqa: FBT001
    """Two of five may fail where either the share or the number allows it."""
    run = migrated(
        {**objects(3), "in/b": b"bad", "in/c": b"bad"},
        tolerated_failure_percent=percent,
        tolerated_failure_count=count,
    )
    if fails:
        with pytest.raises(TooManyFailuresError, match=f"{percent} %, or 1 items, are tolerated"):
            run.merge()
        run.merge(count=2)
    else:
        run.merge()

    assert run.result()["status"] == "SUCCEEDED_WITH_FAILURES"


def test_a_merge_that_fails_late_leaves_a_complete_result_alone() -> None:
    """A merge that tolerates nothing is held up before result.json, and one that tolerates all completes the run."""
    run = migrated({"in/a": b"1", "in/b": b"bad"})

    def accepted(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith("/result.json"):
            run.client.before = lambda *_call: None
            run.merge(100)

    run.client.before = accepted
    with pytest.raises(TooManyFailuresError):
        run.merge(0)

    assert run.file("_SUCCESS")
    assert run.result()["status"] == "SUCCEEDED_WITH_FAILURES"
    assert run.result()["files"]


def test_the_result_names_its_files_with_their_digests() -> None:
    """Whoever follows result.json can tell that a file is the one it means."""
    run = migrated(objects(2))
    run.merge()
    result = run.result()

    assert result["report"] == "s3://result/out/_millrace/run/report.csv"
    assert result["failure_rows"] == "s3://result/out/_millrace/run/failures.jsonl"
    assert result["retry"] is None
    for name in ("sizes.json", "report.csv", "failures.jsonl"):
        assert result["digests"][name] == f"sha256:{hashlib.sha256(run.file(name) or b'').hexdigest()}"


def test_the_result_says_which_job_worked_what() -> None:
    """Shards and items are counted by array job: children's ids are the array's, a colon and the index."""
    run = RunInMemory(objects(3), dict(ONE_EACH))
    run.plan()
    run.migrate(0, job_id="first:0")
    run.migrate(1, job_id="second:1")
    run.migrate(2, job_id="second:2")
    run.merge()

    assert run.result()["worked_by"] == {"first": {"shards": 1, "items": 1}, "second": {"shards": 2, "items": 2}}


def test_a_damaged_partial_is_no_result() -> None:
    """A partial that is not what its commit names stops the merge."""
    run = migrated(objects(2))
    key = next(iter(run.client.bodies(RESULT, run.folder.root.key + "partials/")))
    run.client.store(RESULT, key, b"{}")
    with pytest.raises(DamagedFileError, match="not the partial that was committed"):
        run.merge()

    assert run.file("_SUCCESS") is None


def test_commits_that_do_not_add_up_are_no_result() -> None:
    """A shard that worked other items than the planned ones is found out by the plan's digest."""
    run = RunInMemory(objects(2), ONE_EACH)
    plan = run.plan()
    uri = run.folder.shard_items(1, plan.digest)
    run.client.store(RESULT, uri.key, run.client.bodies(RESULT)[run.folder.shard_items(0, plan.digest).key])
    run.migrate(0)
    run.migrate(1)
    with pytest.raises(DamagedFileError, match="do not add up to the plan"):
        run.merge()

    assert run.file("_SUCCESS") is None


def test_a_commit_in_anothers_place_is_refused() -> None:
    """The commit of shard 0 does not stand for shard 1."""
    run = migrated(objects(2))
    run.client.store(RESULT, run.folder.commit(1).key, run.file("shards/00000.json") or b"")
    with pytest.raises(RunIdentityError, match="it commits shard 0"):
        run.merge()


def test_an_altered_commit_is_refused() -> None:
    """A commit that someone has edited is damage, not data."""
    run = migrated(objects(1))
    text = run.file("shards/00000.json") or b""
    run.client.store(RESULT, run.folder.commit(0).key, text.replace(b'"succeeded":1', b'"succeeded":2'))
    with pytest.raises(DamagedFileError, match="not as it was written"):
        run.merge()


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _body: b"",
    "half": lambda body: body[: len(body) // 2],
    "a byte more": lambda body: body + b" ",
    "another byte": lambda body: body[:-2] + b"?" + body[-1:],
    "another document": lambda _body: b'{"status": "SUCCEEDED", "retry": {"number": 999}}',
}


def edited(body: bytes, **given: Any) -> bytes:
    """A result.json of which somebody changed something; as bytes that merge itself could have written."""
    return json.dumps({**json.loads(body), **given}, ensure_ascii=False, indent=2).encode() + b"\n"


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize(
    "name", ["sizes.json", "failures.jsonl", "report.csv", "report.html", "result.json", "_SUCCESS"]
)
def test_a_damaged_file_of_a_complete_run_is_made_good(name: str, forgery: str) -> None:
    """Whatever became of a file of the result, merging again gives the bytes that plan and commits give."""
    run = migrated({**objects(3), "in/b": b"bad"}, tolerated_failure_percent=50)
    run.merge()
    files = run.run_files()
    run.client.store(RESULT, run.folder.file(name).key, FORGERIES[forgery](run.file(name) or b""))
    run.merge()

    assert run.run_files() == files


@pytest.mark.parametrize(
    "given",
    [
        {"counts": {"items": 12, "succeeded": 999, "failed": 0, "bytes": 1, "shards": 4}},
        {"status": "FAILED"},
        {"result": {"total": 1_000_000}},
        {"retry": {"number": 1, "items": 1, "succeeded": 1, "failed": 0}},
        {"retry": {"number": 999_999}},
        {"retry": {"number": "1"}},
        {"retry": {"number": -1}},
        {"digests": {}},
        {"files": {"sizes.json": "s3://elsewhere/sizes.json"}},
        {"finished_at": "2027-01-01"},
    ],
)
def test_a_forged_result_is_not_believed(given: dict[str, Any]) -> None:
    """999 of 12 succeeded, another total, a retry that never was: merging again says what the commits say."""
    run = migrated(objects(4))
    run.merge()
    files = run.run_files()
    run.client.store(RESULT, run.folder.file("result.json").key, edited(run.file("result.json") or b"", **given))
    run.merge()

    assert run.run_files() == files


def test_a_consistent_forgery_is_not_believed() -> None:
    """A merged file and its digest in result.json, changed together: the partials say what the file is."""
    run = migrated(objects(4))
    run.merge()
    files, forged = run.run_files(), b'{"in/000": 1000}'
    digests = {**run.result()["digests"], "sizes.json": f"sha256:{hashlib.sha256(forged).hexdigest()}"}
    run.client.store(RESULT, run.folder.file("sizes.json").key, forged)
    run.client.store(
        RESULT, run.folder.file("result.json").key, edited(run.file("result.json") or b"", digests=digests)
    )
    run.merge()

    assert run.run_files() == files


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("names", [["_SUCCESS"], ["result.json"], ["_SUCCESS", "result.json"]])
def test_a_failed_run_cannot_be_declared_a_success(names: list[str], merged: bool) -> None:  # noqa: FBT001
    """_SUCCESS, or a result that says SUCCEEDED, put beside a run with too many failures: it fails all the same."""
    run = migrated({**objects(3), "in/b": b"bad"})
    if merged:
        with pytest.raises(TooManyFailuresError):
            run.merge()
    genuine = run.run_files()
    digest = json.loads(run.file("plan.json") or b"")["digest"]
    said = edited(run.file("result.json") or b"{}", status="SUCCEEDED", files={}, retry=None)
    for name, body in (("_SUCCESS", f"{digest}\n".encode()), ("result.json", said)):
        if name in names:
            run.client.store(RESULT, run.folder.file(name).key, body)
    with pytest.raises(TooManyFailuresError):
        run.merge()

    assert run.result()["status"] == "FAILED"
    assert run.file("_INCOMPLETE")
    assert not merged or run.file("result.json") is not None
    if merged:
        assert {**run.run_files(), **genuine} == run.run_files()


def test_an_edited_status_is_no_acceptance() -> None:
    """A result with too many failures has all that an accepted one has; its status edited does not make it one."""
    run = migrated({**objects(3), "in/b": b"bad"})
    with pytest.raises(TooManyFailuresError):
        run.merge()
    genuine = run.run_files()
    said = edited(run.file("result.json") or b"", status="SUCCEEDED_WITH_FAILURES")
    run.client.store(RESULT, run.folder.file("result.json").key, said)
    run.client.store(RESULT, run.folder.file("_SUCCESS").key, f"{run.result()['plan_digest']}\n".encode())
    with pytest.raises(TooManyFailuresError):
        run.merge()

    assert {key: digest for key, digest in run.run_files().items() if not key.endswith("/_SUCCESS")} == genuine


def test_a_run_without_its_commits_is_not_complete_because_it_is_marked() -> None:
    """_SUCCESS and result.json in the folder of a run that was never worked: merge still asks for the commits."""
    whole = migrated(objects(3))
    whole.merge()
    run = RunInMemory(objects(3), dict(ONE_EACH))
    run.plan()
    for name in ("_SUCCESS", "result.json", "sizes.json", "report.csv"):
        run.client.store(RESULT, run.folder.file(name).key, whole.file(name) or b"")
    with pytest.raises(MissingCommitError):
        run.merge()


def test_an_accepted_run_stays_accepted_and_is_made_good() -> None:
    """Accepted by a higher tolerance, then merged again with the plan's: complete, also where its page was damaged."""
    run = migrated({**objects(3), "in/b": b"bad"})
    run.merge(percent=25)
    files = run.run_files()
    for name in ("report.html", "report.csv", "sizes.json"):
        run.client.store(RESULT, run.folder.file(name).key, b"damaged")
        run.merge()
        assert run.run_files() == files


def test_a_commit_that_lost_its_partial_is_refused() -> None:
    """Two items succeeded, it says, and names nothing that holds their results: a digest made to fit does not help."""
    run = migrated(objects(1))
    commit = Commit.from_json(run.file("shards/00000.json") or b"", "c")
    run.client.store(RESULT, run.folder.commit(0).key, replace(commit, partial=None).to_json())
    with pytest.raises(DamagedFileError, match="partial do not fit"):
        run.merge()


def test_a_shard_without_success_has_no_partial() -> None:
    """Where every item failed there is nothing to merge, and the others' result is complete."""
    run = migrated({"in/a": b"bad", "in/b": b"22"}, tolerated_failure_percent=50)
    run.merge()

    assert Commit.from_json(run.file("shards/00000.json") or b"", "c").partial is None
    assert run.result()["result"] == {"total": 2}


@pytest.mark.parametrize("name", ["_SUCCESS", "report.csv", "shards/00000.json", ""])
def test_a_workload_cannot_write_over_the_run_folder(name: str) -> None:
    """A workload that names its file like one of ours is stopped before anything is written."""

    class Greedy(Sizes):
        """Sizes, under another name."""

        def merge(self, _partials: Iterable[BinaryIO], results: Any) -> dict[str, Any]:
            """Write over what is not its own."""
            results.open(name)
            return {}

    run = migrated(objects(1))
    run.load = lambda _name, options: Greedy(options)
    with pytest.raises(ValueError, match="cannot write"):
        run.merge()


def test_a_source_that_changes_between_the_jobs() -> None:
    """Deleted, changed and bad objects are exactly the report's failed rows, and planned = succeeded + failed."""
    run = RunInMemory(objects(100), {"shard": {"max_items": 7}, "tolerated_failure_percent": 100}, concurrency=4)
    run.client.store(SOURCE, "in/bad", b"bad")
    plan = run.plan()
    for number in range(0, 100, 10):
        run.client.remove(SOURCE, f"in/{number:03}")
    for number in range(5, 100, 20):
        run.client.store(SOURCE, f"in/{number:03}", b"changed")
    for index in range(plan.shards):
        run.migrate(index)
    run.merge()
    result = run.result()

    assert result["failures"] == {"NOT_FOUND": 10, "NOT_TEXT": 1, "SOURCE_CHANGED": 5}
    assert result["counts"]["succeeded"] + result["counts"]["failed"] == plan.items == 101
    assert len(run.outputs()) == 101 - 16


@pytest.mark.parametrize("seed", range(20))
def test_two_runs_into_one_destination_at_once_both_end_right(seed: int) -> None:
    """Their steps come in any order, and the source changes between the two plans: each result is that of its own
    plan, and what both worked has one output.
    """
    chance = random.Random(seed)
    first = RunInMemory(objects(6), {**ONE_EACH, "overlap": "run"})
    second = replace(first, objects={}, folder=RunFolder.of(S3Uri(RESULT, "out/"), "other"))

    def steps(run: RunInMemory) -> Iterator[None]:
        planned = run.plan()
        yield
        for index in range(planned.shards):
            run.migrate(index)
            yield
        run.merge()

    first_steps, second_steps = steps(first), steps(second)
    next(first_steps)
    first.client.store(SOURCE, "in/new", b"x" * 100)
    walks = [first_steps, second_steps]
    while walks:
        walk = chance.choice(walks)
        if next(walk, "ended") == "ended":
            walks.remove(walk)
    for run, items, size in ((first, 6, 15), (second, 7, 115)):
        counts = run.result()["counts"]
        assert (counts["items"], counts["succeeded"], counts["bytes"]) == (items, items, size)
        assert run.file("_SUCCESS") is not None
    assert first.outputs() == {
        f"{key[3:]}.size": b"%d" % len(body) for key, body in {**objects(6), "in/new": b"x" * 100}.items()
    }


@pytest.mark.parametrize("becomes", ["right", "gone"])
def test_a_forged_mark_is_replaced_once(becomes: str) -> None:
    """Two merges find it: the one that is late writes nothing over the other's mark, nor over none."""
    run = RunInMemory({"in/a": b"1"})
    run.all()
    uri = run.folder.file("_SUCCESS")
    mark = run.file("_SUCCESS") or b""
    run.client.store(RESULT, uri.key, b"forged")
    tried: list[str] = []

    def other(verb: str, bucket: str, key: str) -> None:
        if (verb, bucket, key) != ("put_object", RESULT, uri.key):
            return
        tried.append(verb)
        if len(tried) == 2:  # the first one found the forged mark
            run.client.remove(RESULT, uri.key)
            if becomes == "right":
                run.client.store(RESULT, uri.key, mark)

    run.client.before = other
    run.merge()
    assert run.file("_SUCCESS") == mark
    assert len(tried) == 3
