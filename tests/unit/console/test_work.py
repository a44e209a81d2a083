"""How far a run is, from its commits; and why nothing happens, from what Batch says."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.watch.shard_counts import Committed, ShardCounts, Work
from console.watch.waiting import PATIENCE_SECONDS, waiting_reason
from millrace.errors import ErrorCode
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import HEAD_BYTES, Commit, CommitHead, PartialFile
from millrace.records.outcome import Counts, Outcome
from millrace.records.plan import Item
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace
from tests.in_memory_s3 import InMemoryS3Client

FOLDER = RunFolder(S3Uri("out", "_millrace/r/"))
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def commit(shard: int, items: int, failed: int, finished_at: datetime) -> bytes:
    """A commit's file, its keys as hostile as keys can be."""
    hostile = ',"outcomes":[{"counts":'
    outcomes: Sequence[Outcome] = [
        Outcome.failed(Item(f"{number}{hostile}", 10, '"e"'), ErrorCode.NOT_TEXT, "no")
        if number < failed
        else Outcome.succeeded(Item(f"{number}{hostile}", 10, '"e"'), ["s3://out/" + "x" * 200])
        for number in range(items)
    ]
    return Commit(
        shard=shard,
        plan_digest="sha256:0",
        code_version="1",
        items_digest="sha256:1",
        partial=PartialFile(f"s3://out/{hostile}/{'é' * 400}", "0" * 64, 1),
        counts=Counts.of(outcomes),
        outcomes=tuple(outcomes),
        job={"id": "job", "attempt": 1},
        started_at=START.isoformat(),
        finished_at=finished_at.isoformat(timespec="milliseconds"),
    ).to_json()


class Bucket:
    """An AWS with an S3 alone."""

    def __init__(self) -> None:
        self.client = InMemoryS3Client("out")
        self.s3 = S3(self.client.stub)


def test_the_beginning_of_a_commit_is_enough() -> None:
    """Counts and time stand before the outcomes, and no key or URI can look like them."""
    text = commit(0, 500, 3, START)
    assert len(text) > 10 * HEAD_BYTES
    assert CommitHead.of(text[:HEAD_BYTES]).counts == Counts(500, 497, 3, 4970)
    assert CommitHead.of(text[:HEAD_BYTES]).finished_at == START
    with pytest.raises(ValueError, match="do not begin"):
        CommitHead.of(text[:100])


def test_commits_are_read_once_and_told_by_when_they_were_made() -> None:
    """What was committed before this execution is reused; a second look reads only what is new; a limit is kept, and
    the commits beyond it count as those that were read.
    """
    aws = Bucket()
    for shard, minutes in enumerate((-5, 1, 2)):
        body = commit(shard, 4, shard, START + timedelta(minutes=minutes))
        aws.client.store("out", FOLDER.commit(shard).key, body)
    counts = ShardCounts(aws, FOLDER)  # type: ignore[arg-type]
    first = counts.look(START, most=2)
    assert (first.shards, first.counts.items, counts.complete, first.unread) == (3, 12, False, 1)
    every = counts.look(START)
    assert every == Committed(3, Counts(12, 9, 3, 90), 1, Counts(8, 5, 3, 50))
    assert counts.complete
    assert aws.client.requests["get_object"] == 3


def test_a_look_lists_only_where_a_commit_may_be_new() -> None:
    """Pages of ten: what stands between two gaps and is known is not listed again, and each new commit is found."""
    aws = Bucket()
    aws.client = InMemoryS3Client("out", page_size=10)
    aws.s3 = S3(aws.client.stub)

    def commit_and_look(*shards: int) -> tuple[int, int]:
        for shard in shards:
            aws.client.store("out", FOLDER.commit(shard).key, commit(shard, 1, 0, START))
        before = aws.client.requests["list_objects_v2"]
        return counts.look(START, most=1).shards, aws.client.requests["list_objects_v2"] - before

    counts = ShardCounts(aws, FOLDER)  # type: ignore[arg-type]
    assert commit_and_look() == (0, 1)
    # All but 7 and 60; the last page is a part of one.
    assert commit_and_look(*range(7), *range(8, 60), *range(61, 95)) == (93, 10)
    # A page behind 6, one behind 59, and the end.
    assert commit_and_look() == (93, 3)
    assert commit_and_look(60, 95) == (95, 3)
    assert counts.shards == {*range(96)} - {7}
    assert commit_and_look(7) == (96, 2)
    assert commit_and_look(97) == (97, 1)
    assert counts.shards == {*range(96), 97}


def test_the_pace_is_this_executions_own() -> None:
    """Reused items count as done and not towards the pace; before the first commit there is none."""
    committed = Committed(3, Counts(60, 60, 0, 600), 1, Counts(40, 40, 0, 400))
    work = Work.of(committed, {"items": 100}, since=START, now=START + timedelta(seconds=20))
    assert (work.items_per_second, work.bytes_per_second, work.seconds_left) == (2, 20, 20)
    assert Work.of(committed, None, since=START, now=START + timedelta(seconds=20)).seconds_left is None
    assert Work.of(Committed(), {"items": 1}, since=START, now=START + timedelta(seconds=9)).items_per_second is None
    assert Work.of(committed, {"items": 1}, since=None, now=START).items_per_second is None


def test_the_commits_read_are_spread_over_all() -> None:
    """Of many commits some are read, from the first shard to the last, and the rest are estimated from these."""
    aws = Bucket()
    for shard in range(100):
        aws.client.store("out", FOLDER.commit(shard).key, commit(shard, 2 if shard < 50 else 4, 0, START))
    counts = ShardCounts(aws, FOLDER)  # type: ignore[arg-type]
    assert counts.look(START, most=10) == Committed(100, Counts(300, 300, 0, 3000), 0, Counts(300, 300, 0, 3000), 90)
    assert aws.client.requests["get_object"] == 10
    assert counts.look(START, most=0).unread == 90
    assert counts.look(START).unread == 0
    assert aws.client.requests["get_object"] == 100


def test_the_time_left_is_that_of_the_children_at_their_pace() -> None:
    """Four children at a second an item: also before the first commit; where no child is at work, by items a second."""
    planned = {"items": 100, "bytes": 1000, "shards": 10}
    moment: dict[str, Any] = {"since": START, "now": START + timedelta(seconds=20)}
    pace = Pace(1, 100)
    committed = Committed(3, Counts(60, 60, 0, 600), 1, Counts(40, 40, 0, 400))
    assert Work.of(Committed(), planned, **moment, pace=pace, children=4).seconds_left == pytest.approx(27.5)
    assert Work.of(committed, planned, **moment, pace=pace, children=4).seconds_left == pytest.approx(11)
    assert Work.of(committed, planned, **moment, pace=pace).seconds_left == 20
    assert Work.of(committed, planned, **moment, children=4).seconds_left == 20
    done = Committed(10, Counts(100, 100, 0, 1000), 0, Counts(100, 100, 0, 1000))
    assert Work.of(done, planned, **moment, pace=pace, children=4).seconds_left == 0
    assert Work.of(Committed(), {"items": 0, "bytes": 0}, **moment, pace=pace, children=1).seconds_left == 0


def test_the_pace_is_that_of_the_commits_or_else_the_plans() -> None:
    """As Read Plan takes it: what was measured goes first, then what the plan was made with, else nothing."""
    aws = Bucket()
    counts = ShardCounts(aws, FOLDER)  # type: ignore[arg-type]
    known = {"seconds_per_item": 2.0, "bytes_per_second": 1e9}
    assert counts.pace(None) is None
    expected = counts.pace(known)
    assert expected is not None
    assert expected.known() == known
    for shard in range(3):
        aws.client.store("out", FOLDER.commit(shard).key, commit(shard, 10, 0, START + timedelta(seconds=50)))
    counts.look(START)
    measured = counts.pace(known)
    assert measured is not None
    assert measured.seconds(10, 100) == pytest.approx(50)


class Batch:
    """An AWS whose Batch has one job, one queue and one compute environment."""

    def __init__(self, job: dict[str, Any], **environment: Any) -> None:
        self.batch = self
        self.jobs = {"job": {"jobId": "job", "jobQueue": "q", "createdAt": START.timestamp() * 1000, **job}}
        self.environment = environment

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        """The job, or its first waiting child."""
        child = {**self.jobs["job"], "jobId": "job:7", "status": "RUNNABLE", "arrayProperties": {"index": 7}}
        return {"jobs": [self.jobs["job"] if job == "job" else child for job in jobs]}

    def list_jobs(self, **_given: Any) -> dict[str, Any]:
        """The first waiting child."""
        return {"jobSummaryList": [{"jobId": "job:7"}]}

    def describe_job_queues(self, **_given: Any) -> dict[str, Any]:
        """The queue."""
        return {"jobQueues": [{"jobQueueName": "q", "computeEnvironmentOrder": [{"computeEnvironment": "ce"}]}]}

    def describe_compute_environments(self, **_given: Any) -> dict[str, Any]:
        """The compute environment."""
        return {"computeEnvironments": [{"computeEnvironmentName": "ce", **self.environment}]}

    def reason(self, seconds: float = 10) -> str:
        """Why the job does not run, so long after it was submitted."""
        return waiting_reason(self, "job", START + timedelta(seconds=seconds))  # type: ignore[arg-type]


def array(**summary: int) -> dict[str, Any]:
    """An array job with so many children in each state."""
    return {"status": "PENDING", "arrayProperties": {"size": 9, "statusSummary": summary}}


def test_batchs_own_reason_is_told() -> None:
    """A statusReason of a waiting job, or of an array's waiting child, is passed on at once."""
    why = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large"
    assert Batch({"status": "RUNNABLE", "statusReason": why}).reason() == f"RUNNABLE for 10 s: {why}"
    assert Batch({**array(RUNNABLE=9), "statusReason": why}).reason() == f"RUNNABLE for 10 s: {why}"


def test_a_sick_compute_environment_is_told() -> None:
    """Where Batch says nothing of the job, the queue and its environments do."""
    sick = Batch({"status": "RUNNABLE"}, state="ENABLED", status="INVALID", statusReason="no subnet\x07")
    assert sick.reason() == r"RUNNABLE for 10 s: the compute environment ce is ENABLED and INVALID (no subnet\x07)"
    assert "DISABLED" in Batch(array(RUNNABLE=9), state="DISABLED", status="VALID").reason()


def test_a_short_wait_and_work_under_way_need_no_words() -> None:
    """Fargate takes its time; after that the usual causes are told. What runs does not wait."""
    assert Batch({"status": "RUNNABLE"}).reason() == ""
    assert "millrace doctor" in Batch({"status": "RUNNABLE"}).reason(PATIENCE_SECONDS)
    for job in ({"status": "RUNNING"}, {"status": "FAILED"}, array(RUNNABLE=8, STARTING=1), array(SUCCEEDED=9)):
        assert Batch(job).reason(10_000) == ""
