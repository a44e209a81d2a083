"""Uploads: S3's events in a queue that delivers in any order and more than once, and the runs started over them.

The real function start_uploads gets batches of them. Its Step Functions starts an execution of the simulator.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ReadTimeoutError

import start_uploads
from millrace.settings import UploadSettings
from tests.in_memory_s3 import error
from tests.simulation.batch import Batch
from tests.simulation.execution import Execution
from tests.simulation.keys import RESULT, RESULT_PREFIX, SOURCE
from tests.simulation.promises import Promise
from tests.simulation.world import World
from tests.simulation.written import GONE

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

KEYS = ("up/a", "up/b c", "up/é", "up/n+%20")
SQS_FAULTS = ("crash before the messages are deleted", "message delivered again", "batch in another order", "regrouped")
START_FAULTS = ("StartExecution throttled", "StartExecution's answer lost")
CALM_AFTER = 12
"""After so many deliveries the queue and Step Functions are at their best, so that it ends."""
MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:millrace"


class ExecutionAlreadyExists(Exception):  # noqa: N818 - botocore's name
    """There is another execution of this name, or one that has ended."""


@dataclass
class Message:
    """A message in the queue of uploads.

    Attributes:
        number: Its place among all messages; it is its id.
        body: S3's event.
        key: The key that it is on; None for one that must start nothing.
        upload: Which upload of that key it is on, counted over all keys.
        receives: How often it was delivered.
    """

    number: int
    body: str
    key: str | None = None
    upload: int = 0
    receives: int = 0

    @property
    def record(self) -> dict[str, Any]:
        """The message as Lambda hands it to the function."""
        attributes = {"ApproximateReceiveCount": str(self.receives)}
        return {"messageId": f"m{self.number}", "body": self.body, "attributes": attributes}


class StepFunctions:
    """StartExecution, as the function calls it.

    Attributes:
        executions: By name.
        names: The executions that were started for a batch, by the newest upload of each of its keys.
        batch: The batch that is being delivered.
    """

    exceptions = SimpleNamespace(ExecutionAlreadyExists=ExecutionAlreadyExists)

    def __init__(self, world: World, batch: Batch, chance: random.Random) -> None:
        self.executions: dict[str, Execution] = {}
        self.names: dict[frozenset[tuple[str, int]], list[str]] = {}
        self.batch: frozenset[tuple[str, int]] = frozenset()
        self._world = world
        self._batch = batch
        self._chance = chance
        self._inputs: dict[str, str] = {}

    def start_execution(self, **given: str) -> None:
        """Start an execution; one of this name and input that still runs is answered with itself.

        Raises:
            ExecutionAlreadyExists: It has ended, or has another input: Step Functions API reference, StartExecution.
            ClientError: Too many requests.
            ReadTimeoutError: Its answer was lost.
        """
        world, name = self._world, given["name"]
        if world.faults.happens(START_FAULTS[0], 0.1, self._chance):
            raise error("ThrottlingException", 400)
        known = self.executions.get(name)
        if known is not None and (known.ended or self._inputs[name] != given["input"]):
            raise ExecutionAlreadyExists
        if known is None:
            request = json.loads(given["input"])
            world.named[name] = frozenset(request["keys"])
            self._inputs[name] = given["input"]
            self.executions[name] = Execution(world, self._batch, name, request)
            self.names.setdefault(self.batch, []).append(name)
        if world.faults.happens(START_FAULTS[1], 0.1, self._chance):
            raise ReadTimeoutError(endpoint_url="https://states.example")


@dataclass
class DeadLetters:
    """The dead-letter queue, as the function calls it.

    Attributes:
        bodies: The messages in it.
    """

    bodies: list[str] = field(default_factory=list)

    def send_message(self, **given: Any) -> None:
        """Put a message in."""
        self.bodies.append(given["MessageBody"])


class Uploads:
    """What is uploaded in one seed's run, and what becomes of it.

    Args:
        world: What the seed has decided.
        batch: Where the runs' jobs go.
    """

    def __init__(self, world: World, batch: Batch) -> None:
        self._world = world
        self._chance = chance = random.Random(f"{world.seed} uploads")
        self._states = StepFunctions(world, batch, chance)
        self._dead = DeadLetters()
        self._numbers = count(1)
        self._queue: list[Message] = []
        self._again: list[Message] = []
        self._uploads: dict[str, tuple[int, int]] = {}  # by key: the newest upload, and the step of it
        self._settings = UploadSettings(
            MACHINE_ARN,
            {
                "source": f"s3://{SOURCE}/",
                "destination": f"s3://{RESULT}/{RESULT_PREFIX}",
                "tolerated_failure_percent": 100,
            },
        )

    def play(self) -> None:
        """Let it happen, and check it.

        Raises:
            Violation: A promise was broken.
            EndlessRunError: A run does not end.
        """
        world, chance = self._world, self._chance
        world.source.bodies.setdefault(GONE, b"")
        left = [chance.choice(KEYS) for _ in range(chance.choice((1, 2, 3, 5)))]
        if chance.random() < 0.3:
            self._send(json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}))
        if chance.random() < 0.3:
            self._send(self._event("up/d/", 0, size=0))  # a folder marker
        deliveries = 0
        while left or self._queue:
            if left and (not self._queue or chance.random() < 0.5):
                self._upload(left.pop())
                continue
            deliveries += 1
            world.faults.on = deliveries <= CALM_AFTER
            self._deliver(self._next_batch())
            world.scheduler.pause(steps=chance.randrange(60))
        for execution in list(self._states.executions.values()):
            self._see_through(execution)
        self._add_up()

    def _upload(self, key: str) -> None:
        """Write an object; its event is queued once or twice."""
        world, number = self._world, next(self._numbers)
        world.source.write(world.scheduler.steps, key)
        self._uploads[key] = (number, world.scheduler.steps)
        for _ in range(1 + world.faults.happens("event delivered twice", 0.3, self._chance)):
            self._send(self._event(key, number), key, number)

    def _send(self, body: str, key: str | None = None, upload: int = 0) -> None:
        self._queue.append(Message(next(self._numbers), body, key, upload))

    def _event(self, key: str, upload: int, size: int = 9) -> str:
        # Sequencers may differ in length: the shorter one counts as if zeros were behind it.
        detail = {"key": key, "size": size, "sequencer": f"{upload:04X}".rstrip("0") or "0"}
        document = {"source": "aws.s3", "detail-type": "Object Created"}
        return json.dumps({**document, "detail": {"bucket": {"name": SOURCE}, "object": detail}})

    def _next_batch(self) -> list[Message]:
        """What is delivered next: the batch that has to come again, as it was or regrouped, or any messages."""
        faults, chance = self._world.faults, self._chance
        again, self._again = [message for message in self._again if message in self._queue], []
        if again and not faults.happens(SQS_FAULTS[3], 0.3, chance):
            if faults.happens(SQS_FAULTS[2], 0.5, chance):
                chance.shuffle(again)
            return again
        return chance.sample(self._queue, chance.randrange(1, len(self._queue) + 1))

    def _deliver(self, messages: list[Message]) -> None:
        """Call the function with a batch, and delete what it does not want again."""
        world, chance = self._world, self._chance
        for message in messages:
            message.receives += 1
        newest: dict[str, int] = {}
        for message in messages:
            if message.key is not None:
                newest[message.key] = max(newest.get(message.key, 0), message.upload)
        self._states.batch = frozenset(newest.items())
        records = [message.record for message in messages]
        outcome = start_uploads.start_uploads(records, self._settings, cast("SFNClient", self._states))
        wanted = {each["messageId"] for each in start_uploads.wanted_again(outcome, cast("SQSClient", self._dead))}
        world.trace("uploads", f"batch {sorted(newest.items())}: {outcome.runs} runs, again: {sorted(wanted)}")
        names = self._states.names.get(self._states.batch, [])
        world.promises.check(Promise.UPLOADS, len(names) <= 1, f"{newest} was started {len(names)} times")
        done = newest and not any(f"m{message.number}" in wanted for message in messages)
        buried = any(message.receives >= start_uploads.MOST_RECEIVES for message in messages)
        world.promises.check(Promise.UPLOADS, names or not done or buried, f"{newest} is done, and has no run")
        if world.faults.happens(SQS_FAULTS[0], 0.2, chance):
            self._again = messages
            return
        for message in messages:
            kept = f"m{message.number}" in wanted or world.faults.happens(SQS_FAULTS[1], 0.1, chance)
            if not kept:
                self._queue.remove(message)
        if wanted:
            self._again = messages

    def _see_through(self, execution: Execution) -> None:
        """Redrive a run until it is complete."""
        world = self._world
        for tries in range(8):
            execution.wait()
            if execution.status == "SUCCEEDED":
                return
            if tries:
                world.faults.on = False
            world.source.allow_all(world.scheduler.steps)
            execution.redrive()
        execution.wait()
        complete = execution.status == "SUCCEEDED"
        world.promises.check(Promise.ENDS, complete, f"run {execution.name} failed again and again")

    def _add_up(self) -> None:
        """Each object's last upload was worked by a run that was planned after it; no run worked any other object."""
        world, check = self._world, self._world.promises.check
        for (upload, step), key in ((found, key) for key, found in self._uploads.items()):
            runs = [
                name
                for batch, names in self._states.names.items()
                for name in names
                if (key, upload) in batch and world.records.of(name).listed[1] >= step
            ]
            buried = [
                body for body in self._dead.bodies if json.loads(body)["detail"].get("object", {}).get("key") == key
            ]
            check(Promise.UPLOADS, runs or buried, f"the last upload of {key!r} is in no run")
        for batch, names in self._states.names.items():
            for name in names:
                planned = set(world.records.of(name).items)
                named = {key for key, _upload in batch}
                check(Promise.UPLOADS, planned == named, f"{name} worked {planned}, its events name {named}")
