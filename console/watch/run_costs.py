"""What a run has cost: as the notify function stored it, or calculated again from what Batch knows of its jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.find.aws import Aws
from millrace.cost.requester_pays import source_bill_text
from millrace.cost.run_cost import read_cost, run_cost
from millrace.errors import StorageError
from millrace.text import dollars_text, duration_text, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millrace.layout import RunFolder


def cost_until_now(
    aws: Aws, queues: Sequence[str], folder: RunFolder | None, ended: datetime | None
) -> dict[str, Any] | None:
    """A run's cost, as cost.json has it; None where nothing is known of its jobs, or it may not be looked at.

    Args:
        aws: Where it ran.
        queues: The ARNs of the stack's queues.
        folder: The run's folder; None where it never had one.
        ended: When its last execution ended; None while that is at work.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    if folder is None:
        return None
    try:
        kept = read_cost(folder, aws.s3)
        if kept is not None and ended is not None and datetime.fromisoformat(kept["at"]) >= ended:
            return kept
        found = run_cost(aws.batch, queues, folder, aws.s3)
    except (ClientError, BotoCoreError, StorageError):
        return None
    # What Batch has forgotten by now, it still knew when the cost was kept.
    return found if found["usage"]["attempts"] else kept


def cost_lines(cost: dict[str, Any]) -> list[str]:
    """A run's cost for people: the sum beside its estimate, what it is made of, and what was paid for."""
    estimated, usage = cost["estimated_dollars"], cost["usage"]
    beside = "" if estimated is None else f", estimated {dollars_text(estimated)}"
    saved = cost.get("saved_dollars")
    beside += "" if saved is None else f"; reuse saved about {dollars_text(saved)}"
    so_far = "" if cost["complete"] else " so far: not all of its jobs have ended, or Batch forgot some"
    parts = ", ".join(f"{name.replace('_', ' ')} {dollars_text(each)}" for name, each in cost["parts"].items())
    paid = f"{usage['vcpu_seconds']:,.0f} vCPU-seconds and {usage['gb_seconds']:,.0f} GB-seconds paid for"
    return [
        f"Cost        about {dollars_text(cost['dollars'])}{beside}{so_far}",
        f"            {parts}",
        f"            {plural(usage['attempts'], 'attempt')}, {duration_text(usage['seconds'])} of work, {paid}",
        f"            prices of {cost['prices']['region']}, {cost['prices']['date']}",
        *([f"            {source_bill_text(cost['requester_pays'])}"] if "requester_pays" in cost else []),
    ]
