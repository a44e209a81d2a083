# ruff: noqa: SLF001 - to touch private names is what this file is for
"""SNS: messages that a subscriber does not accept.

By itself ministack drops it. On AWS it goes to the queue that the subscription's RedrivePolicy names: at once where the
endpoint is gone or refuses the topic, after retries where an HTTP server is down (SNS developer guide, "Dead-letter
queues"). The retries, which take an hour there, are three within a second here.
"""

import asyncio
import json
import logging
import urllib.error
from typing import Any

from local_aws.ministack.hooks import Ministack
from local_aws.scope import Scope

_LOG = logging.getLogger("local_aws.batch.events")

_PRINCIPAL = "sns.amazonaws.com"
_TRIES = 3
_PAUSE_SECONDS = 0.3


def bury_untaken_messages(ministack: Ministack) -> None:
    """Give a topic's messages to the dead-letter queue of a subscription that does not take them."""
    topics, queues = ministack.topics, ministack.queues
    to_queue = topics._deliver_to_sqs

    def deliver_to_queue(endpoint: str, envelope: str, raw: bool, raw_message: str, **given: Any) -> None:  # noqa: FBT001 - called by position
        topic = given.get("topic_arn", "")
        if queues._queue_by_arn(endpoint) is None:
            bury(topic, endpoint, raw_message if raw else envelope, "the queue does not exist")
        elif not _lets_in(ministack, endpoint, topic):
            bury(topic, endpoint, raw_message if raw else envelope, "the queue's policy does not let the topic in")
        else:
            to_queue(endpoint, envelope, raw, raw_message, **given)

    async def deliver_to_server(endpoint: str, payload: str) -> None:
        for attempt in range(_TRIES):
            try:
                await asyncio.to_thread(topics._http_post_sync, endpoint, payload, "Notification")
            except (OSError, urllib.error.URLError) as error:
                _LOG.info("%s does not take a message: %s", endpoint, error)
                await asyncio.sleep(_PAUSE_SECONDS * attempt)
            else:
                return
        bury(str(json.loads(payload).get("TopicArn", "")), endpoint, payload, "the server is down")

    def bury(topic_arn: str, endpoint: str, body: str, message: str) -> None:
        topic = topics._topic_by_arn_any_scope(topic_arn) or {"subscriptions": ()}
        policies = [
            json.loads(each.get("attributes", {}).get("RedrivePolicy") or "{}")
            for each in topic["subscriptions"]
            if each.get("endpoint") == endpoint
        ]
        arn = next((policy["deadLetterTargetArn"] for policy in policies if policy), "")
        if not arn or queues._queue_by_arn(arn) is None or not _lets_in(ministack, arn, topic_arn):
            _LOG.warning("message of %s to %s dropped: %s", topic_arn, endpoint, message)
            return
        texts = {"ErrorCode": "InvalidEndpoint", "ErrorMessage": message}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        request = {"QueueUrl": queues._queue_by_arn(arn)["url"], "MessageBody": body, "MessageAttributes": attributes}
        with ministack.in_scope(_scope_of(topic_arn)):
            queues._act_send_message(request, {})

    topics._deliver_to_sqs = deliver_to_queue
    topics._deliver_to_http = deliver_to_server


def _lets_in(ministack: Ministack, queue_arn: str, topic_arn: str) -> bool:
    allowed: bool = ministack.queues.queue_policy_allows(queue_arn, _PRINCIPAL, topic_arn, _scope_of(topic_arn).account)
    return allowed


def _scope_of(arn: str) -> Scope:
    _, _, _, region, account, *_ = f"{arn}:::::".split(":")
    return Scope(account, region)
