"""Notify: report that a run, or one of its jobs, has ended, that a queue is blocked, or that a run is slow.

EventBridge delivers at least once and in any order. A table remembers what was published, by job and status or by
execution, status and redrive count: however often an event comes, the bus and the topic get it once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from millrace.aws.events import JobEnded, RunEnded, StateChange, read_event
from millrace.aws.job_failures import JobErrors
from millrace.cost.course import Jobs
from millrace.s3.verbs import S3, ReadOnce, connect
from millrace.settings import NotifySettings
from notification.documents import Document, job_ended, queue_blocked, run_ended, run_slow
from notification.messages import message_of
from notification.publishing import publish, put_events
from notification.run_facts import RunCosts, read_run_facts
from notification.slow_runs import LOOK, RunWatch, Slowness

REMEMBERED_SECONDS = 15 * 86_400
"""Longer than a queue of failed deliveries keeps them (SQS: 14 days), so that these can be sent again."""

logger = Logger()
tracer = Tracer()
metrics = Metrics()
settings = NotifySettings.from_environment()
config = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=20)
s3 = connect()
batch = boto3.client("batch", config=config)
jobs = JobErrors(batch, boto3.client("logs", config=config), most_pages=1)
costs = RunCosts(batch, settings.queues)
watch = RunWatch(
    boto3.client("stepfunctions", config=config),
    batch,
    settings.queues,
    settings.state_machine_arn,
    Jobs(vcpus=settings.job_vcpus, max_vcpus=settings.slots * settings.job_vcpus, compute=""),
)
bus = boto3.client("events", config=config)
topic = boto3.client("sns", config=config)
remembered = IdempotencyConfig(
    expires_after_seconds=REMEMBERED_SECONDS, hash_function="sha256", raise_on_no_idempotency_key=True
)
sent = DynamoDBPersistenceLayer(table_name=settings.table_name, boto3_client=boto3.client("dynamodb", config=config))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """The Lambda's entry point: publish one EventBridge event on the bus, and on the topic where `NotifyOn` has it.

    Every few minutes it looks for runs that are slow, and publishes each of them once.
    """
    remembered.register_lambda_context(context)  # without it, a call that timed out would block the next one forever
    metrics.add_metric("EventsReceived", MetricUnit.Count, 1)
    if event.get("detail-type") == LOOK:
        for slow in watch.slow(Slowness.read(event), s3):
            told = cache(partial(run_slow, slow, settings.stack_name))
            put_on_bus(key=slow.key, document=told)
            publish_to_topic(key=slow.key, document=told)
        return
    change = read_event(event)
    document = cache(lambda: document_of(change, s3, jobs, costs))
    put_on_bus(key=change.key, document=document)
    publish_to_topic(key=change.key, document=document)


@idempotent_function(data_keyword_argument="key", persistence_store=sent, config=remembered, key_prefix="bus")  # type: ignore[untyped-decorator]  # the library types it Any
def put_on_bus(*, key: str, document: Callable[[], Document]) -> None:
    """Put our event of a change on the bus, once for each key."""
    put_events(bus, settings.bus_name, [document()])
    metrics.add_metric("EventsPublished", MetricUnit.Count, 1)
    cost = document().detail.get("cost")
    if cost:
        metrics.add_metric("RunDollars", MetricUnit.Count, cost["dollars"])
        metrics.add_metric("RunVcpuSeconds", MetricUnit.Seconds, cost["usage"]["vcpu_seconds"])
        metrics.add_metric("RunPutRequests", MetricUnit.Count, cost["usage"]["s3_put_requests"])
    logger.info("published on the bus", extra={"key": key, "event": document().event})


@idempotent_function(data_keyword_argument="key", persistence_store=sent, config=remembered, key_prefix="topic")  # type: ignore[untyped-decorator]  # as above
def publish_to_topic(*, key: str, document: Callable[[], Document]) -> None:
    """Publish the message of a change, once for each key, if `NOTIFY_ON` has it."""
    event = document().event
    if event not in settings.notify_on:
        return
    publish(topic, settings.topic_arn, message_of(document()))
    metrics.add_metric("MessagesPublished", MetricUnit.Count, 1)
    logger.info("published on the topic", extra={"key": key, "event": event})


def document_of(change: StateChange, s3: S3, jobs: JobErrors, costs: RunCosts) -> Document:
    """Make our event of AWS's: look into the run folder, and into the log of a job that failed.

    Args:
        change: AWS's event.
        s3: The client to read the run folder with.
        jobs: Finds the error of a failed job.
        costs: Works out what a run cost.

    Raises:
        StorageError: S3 is broken or busy. What is not there is no error.
    """
    if isinstance(change, RunEnded):
        s3 = ReadOnce(s3.requests, s3.backoff)  # the facts and the cost need the same plan and result
        facts = read_run_facts(change, s3)
        return run_ended(change, facts, jobs.of_run(change), costs.of_run(change, s3), settings.stack_name)
    if isinstance(change, JobEnded):
        failed = change.job.status == "FAILED"
        return job_ended(change, jobs.of_job(change.job.id, change.job.reason) if failed else None)
    return queue_blocked(change, settings.stack_name)
