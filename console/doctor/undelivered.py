"""What was not delivered: events, messages and uploads in the stack's dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from console.doctor.check import Check
from console.find.target import Target
from millrace.errors import shortened
from millrace.text import duration_text, plural, visible

NAME = "undelivered notifications"

REASON = "ERROR_MESSAGE"
"""EventBridge user guide, "Using dead-letter queues"; the function start_uploads uses the same."""

SEEN = 10
"""ReceiveMessage, MaxNumberOfMessages: at most 10 at once."""

NAMED = 3
"""How many of what was seen are named."""


def undelivered(target: Target) -> Check:
    """What is in the dead-letter queue: how many, since when, of which runs or keys, and why."""
    url = target.stack.outputs.get("UndeliveredQueueUrl", "")
    if not url:
        return Check(NAME, "warn", "the stack has no queue for it", "deploy this version of the template")
    sqs = target.aws.client("sqs")
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    count = sum(int(counts.get(name, 0)) for name in names)
    if not count:
        return Check(NAME, "ok", "none: the dead-letter queue is empty")
    # Without a visibility timeout they stay visible to other consumers.
    seen = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=SEEN,
        VisibilityTimeout=0,
        AttributeNames=["SentTimestamp"],
        MessageAttributeNames=[REASON],
    ).get("Messages", [])
    sent = [int(each["Attributes"]["SentTimestamp"]) / 1000 for each in seen]
    oldest = f", the oldest seen for {duration_text(datetime.now(UTC).timestamp() - min(sent))}" if sent else ""
    about = list(dict.fromkeys(filter(None, (_about(each["Body"]) for each in seen))))
    of = f": {', '.join(about[:NAMED])}{' and others' if len(about) > NAMED else ''}" if about else ""
    reasons = list(dict.fromkeys(filter(None, map(_reason, seen))))
    why = f"; why: {'; '.join(reasons[:NAMED])}{' and others' if len(reasons) > NAMED else ''}" if reasons else ""
    return Check(
        NAME,
        "warn",
        f"{plural(count, 'message')} in {url}{oldest}{of}{why}",
        "fix the cause, then deliver them: docs/notifications.md, Nothing is lost; they are kept for 14 days",
    )


def _about(body: str) -> str:
    """Which run, job or queue it is about: EventBridge's event, what Lambda failed on, or the topic's message."""
    found: Any = _object(body)
    found = found.get("requestPayload") or found
    detail = _object(found["Message"]) if "Message" in found else found.get("detail", found)
    if not isinstance(detail, dict):
        return ""
    uploaded = detail.get("object")
    if isinstance(uploaded, dict) and uploaded.get("key"):
        return visible(str(uploaded["key"]))
    return _first(detail, ("run_id", "name", "jobName", "job_name", "jobQueue"))


def _reason(message: Mapping[str, Any]) -> str:
    """Why it is there, where EventBridge, Lambda or the function start_uploads says so."""
    said = message.get("MessageAttributes", {}).get(REASON, {}).get("StringValue", "")
    answered = _object(message["Body"]).get("responsePayload")
    if not said and isinstance(answered, dict):
        said = answered.get("errorMessage", "")
    return visible(shortened(str(said)))


def _first(detail: Mapping[str, Any], names: Iterable[str]) -> str:
    return next((str(detail[name]) for name in names if detail.get(name)), "")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
