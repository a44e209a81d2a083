"""Read Plan: the plan's counts, from which the array job is sized."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.layout import S3Uri
from millrace.run.plan import Plan
from millrace.s3.verbs import S3, connect

logger = Logger()
tracer = Tracer()
metrics = Metrics()
s3 = connect()


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The Lambda's entry point: `read_plan` with this function's client."""
    plan = read_plan(event, s3)
    metrics.add_metric("ShardsPlanned", MetricUnit.Count, plan["shards"])
    metrics.add_metric("ItemsPlanned", MetricUnit.Count, plan["items"])
    metrics.add_metric("BytesPlanned", MetricUnit.Bytes, plan["bytes"])
    logger.info("plan read", extra={"plan": event["plan"], **plan})
    return plan


def read_plan(event: dict[str, Any], s3: S3) -> dict[str, Any]:
    """Read what plan.json says.

    Args:
        event: `plan`, the URI of plan.json.
        s3: The client to read with.

    Returns:
        shards (0 to 10,000), items, bytes, digest and merge_parts (0, or 2 to 10,000): what the state machine keeps
        as `$.plan`.

    Raises:
        DamagedFileError: The file is not a plan.
        StorageError: It cannot be read.
    """
    uri = S3Uri.parse(event["plan"], "plan")
    plan = Plan.from_json(s3.read(uri), str(uri))
    return {
        "shards": plan.shards,
        "items": plan.items,
        "bytes": plan.total_bytes,
        "digest": plan.digest,
        "merge_parts": plan.merge_parts,
    }
