"""Read Plan: what the arrays of a run are sized from, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.errors import DamagedFileError, ErrorCode, ObjectNotFoundError, StalledError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.records.outcome import Counts, Outcome
from millrace.records.plan import Item, Plan
from millrace.records.reused import PlannedReuse
from millrace.s3.verbs import S3
from millrace.settings import FunctionSettings
from read_plan import MOST_PASSES, read_plan
from tests.in_memory_s3 import InMemoryS3Client

FOLDER = RunFolder.of(S3Uri("results", ""), "run-1")
FIRST: dict[str, Any] = {"pass": 0, "shards_left": 0, "redrives": 0, "jobs": []}
PLAN = Plan(
    run_id="run-1",
    source="s3://letters/",
    destination="s3://results/",
    workload="word-count",
    options={},
    include=[],
    exclude=[],
    shards=100,
    items=100_000,
    total_bytes=1_000_000_000,
    skipped={},
    tolerated_failure_percent=0,
    code_version="1",
    digest="sha256:ab",
    planned_at="2026-11-21T09:00:00Z",
    pace={"seconds_per_item": 0.006, "bytes_per_second": 30_000_000},
)
BEGAN = datetime(2026, 11, 21, 9, tzinfo=UTC)


def run_of(plan: Plan = PLAN, committed: Iterable[int] = (), seconds: float = 6.0) -> InMemoryS3Client:
    """A bucket with a plan and some commits of a thousand items, each of which took so many seconds."""
    client = InMemoryS3Client("results")
    client.store("results", FOLDER.plan.key, plan.to_json())
    failed = tuple(Outcome.failed(Item(f"k{number}", 10, "e"), ErrorCode.NOT_TEXT, "no") for number in range(1000))
    for index in committed:
        commit = Commit(
            shard=index,
            plan_digest=plan.digest,
            code_version="1",
            items_digest="sha256:i",
            partial=None,
            counts=Counts.of(failed),
            outcomes=failed,
            job={"id": "job:0", "attempt": 1},
            started_at=BEGAN.isoformat(),
            finished_at=(BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
        )
        client.store("results", FOLDER.commit(index).key, commit.to_json())
    return client


def call(client: InMemoryS3Client, before: dict[str, Any] = FIRST, *, slots: int = 16, **given: Any) -> dict[str, Any]:
    """One call of the function, as the state machine makes it."""
    execution = {"Name": "run-1", **given.pop("execution", {})}
    event = {"plan": str(FOLDER.plan), "before": before, "migrate_job": "", "execution": execution, **given}
    return read_plan(event, S3(client.stub), FunctionSettings(queues={}, slots=slots))


def size_of(vcpus: str, mib: str, *gpus: str) -> list[dict[str, str]]:
    """What Batch is asked for."""
    needs = [("VCPU", vcpus), ("MEMORY", mib), *(("GPU", each) for each in gpus)]
    return [{"Type": kind, "Value": value} for kind, value in needs]


SECONDS_OF_WORK = replace(PLAN, shards=1, items=100, total_bytes=1_000_000)
"""0.6 s of one vCPU."""


def job_of(plan: Plan = SECONDS_OF_WORK, before: dict[str, Any] = FIRST, **given: Any) -> Any:
    """The size that one job is given; by default on Fargate, with 1 vCPU and 2 GB."""
    event = {"plan": str(FOLDER.plan), "before": before, "migrate_job": "", "execution": {"RedriveCount": 0}}
    settings = FunctionSettings(queues={}, **{"compute": "FARGATE_SPOT", **given})
    return read_plan(event, S3(run_of(plan).stub), settings)["job"]


SMALL, FULL = (
    {"size": "small", "resources": size_of("0.25", "1024")},
    {"size": "full", "resources": size_of("1", "2048")},
)


def test_seconds_of_work_are_a_small_jobs() -> None:
    """A quarter of a vCPU, where the pace says that it is through in seconds; else what the stack's jobs have."""
    assert job_of() == SMALL
    assert job_of(replace(SECONDS_OF_WORK, items=480, total_bytes=0)) == SMALL  # 2.88 s, and 0.05 for the shard
    assert job_of(replace(SECONDS_OF_WORK, items=500, total_bytes=0)) == FULL
    assert job_of(replace(SECONDS_OF_WORK, items=1, total_bytes=300_000_000)) == FULL
    assert job_of(PLAN) == FULL


@pytest.mark.parametrize(
    "plan",
    [
        replace(SECONDS_OF_WORK, pace=None),
        replace(SECONDS_OF_WORK, workload="images"),
        replace(SECONDS_OF_WORK, workload="command"),
        replace(SECONDS_OF_WORK, workload="mine:Own"),
        replace(SECONDS_OF_WORK, shards=60),
        replace(SECONDS_OF_WORK, shards=0, items=0, total_bytes=0),
        replace(SECONDS_OF_WORK, shards=2, merge_parts=2),
    ],
    ids=[
        "pace-unknown",
        "images-take-more",
        "any-program",
        "own-code",
        "sixty-shards",
        "nothing-left",
        "merge-in-parts",
    ],
)
def test_what_may_need_more_gets_all(plan: Plan) -> None:
    """Where time or memory is not known to be little, and where more than one child works."""
    assert job_of(plan) == FULL


@pytest.mark.parametrize(
    ("compute", "vcpus", "mib", "expected"),
    [
        ("FARGATE", 1.0, 2048, SMALL),
        ("FARGATE_ARM64", 4.0, 30_720, SMALL),
        ("FARGATE_SPOT", 0.25, 512, {"size": "full", "resources": size_of("0.25", "512")}),
        ("FARGATE_SPOT", 0.5, 1024, {"size": "full", "resources": size_of("0.5", "1024")}),
        ("EC2", 1.0, 2048, FULL),
        ("EC2_ARM64", 1.0, 2048, FULL),
        ("EC2_GPU", 4.0, 16_384, {"size": "full", "resources": size_of("4", "16384", "1")}),
        ("", 1.0, 2048, FULL),
    ],
)
def test_a_job_of_fargate_alone_is_small(compute: str, vcpus: float, mib: int, expected: dict[str, Any]) -> None:
    """On EC2 the instances are paid for. A full size is what the job definition has, GPU and all."""
    assert job_of(compute=compute, job_vcpus=vcpus, job_mib=mib) == expected


def test_after_a_small_job_comes_a_full_one() -> None:
    """It need not have committed anything. After a full one that is the end, as ever."""
    handed_back = {**FIRST, "pass": 1, "shards_left": 1, "job": SMALL}
    assert job_of(before=handed_back) == FULL
    with pytest.raises(StalledError):
        job_of(before={**handed_back, "job": FULL})


KEPT = PlannedReuse("latest", "base", 0, 90_000, 0, 10_000, 0, 90, 900_000_000, "sha256:t", "", "")


@pytest.mark.parametrize(
    ("committed", "before", "children"),
    [
        ([], FIRST, 1),  # 63 s for ten shards of 1,000 items, and a second to take 90 over
        (range(90), FIRST, 1),  # the plan job has taken them over: 63 s
        (range(45), FIRST, 6),  # the others cannot be taken over, or a run is resumed
        ([], {**FIRST, "pass": 1, "shards_left": 101}, 11),  # children have tried
    ],
)
def test_kept_shards_are_no_work_before_anybody_has_tried(
    committed: Iterable[int], before: dict[str, Any], children: int
) -> None:
    """They are taken over by the first array; what it could not take over is the next one's work."""
    plan = replace(PLAN, reuse=KEPT)
    read = call(run_of(plan, committed), before)
    assert (read["children"], read["shards_left"]) == (children, 100 - len(list(committed)))


def test_the_first_array_is_sized_from_the_plan() -> None:
    """The state machine gets numbers, not strings: 633 s of work are 11 children, or as many as there are slots."""
    expected = {
        "shards": 100,
        "items": 100_000,
        "bytes": 1_000_000_000,
        "digest": "sha256:ab",
        "merge_parts": 0,
        "shards_left": 100,
        "children": 11,
        "job": {"size": "full", "resources": size_of("1", "2048")},
        "merging": True,
        "merged": False,
        "pass": 1,
        "redrives": 0,
        "jobs": [],
    }
    assert call(run_of()) == expected
    assert call(run_of(), slots=4)["children"] == 4


def test_an_empty_source_needs_no_child() -> None:
    """With no shard there is nothing to migrate, in the first pass or after a redrive."""
    empty = replace(PLAN, shards=0, items=0, total_bytes=0)
    assert call(run_of(empty))["children"] == 0
    assert call(run_of(empty), {**FIRST, "pass": 1}, execution={"RedriveCount": 1})["children"] == 0


def test_a_merge_in_parts_is_never_one_jobs() -> None:
    """The last shard of a plan whose merge goes in parts takes an array of two, and then the parts are merged."""
    parts = replace(PLAN, merge_parts=6)
    assert call(run_of(parts, range(99)))["children"] == 2
    assert call(run_of(parts, range(100)))["children"] == 0


def test_an_unknown_pace_takes_all_slots() -> None:
    """Where nothing is known there are as many children as slots, and no more than shards."""
    unknown = replace(PLAN, pace=None)
    assert call(run_of(unknown))["children"] == 16
    assert call(run_of(replace(unknown, shards=3)))["children"] == 3


def test_a_merge_in_parts_is_no_small_run() -> None:
    """One job would merge in one piece: what one child could do is an array of two where the plan has parts."""
    small = replace(PLAN, shards=4, items=8, total_bytes=80)
    assert call(run_of(small))["children"] == 1
    assert call(run_of(replace(small, merge_parts=2)))["children"] == 2
    assert call(run_of(replace(small, merge_parts=2), committed=range(4)))["children"] == 0


@pytest.mark.parametrize(
    ("seconds", "children"),
    [(6.0, 5), (60.0, 16), (0.6, 1)],
    ids=["as the plan thought", "ten times as slow", "ten times as fast"],
)
def test_the_next_array_is_sized_by_the_pace_of_the_commits(seconds: float, children: int) -> None:
    """What is left counts, at the pace that was measured, not at the one that was planned with."""
    found = call(
        run_of(replace(PLAN, total_bytes=0), range(0, 100, 2), seconds), {**FIRST, "pass": 1, "shards_left": 100}
    )

    assert (found["shards_left"], found["children"], found["pass"]) == (50, children, 2)


def test_a_pace_is_measured_where_none_was_known() -> None:
    """After the first array of an unknown workload the second one is no larger than it has to be."""
    found = call(run_of(replace(PLAN, pace=None), range(90), 20.0), {**FIRST, "pass": 1, "shards_left": 100})
    assert found["children"] == 4  # ten shards of 20 s


def test_a_resumed_run_is_sized_from_what_is_left() -> None:
    """A new execution finds the commits of the one before: its first array is for the others alone."""
    found = call(run_of(committed=range(99)))
    assert (found["shards_left"], found["children"], found["pass"]) == (1, 1, 1)
    assert call(run_of(committed=range(100)))["children"] == 0


def test_what_is_no_commit_is_not_counted() -> None:
    """Other files beside the commits, and shards that the plan has not, are passed over."""
    client = run_of(committed=range(2))
    for name in ("00002.json.bak", "2.json", "00100.json", "99999.json", "x/00003.json"):
        client.store("results", FOLDER.commits.key + name, b"{}")
    assert call(client)["shards_left"] == 98


def test_a_damaged_commit_is_only_a_hint() -> None:
    """The pace is measured from the others; merge will say what is wrong with it."""
    client = run_of(committed=range(10))
    client.store("results", FOLDER.commit(0).key, b"{")
    assert call(client)["shards_left"] == 90


@pytest.mark.parametrize(
    ("plan", "slots", "children", "merging"),
    [
        (PLAN, 16, 11, True),
        (replace(PLAN, shards=2, items=600, total_bytes=0), 16, 1, True),
        (replace(PLAN, items=3_000_000), 16, 16, False),
        (replace(PLAN, items=3_000_000), 64, 64, True),
        (replace(PLAN, pace=None), 16, 16, False),
        (replace(PLAN, merge_parts=2), 16, 11, False),
        (replace(PLAN, shards=0, items=0, total_bytes=0), 16, 0, False),
    ],
    ids=["a-minute", "one-job", "twenty-minutes", "five-minutes", "unknown", "parts", "empty"],
)
def test_the_children_of_a_short_array_merge(plan: Plan, slots: int, children: int, merging: object) -> None:
    """Up to fifteen minutes for each child: not where that is unknown, nor where the plan has the merge go in parts."""
    found = call(run_of(plan), slots=slots)
    assert (found["children"], found["merging"], found["merged"]) == (children, merging, False)


def test_a_merge_job_may_be_asked_for() -> None:
    """With `"plan": "job"` an array is migrate's alone; what one child works is one job all the same."""
    assert call(run_of(), merge_job=True)["merging"] is False
    small = replace(PLAN, shards=2, items=600, total_bytes=0)
    assert call(run_of(small), merge_job=True)["merging"] is True


@pytest.mark.parametrize(
    ("before", "mark", "merged"),
    [
        ({"merging": True}, PLAN.digest, True),
        ({"merging": True}, "sha256:another", False),
        ({"merging": True}, None, False),
        ({"merging": False}, PLAN.digest, False),
        ({}, PLAN.digest, False),
    ],
)
def test_a_merge_by_the_last_array_is_seen_by_its_mark(
    before: dict[str, Any], mark: str | None, merged: object
) -> None:
    """Only that of this plan, and only behind an array whose children merge: an older mark is merge's to compare.

    An execution that began before an update has no such word in what it carries along.
    """
    client = run_of(committed=range(100))
    if mark is not None:
        client.store("results", FOLDER.file("_SUCCESS").key, f"{mark}\n".encode())
    found = call(client, {**FIRST, **before, "pass": 1, "shards_left": 60})
    assert (found["children"], found["merged"]) == (0, merged)


def test_a_mark_beside_shards_that_are_left_counts_for_nothing() -> None:
    """What is left is worked first."""
    client = run_of(committed=range(50))
    client.store("results", FOLDER.file("_SUCCESS").key, f"{PLAN.digest}\n".encode())
    found = call(client, {**FIRST, "merging": True, "pass": 1, "shards_left": 100})
    assert (found["merged"], found["shards_left"]) == (False, 50)


def test_a_pass_without_a_new_commit_is_the_last() -> None:
    """The error names the first shards, how many more there are, and the commands that help; exit code 1."""
    client = run_of(committed=range(3, 43))
    before = {**FIRST, "pass": 2, "shards_left": 60, "redrives": 0}
    with pytest.raises(StalledError, match=r"array 2 .*60 of 100 shards have no commit: 0, 1, 2, 43, 44") as stalled:
        call(client, before)
    assert "and 40 more" in stalled.value.message
    assert "millrace logs run-1" in stalled.value.message
    assert "millrace resume run-1" in stalled.value.message
    assert stalled.value.exit_code == 1


def test_the_last_commit_ends_the_loop_whoever_made_it() -> None:
    """A pass that committed nothing, because a copy had committed all, is no fault."""
    found = call(run_of(committed=range(100)), {**FIRST, "pass": 1, "shards_left": 0})
    assert found["children"] == 0


def test_a_redrive_lets_another_array_try() -> None:
    """What was wrong may have been put right: after a redrive a pass may begin, and if it commits nothing, it ends."""
    client = run_of(committed=range(10))
    before = {**FIRST, "pass": 1, "shards_left": 90}
    with pytest.raises(StalledError):
        call(client, before)
    again = call(client, before, execution={"RedriveCount": 1})
    assert (again["children"], again["pass"], again["redrives"]) == (10, 2, 1)
    with pytest.raises(StalledError):
        call(client, again, execution={"RedriveCount": 1})


def test_the_loop_has_an_end_whatever_is_committed() -> None:
    """A shard a pass would fill the execution's history: after 500 arrays it ends, and can be resumed."""
    client = run_of(committed=range(10))
    assert call(client, {**FIRST, "pass": MOST_PASSES - 1, "shards_left": 91})["pass"] == MOST_PASSES
    with pytest.raises(StalledError, match="array 500"):
        call(client, {**FIRST, "pass": MOST_PASSES, "shards_left": 91})


def test_the_jobs_of_all_passes_are_kept() -> None:
    """Read Result tells from them what was done before; a call that is made again does not count a job twice."""
    client = run_of(committed=range(10))
    second = call(client, {**FIRST, "pass": 1, "shards_left": 100}, migrate_job="one")
    assert second["jobs"] == ["one"]
    client = run_of(committed=range(20))
    assert call(client, second, migrate_job="two")["jobs"] == ["one", "two"]
    assert call(client, {**second, "shards_left": 100}, migrate_job="one")["jobs"] == ["one"]


def test_many_commits_are_listed_by_the_page() -> None:
    """A listing of a page a thousand, and the beginnings of 64 commits: no read grows with the number of shards."""
    plan = replace(PLAN, shards=20_000)
    client = run_of(plan, range(200))
    body = client.stored("results", FOLDER.commit(0).key)
    assert body is not None
    for index in range(200, 19_990):
        client.store("results", FOLDER.commit(index).key, body.body)
    client.requests.clear()
    found = call(client, {**FIRST, "pass": 1, "shards_left": 20_000})
    assert found["shards_left"] == 10
    assert client.requests == {"list_objects_v2": 20, "get_object": 1 + 64}


def test_a_missing_plan_is_named() -> None:
    """A workload that ends the process with exit code 0 leaves none: the error says so, and what helps."""
    with pytest.raises(ObjectNotFoundError, match=r"s3://results/_millrace/run-1/plan.json") as caught:
        call(InMemoryS3Client("results"))
    assert "millrace logs run-1" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"shards": 3}', b"\xff", b'{"pace": 3}']
    + [
        PLAN.to_json().replace(b"0.006", pace)
        for pace in (b"0", b"-1", b"NaN", b"1e999", b'"x"', b"true", b'1, "x": 2')
    ],
)
def test_a_damaged_plan_is_named(text: bytes) -> None:
    """A file that is not a plan, or whose pace is no number above 0, fails as that, with its URI."""
    client = InMemoryS3Client("results")
    client.store("results", FOLDER.plan.key, text)
    with pytest.raises(DamagedFileError, match=r"s3://results/_millrace/run-1/plan.json"):
        call(client)
