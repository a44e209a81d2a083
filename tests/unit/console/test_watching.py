"""What a look at a run reads of its folder, and the time left that it shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from console.watch import watching
from console.watch.progress import RunProgress
from console.watch.shard_counts import Work
from console.watch.steps import Children, Step
from console.watch.watching import Watcher
from millrace.s3.verbs import S3
from tests.run_in_memory import RunInMemory

START = datetime.now(UTC) - timedelta(seconds=10)
SHARDS = 20


@pytest.fixture
def run() -> RunInMemory:
    """A planned run of twenty shards of an object each, at six seconds an object."""
    made = RunInMemory(
        {f"in/{number:02d}": b"1" for number in range(SHARDS)},
        {"shard": {"max_items": 1}, "pace": {"seconds_per_item": 6, "bytes_per_second": 1e9}},
    )
    assert made.plan().shards == SHARDS
    return made


def look(monkeypatch: pytest.MonkeyPatch, run: RunInMemory, most: int | None, *, ended: bool = False) -> Work:
    """A look at the run, four of whose children are at work."""
    migrate = Step("Migrate", "succeeded" if ended else "running", START, None, Children(4, running=3, starting=1))
    planned: Any = {"items": SHARDS, "bytes": SHARDS, "shards": SHARDS}
    execution: Any = {"executionArn": "arn", "startDate": START, "status": "SUCCEEDED" if ended else "RUNNING"}
    progress = RunProgress(execution["status"], (migrate,), execution, str(run.folder.plan), planned)
    monkeypatch.setattr(watching, "observe", lambda _aws, _arn: progress)
    aws: Any = SimpleNamespace(s3=S3(run.client.stub))
    work = Watcher(aws, "arn").look(most).work
    assert work is not None
    return work


def test_the_time_left_is_known_before_the_first_commit(monkeypatch: pytest.MonkeyPatch, run: RunInMemory) -> None:
    """The plan's pace, and the children at work: 20 objects of 6 s by four children."""
    work = look(monkeypatch, run, 256)
    assert work.seconds_left == pytest.approx(30)
    assert work.items_per_second is None


def test_a_run_without_a_plan_has_no_time_left(monkeypatch: pytest.MonkeyPatch, run: RunInMemory) -> None:
    """A plan that is gone, or damaged, is no reason to show nothing of the run."""
    run.client.store(run.folder.plan.bucket, run.folder.plan.key, b"not a plan")
    assert look(monkeypatch, run, 256).seconds_left is None


@pytest.mark.parametrize(("most", "ended", "read"), [(3, False, 3), (None, False, 8), (3, True, 8), (0, True, 0)])
def test_a_look_reads_no_more_commits_than_it_may(
    monkeypatch: pytest.MonkeyPatch, run: RunInMemory, most: int | None, *, ended: bool, read: int
) -> None:
    """All are counted by the listing; a run that has ended is read whole, unless nothing is to be read."""
    for index in range(8):
        run.migrate(index)
    before = run.client.requests["get_object"]
    committed = look(monkeypatch, run, most, ended=ended).committed
    assert (committed.shards, committed.unread) == (8, 8 - read)
    assert committed.counts.items == (8 if read else 0)
    assert run.client.requests["get_object"] - before == read + 1  # and the plan
