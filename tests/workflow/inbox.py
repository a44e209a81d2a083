"""Who is told: queues behind the stack's topic, behind its bus, and behind all that AWS tells."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from console.find.aws import Aws
from tests.workflow.runs import until


@dataclass
class Inbox:
    """An SQS queue, and what has come into it so far.

    Attributes:
        aws: Clients of the embedded AWS.
        url: The queue's URL.
        arn: The queue's ARN.
        seen: What has come, in the order of coming: bodies as JSON.
    """

    aws: Aws
    url: str
    arn: str
    seen: list[dict[str, Any]]

    @classmethod
    def make(cls, aws: Aws, *, anyone: bool = False) -> Inbox:
        """A new queue; `anyone` may send to it where IAM is enforced."""
        sqs = aws.client("sqs")
        url = sqs.create_queue(QueueName=f"inbox-{uuid.uuid4().hex[:10]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if anyone:
            allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return cls(aws, url, arn, [])

    @classmethod
    def of(cls, aws: Aws, url: str) -> Inbox:
        """A queue that is there."""
        return cls(aws, url, "", [])

    def subscribe(self, topic_arn: str, **attributes: str) -> None:
        """Have a topic's messages come here, without SNS's own envelope."""
        self.aws.client("sns").subscribe(
            TopicArn=topic_arn,
            Protocol="sqs",
            Endpoint=self.arn,
            Attributes={"RawMessageDelivery": "true", **attributes},
        )

    def listen(self, pattern: dict[str, Any], bus: str = "default") -> None:
        """Have the events that match come here."""
        events, name = self.aws.client("events"), f"inbox-{uuid.uuid4().hex[:10]}"
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": self.arn}])

    def read(self) -> list[dict[str, Any]]:
        """All that has come so far."""
        sqs = self.aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.seen.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.seen

    def about(self, run_id: str, count: int = 0) -> list[dict[str, Any]]:
        """Our events on a run, bare or in EventBridge's envelope, once there are so many."""

        def come() -> list[dict[str, Any]] | None:
            found = [
                each for each in (body.get("detail", body) for body in self.read()) if each.get("run_id") == run_id
            ]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = until(f"{count} messages about {run_id}", come) if count else come() or []
        return found
