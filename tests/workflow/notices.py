"""What the function notify tells of a run that failed, by its own role: equal every time, as long as it may."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from millrace.layout import S3Uri
from tests.workflow.inbox import Inbox
from tests.workflow.runs import Run, until
from tests.workflow.strict_stack import Strict
from tests.workflow.texts import NOT_TEXT

FUNCTION = "NotifyFunction"
KEPT_SECONDS = 120
"""How long the first failure may be on its way to the queue, on a machine that has much else to do."""
LOST_SECONDS = 5
"""How long later ones may, beside three times what those before took."""


@dataclass(frozen=True)
class Notices:
    """Notices of one failed run, each with a redrive count of its own, so that none was told before.

    Attributes:
        strict: The stack.
        run: The run.
        described: What DescribeExecution says of it.
        topic: What the stack's topic tells.
        bus: What its bus tells.
        counts: The redrive counts to come.
        took: How long each failure was on its way to the queue, in seconds.
    """

    strict: Strict
    run: Run
    described: dict[str, Any]
    topic: Inbox
    bus: Inbox
    counts: Iterator[int] = field(default_factory=lambda: itertools.count(100))
    took: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, strict: Strict) -> Notices:
        """Let a run fail: one of its two items is no text, and none may fail."""
        name = f"notice-{time.time_ns()}"
        source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
        strict.runs.put(source, {"good": b"one two", "bad": NOT_TEXT})
        run = strict.runs.start(source, destination)
        described = strict.runs.wait(run, "FAILED")
        topic, bus = Inbox.make(strict.aws, anyone=True), Inbox.make(strict.aws, anyone=True)
        topic.subscribe(strict.stack.outputs["NotificationTopicArn"])
        bus.listen({"source": ["millrace"]}, strict.stack.outputs["EventBusName"])
        return cls(strict, run, described, topic, bus)

    def event(self, status: str) -> dict[str, Any]:
        """The event of the run's end, never told before."""
        detail = {
            "executionArn": self.run.execution,
            "stateMachineArn": self.strict.stack.state_machine_arn,
            "name": self.run.run_id,
            "status": status,
            "startDate": int(self.described["startDate"].timestamp() * 1000),
            "stopDate": int(self.described["stopDate"].timestamp() * 1000),
            "input": self.described["input"],
            "redriveCount": next(self.counts),
        }
        if status == "FAILED":
            detail |= {name: self.described[name] for name in ("error", "cause")}
        return {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}

    def told(self, status: str) -> dict[str, Any]:
        """What two deliveries of an event come to, and what is told of the run."""
        event, cost = self.event(status), self.run.folder.file("cost.json")
        self.strict.s3.delete_object(Bucket=cost.bucket, Key=cost.key)
        error = self.strict.invoke(FUNCTION, event)
        again = self.strict.invoke(FUNCTION, event) if error is None else None
        on_bus, on_topic = (self._about(inbox, event, wait=error is None) for inbox in (self.bus, self.topic))
        detail = on_bus[0] if on_bus else {}
        return {
            "errors": [error, again],
            "bus": len(on_bus),
            "topic": len(on_topic),
            "error": (detail.get("error") or {}).get("name"),
            **{name: detail.get(name) for name in ("planned", "counts", "shards_committed")},
            "cost": (detail.get("cost") or {}).get("usage", {}).get("attempts"),
            "kept": self._is_there(cost),
        }

    def after_a_failure(self) -> Any:
        """A delivery that fails halfway, and the next one."""
        event = self.event("FAILED")
        with self.denied("events:PutEvents"):
            first = self.strict.invoke(FUNCTION, event)
        return first, self.strict.invoke(FUNCTION, event)

    def kept(self) -> str:
        """What becomes of an event that the function fails on every time."""
        event, client, function = self.event("FAILED"), self.strict.aws.client("lambda"), self.strict.physical(FUNCTION)
        queue = Inbox.of(self.strict.aws, self.strict.stack.outputs["UndeliveredQueueUrl"])
        with self.denied("dynamodb:PutItem"), called_once(client, function):
            client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
            begun = time.monotonic()
            deadline = begun + (LOST_SECONDS + 3 * max(self.took) if self.took else KEPT_SECONDS)
            while time.monotonic() < deadline:
                if any(each.get("requestPayload") == event for each in queue.read()):
                    self.took.append(time.monotonic() - begun)
                    return "kept"
                time.sleep(0.1)
        return "lost"

    @contextmanager
    def denied(self, action: str) -> Iterator[None]:
        """The function's role without an action, whatever else it may, for the length of the block."""
        iam, role = self.strict.aws.client("iam"), self.strict.physical(f"{FUNCTION}Role")
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="zz-denied", PolicyDocument=policy)
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="zz-denied")

    def _about(self, inbox: Inbox, event: dict[str, Any], *, wait: bool) -> list[dict[str, Any]]:
        def come() -> list[dict[str, Any]]:
            bodies = (body.get("detail", body) for body in inbox.read())
            return [each for each in bodies if each.get("redrive_count") == event["detail"]["redriveCount"]]

        found: list[dict[str, Any]] = until("the notice", come) if wait else come()
        return found

    def _is_there(self, uri: S3Uri) -> bool:
        return bool(self.strict.s3.list_objects_v2(Bucket=uri.bucket, Prefix=uri.key).get("KeyCount"))


@contextmanager
def called_once(client: Any, function: str) -> Iterator[None]:
    """Without the two tries more that an event otherwise has."""
    named = {"FunctionName": function, "Qualifier": "$LATEST"}  # as CloudFormation made it
    given = client.get_function_event_invoke_config(**named)
    kept = {name: given[name] for name in ("MaximumEventAgeInSeconds", "DestinationConfig")}
    client.put_function_event_invoke_config(**named, MaximumRetryAttempts=0, **kept)
    try:
        yield
    finally:
        tries = given["MaximumRetryAttempts"]
        client.put_function_event_invoke_config(**named, MaximumRetryAttempts=tries, **kept)
