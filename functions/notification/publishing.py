"""Sending: our events to the stack's bus, messages to its topic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from millrace.errors import MillraceError
from millrace.s3.retry import full_jitter
from notification.documents import SOURCE, Document
from notification.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

ATTEMPTS = 5

TRANSIENT = frozenset({"InternalFailure", "InternalException", "ThrottlingException"})
"""Codes of single entries that another try may mend: EventBridge PutEventsResultEntry. PutEvents itself answers 200."""


class EventsRefusedError(MillraceError):
    """The bus did not take events: for good, or through every try."""


def put_events(
    client: EventBridgeClient, bus: str, documents: Sequence[Document], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Put at most ten events on a bus; those that failed for the moment again, the others never twice.

    Args:
        client: A boto3 EventBridge client.
        bus: The bus's name.
        documents: The events.
        sleep: Waits so many seconds between two tries.

    Raises:
        EventsRefusedError: An event was not taken.
    """
    entries: list[Any] = [
        {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": each.detail_type,
            "Detail": json.dumps(each.detail),
            "Resources": list(each.resources),
        }
        for each in documents
    ]
    refused: list[str] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            # A Lambda has a minute, and Lambda itself calls it again.
            sleep(full_jitter(0.2, attempt))
        answers = client.put_events(Entries=entries)["Entries"]
        failed = [(entry, each) for entry, each in zip(entries, answers, strict=True) if each.get("ErrorCode")]
        refused += [_refusal(each) for _, each in failed if each["ErrorCode"] not in TRANSIENT]
        entries = [entry for entry, each in failed if each["ErrorCode"] in TRANSIENT]
        if not entries:
            break
    else:
        refused += [_refusal(each) for _, each in failed]
    if refused:
        raise EventsRefusedError("; ".join(refused), operation="put events on the bus", target=bus)


def publish(client: SNSClient, topic_arn: str, message: Message) -> None:
    """Publish a message, each protocol its own form, with attributes for filter policies."""
    client.publish(
        TopicArn=topic_arn,
        Subject=message.subject,
        Message=json.dumps(message.forms),
        MessageStructure="json",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
        },
    )


def _refusal(answer: Any) -> str:
    return f"{answer.get('ErrorCode')}: {answer.get('ErrorMessage', '')}"
