"""Measure Queues: how many jobs wait at the head of each queue, and for how long; Batch has no metrics of its own.

EventBridge calls it every five minutes, and with every "Batch Job Queue Blocked" event of the stack's queues.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.session
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.settings import FunctionSettings, aws_region

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

logger = Logger()
tracer = Tracer()
settings = FunctionSettings.from_environment()
_client: Any = botocore.session.get_session().create_client("batch", region_name=aws_region())
batch: BatchClient = _client

BLOCKED = "Batch Job Queue Blocked"
"""The detail-type of the event; Batch user guide, "Job queue blocked events"."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The head of a queue.

    Attributes:
        waiting: RUNNABLE jobs, array children among them; 100 stands for 100 or more.
        wait_minutes: For how long the first of them has been the first; 0 without any.
    """

    waiting: int
    wait_minutes: float


@logger.inject_lambda_context
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """The Lambda's entry point: measure the queues, and count a queue that Batch calls blocked, with the reason."""
    states = measure_queues(batch, settings.queues, time.time())
    for name, state in states.items():
        _publish({"JobsWaiting": state.waiting, "HeadWaitMinutes": state.wait_minutes}, queue=name)
    # Of all queues together: what an alarm looks at.
    _publish({"LongestWaitMinutes": max((state.wait_minutes for state in states.values()), default=0)})
    blocked = blocked_queue(event, settings.queues)
    if blocked is not None:
        _publish({"QueueBlocked": 1})
        detail = event["detail"]
        logger.warning("queue blocked", extra={"queue": blocked, "reason": detail.get("statusReason")})


def measure_queues(batch: BatchClient, queues: Mapping[str, str], now: float) -> dict[str, QueueState]:
    """Look at the head of each queue.

    Args:
        batch: A Batch client.
        queues: The queues' ARNs by name.
        now: The time, in seconds since 1970.

    Returns:
        What each queue's head is, by the queue's name.
    """
    states = {}
    for name, arn in queues.items():
        jobs = batch.get_job_queue_snapshot(jobQueue=arn).get("frontOfQueue", {}).get("jobs", [])
        since = jobs[0]["earliestTimeAtPosition"] / 1000 if jobs else now
        states[name] = QueueState(len(jobs), max(0.0, now - since) / 60)
    return states


def blocked_queue(event: Mapping[str, Any], queues: Mapping[str, str]) -> str | None:
    """The name of the queue that an event says is blocked; None for any other event."""
    if event.get("detail-type") != BLOCKED:
        return None
    arn = event.get("detail", {}).get("jobQueue")
    return next((name for name, known in queues.items() if known == arn), None)


def _publish(values: Mapping[str, float], **dimensions: str) -> None:
    for name, value in values.items():
        with single_metric(name=name, unit=MetricUnit.Count, value=value) as metric:
            for dimension, text in {"service": logger.service, **dimensions}.items():
                metric.add_dimension(name=dimension, value=text)
