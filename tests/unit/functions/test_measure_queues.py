"""Measure Queues: how many jobs wait, and for how long."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

import measure_queues as module
from measure_queues import QueueState, blocked_queue, measure_queues
from millrace.settings import FunctionSettings

QUEUES = {"standard": "arn:q/standard", "urgent": "arn:q/urgent"}
NOW = 1_800_000_000.0


class Batch:
    """GetJobQueueSnapshot: the waiting times of the jobs at each queue's head, in seconds."""

    def __init__(self, **waits: list[float]) -> None:
        self.waits = waits

    def get_job_queue_snapshot(self, *, jobQueue: str) -> dict[str, Any]:  # noqa: N803 - as in the API
        """Answer as Batch does: times in milliseconds."""
        waits = self.waits[jobQueue.rpartition("/")[2]]
        jobs = [{"jobArn": "arn", "earliestTimeAtPosition": int((NOW - wait) * 1000)} for wait in waits]
        return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": 1}}


class Context:
    """As much of a Lambda's context as the logger reads."""

    function_name = function_version = invoked_function_arn = aws_request_id = "x"
    memory_limit_in_mb = 1


def test_the_first_job_counts() -> None:
    """The wait is that of the first job, whatever comes behind it."""
    measured = measure_queues(cast("Any", Batch(standard=[600, 30], urgent=[])), QUEUES, NOW)
    assert measured == {"standard": QueueState(2, 10.0), "urgent": QueueState(0, 0.0)}


def test_a_clock_that_is_ahead_gives_no_negative_wait() -> None:
    """Batch's clock and the function's differ by a little."""
    assert measure_queues(cast("Any", Batch(standard=[-2], urgent=[])), QUEUES, NOW)["standard"] == QueueState(1, 0.0)


@pytest.mark.parametrize(
    ("event", "queue"),
    [
        ({"detail-type": "Batch Job Queue Blocked", "detail": {"jobQueue": "arn:q/urgent"}}, "urgent"),
        ({"detail-type": "Batch Job Queue Blocked", "detail": {"jobQueue": "arn:q/other"}}, None),
        ({"detail-type": "Batch Job Queue Blocked"}, None),
        ({"detail-type": "Scheduled Event", "detail": {}}, None),
        ({}, None),
    ],
)
def test_a_blocked_queue_is_named(event: dict[str, Any], queue: str | None) -> None:
    """Only Batch's own event about a queue of this stack counts."""
    assert blocked_queue(event, QUEUES) == queue


def test_publishes_a_metric_for_each_queue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting jobs and the wait of the first are metrics of each queue; a blocked one is one more."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
    monkeypatch.setattr(module, "batch", Batch(standard=[60], urgent=[]))
    monkeypatch.setattr(module, "settings", FunctionSettings(QUEUES))
    monkeypatch.setattr(module.logger, "service", "my-stack")
    detail = {"jobQueue": "arn:q/standard", "statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}
    module.handler({"detail-type": module.BLOCKED, "detail": detail}, Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics = [line for line in lines if "_aws" in line]
    names = [(line.get("queue"), line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]) for line in metrics]
    assert names == [
        ("standard", "JobsWaiting"), ("standard", "HeadWaitMinutes"),
        ("urgent", "JobsWaiting"), ("urgent", "HeadWaitMinutes"),
        (None, "LongestWaitMinutes"), (None, "QueueBlocked"),
    ]  # fmt: skip
    assert {line["service"] for line in metrics} == {"my-stack"}
