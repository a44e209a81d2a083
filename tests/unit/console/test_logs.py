"""What `millrace logs` shows: jobs that never started, shards of failed items, logs that grow, cancelled runs."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from console import __main__ as edge
from console.errors import RunStateError
from console.watch.display import count_of
from console.watch.explanation import explain
from console.watch.job_logs import Followed, why_no_log
from console.watch.progress import RunProgress, _children, was_cancelled
from console.watch.run_logs import jobs_to_show
from console.watch.shard_counts import Committed, ShardCounts, Work, jobs_with_failed_items
from console.watch.steps import Children, Step, states_of, steps_from
from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.s3.errors import storage_error
from millrace.s3.verbs import S3
from tests.run_in_memory import RESULT, RunInMemory

CANCELLED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def milliseconds(seconds_later: float) -> int:
    """A time of Batch's, so long after the cancel."""
    return round((CANCELLED.timestamp() + seconds_later) * 1000)


@pytest.mark.parametrize(
    ("job", "reasons"),
    [
        ({"status": "RUNNABLE"}, []),
        (
            {
                "statusReason": "Task failed to start",
                "container": {"reason": "CannotPullContainerError: no such image"},
                "attempts": [
                    {"statusReason": "Task failed to start", "container": {"reason": "ResourceInitializationError: x"}},
                    {"statusReason": "Task failed to start", "container": {}},
                ],
            },
            ["CannotPullContainerError: no such image", "Task failed to start", "ResourceInitializationError: x"],
        ),
        ({"statusReason": "Job was terminated", "container": {}, "attempts": []}, ["Job was terminated"]),
    ],
)
def test_a_job_that_never_started_has_batchs_reasons(job: Any, reasons: list[str]) -> None:
    """The container's own reason comes before the general one, each attempt's is told, none twice."""
    assert why_no_log(job) == reasons


def test_the_jobs_of_failed_items_are_found_by_their_commits() -> None:
    """A child that succeeded, and committed an item that did not, is one that `logs --failed` shows."""
    run = RunInMemory({"in/a": b"1", "in/b": b"bad", "in/c": b"1", "in/d": b"bad"}, {"shard": {"max_items": 1}})
    for index in range(run.plan().shards):
        run.migrate(index, job_id=f"array:{index}")
    aws: Any = SimpleNamespace(s3=S3(run.client.stub))
    counts = ShardCounts(aws, run.folder)
    counts.look(CANCELLED)
    assert jobs_with_failed_items(counts.heads) == ["array:1", "array:3"]


class GrowingLog:
    """A CloudWatch Logs with one stream."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.there = True

    def get_log_events(self, limit: int, startFromHead: bool, nextToken: str = "", **_given: Any) -> Any:  # noqa: FBT001, N803
        """As documented: a token is a place; the same token again is the end."""
        if not self.there:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetLogEvents")
        start = int(nextToken or 0) if startFromHead else max(0, len(self.lines) - limit)
        assert startFromHead or not nextToken
        found = self.lines[start : start + min(limit, 2)] if startFromHead else self.lines[start:]
        return {
            "events": [{"message": line} for line in found],
            "nextForwardToken": str(start + len(found)),
        }


def test_a_followed_log_shows_each_line_once() -> None:
    """The last lines at first, then what comes, over several pages; nothing before there is a stream."""
    log = GrowingLog(*"abcd")
    log.there = False
    logs: Any = log
    followed = Followed(logs, {}, "stream", 3)
    assert followed.new_lines() == []
    log.there = True
    assert followed.new_lines() == ["b", "c", "d"]
    assert followed.new_lines() == []
    log.lines += "efghi"
    assert followed.new_lines() == ["e", "f", "g", "h", "i"]
    assert followed.new_lines() == []


def test_wanted_lines_are_found_however_early_they_are() -> None:
    """A child works thousands of shards: the lines about one are shown, though its log has gone on for long since."""
    log = GrowingLog("a1", *(f"b{number}" for number in range(9)), "a2", "a3", "b")
    logs: Any = log
    followed = Followed(logs, {}, "stream", 2, lambda line: line[0] == "a")
    assert followed.new_lines() == ["a2", "a3"]
    log.lines += ["b", "a4", "a5", "a6", "b"]
    assert followed.new_lines() == ["a4", "a5", "a6"]
    assert Followed(logs, {}, "stream", 10, lambda line: line == "a1").new_lines() == ["a1"]


@pytest.mark.parametrize(
    ("job", "cancelled"),
    [
        ({"startedAt": 1, "stoppedAt": milliseconds(-60)}, False),
        ({"startedAt": 1, "stoppedAt": milliseconds(3)}, True),
        ({"stoppedAt": milliseconds(3)}, True),
        ({"stoppedAt": milliseconds(-60)}, False),
        ({}, True),
    ],
)
def test_what_ended_with_the_run_was_cancelled(job: dict[str, int], cancelled: bool) -> None:  # noqa: FBT001
    """A child that failed before the cancel did fail; one that was terminated with the run, started or not, did not."""
    assert was_cancelled(job, CANCELLED) is cancelled


def test_a_cancelled_run_does_not_call_its_shards_failed() -> None:
    """Of five children that Batch calls failed, one was; the others, and the step, were cancelled."""
    failed = [{"jobId": "a:0", "startedAt": 1, "stoppedAt": milliseconds(-60)}]
    failed += [{"jobId": f"a:{index}", "startedAt": 1, "stoppedAt": milliseconds(2)} for index in range(1, 5)]
    array = {"jobId": "a", "arrayProperties": {"size": 9, "statusSummary": {"FAILED": 5, "SUCCEEDED": 4}}}
    pages = SimpleNamespace(paginate=lambda **_given: [{"jobSummaryList": failed[:2]}, {"jobSummaryList": failed[2:]}])
    batch = SimpleNamespace(describe_jobs=lambda **_given: {"jobs": [array]}, get_paginator=lambda _name: pages)
    aws: Any = SimpleNamespace(batch=batch)

    children = _children(aws, "a", CANCELLED)
    assert children == Children(9, succeeded=4, failed=1, cancelled=4)
    execution: Any = {}
    progress = RunProgress("ABORTED", (), execution, planned={"shards": 40}, work=Work(Committed(12)))
    assert count_of(children, progress) == "12 of 40 shards done, 1 child failed, 4 cancelled"
    assert _children(aws, "a", None) == Children(9, succeeded=4, failed=5)
    events: Any = [{"timestamp": CANCELLED, "stateEnteredEventDetails": {"name": "Migrate Shards"}}]
    steps = {step.name: step.status for step in steps_from(states_of(events, ended=True, cancelled=True))}
    assert steps["Migrate"] == "cancelled"


def gone(address: str) -> Exception:
    """What boto3 raises where nothing listens."""
    return EndpointConnectionError(endpoint_url=address)


def test_a_killed_embedded_aws_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever call finds it gone, S3's too, the last line says what happened; AWS out of reach is told otherwise."""

    def told(error: Exception) -> str:
        def run(*_given: Any, **_more: Any) -> None:
            raise error

        monkeypatch.setattr(edge.millrace, "main", run)
        assert edge._run(["status"]) == 1
        return capsys.readouterr().err

    def stored(address: str) -> StorageError:
        cause = gone(address)
        error = storage_error(cause, "get", S3Uri("bucket", "key"))
        error.__cause__ = cause
        return error

    for error in (gone("http://127.0.0.1:4599/"), stored("http://127.0.0.1:4599/bucket/key")):
        words = told(error)
        assert "the embedded AWS at http://127.0.0.1:4599 no longer answers" in words
        assert "millrace local deploy" in words
    assert "embedded AWS" not in told(gone("https://states.eu-west-1.amazonaws.com/"))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("Sandbox.Timedout", '{"errorMessage": "Task timed out after 60.00 seconds", "errorType": "Sandbox.Timedout"}'),
        ("States.Timeout", ""),
    ],
)
def test_a_prepare_run_that_timed_out_says_what_to_do(error: str, cause: str) -> None:
    """After its retries, a call that took too long names the state, and that too much was started at once."""
    entered = {"type": "TaskStateEntered", "timestamp": CANCELLED, "stateEnteredEventDetails": {"name": "Prepare Run"}}
    pages = SimpleNamespace(paginate=lambda **_given: [{"events": [entered]}])
    aws: Any = SimpleNamespace(step_functions=SimpleNamespace(get_paginator=lambda _name: pages))
    execution: Any = {"executionArn": "arn", "status": "FAILED", "error": error, "cause": cause}
    words = str(explain(aws, execution))
    assert words.startswith(f"Prepare Run failed: {error}: ")
    assert "resume the run when there is less to do, and start fewer runs at a time" in words


class Jobs:
    """A Batch that knows an array of two children and what DescribeJobs says of them."""

    def describe_jobs(self, jobs: list[str]) -> Any:
        """A child, or the array."""
        found = []
        for job_id in jobs:
            array = {"size": 2} if ":" not in job_id else {"index": int(job_id.partition(":")[2])}
            found.append({"jobId": job_id, "status": "SUCCEEDED", "arrayProperties": array})
        return {"jobs": found}


@pytest.mark.parametrize(
    ("shard", "child"),
    [(0, "earlier:7"), (1, "array:0"), (2, "array:0"), (3, "array:1")],
    ids=["committed by a helper", "claimed by a helper", "not begun", "not begun, the other child's"],
)
def test_a_shards_log_is_that_of_the_child_that_worked_it(shard: int, child: str) -> None:
    """The commit names it; else the claim; else it is the child whose own the shard is. One that is none is refused."""
    objects = {f"in/{name}": b"text" for name in "abcd"}
    run = RunInMemory(objects, {"shard": {"max_items": 1}})
    run.plan()
    run.migrate(0, job_id="earlier:7")
    run.client.store(
        RESULT, run.folder.claim(1).key, b'{"job": "array:0", "child": 0, "at": "2026-11-21T09:00:00+00:00"}'
    )
    target: Any = SimpleNamespace(aws=SimpleNamespace(s3=S3(run.client.stub), batch=Jobs()))
    found: Any = SimpleNamespace(folder=run.folder, run_id="run")
    execution: Any = {}
    progress = RunProgress("RUNNING", (Step("Migrate", job_id="array"),), execution, planned={"shards": 4})
    chosen = jobs_to_show(target, found, progress, shard, failed=False, waits=False, note=print)
    assert [(step, job["jobId"]) for step, job in chosen] == [("Migrate", child)]
    with pytest.raises(RunStateError, match="no shard 4"):
        jobs_to_show(target, found, progress, 4, failed=False, waits=False, note=print)
