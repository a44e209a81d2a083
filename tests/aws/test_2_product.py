"""Stage 2: the product from nothing to nothing, each total beside a count of our own.

The tests go in this order. Each can be run alone, with what it needs: ONLY=reuse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.find.stack import NESTED, Stack, stack_resources
from tests.aws.product import NAME, Product, counted, stacks, texts
from tests.aws.target import Target
from tests.conformance.account import unique, until

OWN = '''
import os
import time

import boto3
from botocore.exceptions import ClientError
from millrace import workload


@workload()
def words(body):
    return {"words": sum(len(line.split()) for line in body.lines())}


@workload()
def held(body, *, bucket: str, gate: str):
    """Words, once the gate is open.

    Args:
        bucket: Where the gate is.
        gate: The key of an object: the gate is open when it is there.
    """
    client = boto3.client("s3", region_name=os.environ["AWS_REGION"])
    while True:
        try:
            client.head_object(Bucket=bucket, Key=gate)
            return {"words": sum(len(line.split()) for line in body.lines())}
        except ClientError:  # without the right to list, S3 says 403 of what is not there
            time.sleep(1)
'''
STARTS = {
    "UploadRequest": '{"workload": "word-count"}',
    "UploadKeys": "up/*",
    "UploadWindowSeconds": "1",
    "ScheduleExpression": "rate(5 minutes)",
}


@pytest.fixture(scope="module")
def product(target: Target) -> Iterator[Product]:
    """The stack, deployed from nothing; it is deleted at the end, whatever happens."""
    product = Product(target)
    try:
        product.deploy()
        yield product
    finally:
        target.made.extend(arn for arn in stacks(target) if f":stack/{NAME}" in arn)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module of the caller's."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "own.py").write_text(OWN)
    return folder


@pytest.fixture(scope="module")
def words(product: Product) -> tuple[str, str]:
    """Source and destination of a run `words` that has counted twelve texts, as an array of children."""
    source, destination = product.place("words")
    product.put(source, texts(12))
    product.millrace(
        "run", "--source", source, "--destination", destination, "--max-items", "3", "--id", "words",
        "--seconds-per-item", "20",
    )  # fmt: skip
    return source, destination


@dataclass(frozen=True)
class Held:
    """Runs over four texts that wait at a gate, at work, until it is opened."""

    product: Product
    name: str
    destination: str

    @classmethod
    def start(cls, product: Product, code: Path, name: str, runs: tuple[str, ...]) -> Held:
        """Start them, and wait until each is at its gate."""
        source, destination = product.place(name)
        product.put(source, texts(4))
        for run_id in runs:
            product.millrace(
                "start", "--source", source, "--destination", destination, "--id", run_id, "--max-items", "2",
                "--workload", "own:held", "--code", str(code), "--option", f"bucket={product.stack.source_bucket}",
                "--option", f"gate=gates/{name}",
            )  # fmt: skip
        for run_id in runs:
            until(f"{run_id} at work", partial(product.works, destination, run_id), 600)
        return cls(product, name, destination)

    def open(self) -> None:
        """Open the gate."""
        self.product.put(f"s3://{self.product.stack.source_bucket}/gates/", {self.name: b""})

    def check(self, run_id: str) -> None:
        """A run that has ended counted every word of the four texts, once."""
        result = self.product.result(self.destination, run_id)
        assert result["counts"]["succeeded"] == 4
        assert result["result"]["words"] == sum(counted(texts(4)).values())


def test_a_word_count_is_right(product: Product, words: tuple[str, str]) -> None:
    """An array of children, and the words of an independent count."""
    assert product.words(words[1], "words") == counted(texts(12))


def test_reuse_works_only_what_is_new(product: Product, words: tuple[str, str]) -> None:
    """Twelve objects are kept, one is new, and the words are those of all thirteen."""
    source, destination = words
    product.put(source, {"new.txt": b"mill pond"})
    product.millrace("run", "--source", source, "--destination", destination, "--id", "again", "--reuse", "latest")
    reuse = product.result(destination, "again")["reuse"]
    assert (reuse["kept"], reuse["new"]) == (12, 1)
    assert product.words(destination, "again") == counted({**texts(12), "new.txt": b"mill pond"})


def test_own_code_comes_with_the_run(product: Product, code: Path) -> None:
    """A module of the caller's runs in the job image."""
    source, destination = product.place("own")
    product.put(source, texts(3))
    product.millrace(
        "run", "--source", source, "--destination", destination, "--id", "own", "--workload", "own:words",
        "--code", str(code),
    )  # fmt: skip
    assert product.result(destination, "own")["result"]["words"] == sum(counted(texts(3)).values())


def test_a_notification_comes_into_a_queue(product: Product) -> None:
    """The stack's topic tells of a run's end, once, in a queue that is subscribed to it."""
    sqs, topic = product.client("sqs"), product.stack.outputs["NotificationTopicArn"]
    url = sqs.create_queue(QueueName=unique("inbox"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    product.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    source, destination = product.place("told")
    product.put(source, texts(1))
    product.millrace("run", "--source", source, "--destination", destination, "--id", "told")
    seen: list[str] = []

    def told() -> bool:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        seen.extend(message["Body"] for message in messages)
        return any('"told"' in body for body in seen)

    until("a message on the run", told)


def test_a_run_is_cancelled_redriven_and_resumed(product: Product, code: Path) -> None:
    """Cancelled at work, they are ABORTED; one execution is redriven, the other run resumed, and both count all."""
    runs = ("redriven", "resumed")
    held = Held.start(product, code, "stopped", runs)
    for run_id in runs:
        product.millrace("cancel", run_id)
        product.ended(product.execution(run_id), "ABORTED")
    held.open()
    product.millrace("resume", "redriven", "--redrive")
    product.ended(product.execution("redriven"), "SUCCEEDED")
    product.millrace("resume", "resumed")
    for run_id in runs:
        held.check(run_id)


def test_deploying_again_changes_nothing(product: Product) -> None:
    """The same image and the same template: no tag is pushed twice, and no resource is touched."""
    before = product.touched()
    product.deploy()
    assert product.touched() == before


@pytest.mark.parametrize("kind", [{"Network": "PRIVATE"}, {"Compute": "EC2"}], ids=["private-network", "ec2"])
def test_another_kind_of_stack_counts_too(target: Target, kind: dict[str, str]) -> None:
    """Without a way to the internet but the endpoints; on instances. The stack goes at once: it is paid by the hour."""
    (value,) = kind.values()
    other = Product(target, f"{NAME}-{value.lower()}")
    try:
        other.deploy(**kind)
        source, destination = other.place("words")
        other.put(source, texts(4))
        other.millrace("run", "--source", source, "--destination", destination, "--id", "words")
        assert other.words(destination, "words") == counted(texts(4))
        other.delete()
    finally:
        target.made.extend(arn for arn, name in stacks(target).items() if name.startswith(other.name))


@pytest.fixture(scope="module")
def updated(product: Product, code: Path) -> tuple[Held, set[str]]:
    """A run that was at work while the stack was updated, and the executions until then; from now on uploads and a
    schedule start runs.
    """
    held = Held.start(product, code, "flight", ("flight",))
    known, before = executions(product), product.touched()
    product.deploy(LogLevel="DEBUG", **STARTS)
    assert product.touched() != before
    assert product.status(product.execution("flight")) == "RUNNING"
    held.open()
    return held, known


def test_an_update_in_flight_leaves_the_run_alone(product: Product, updated: tuple[Held, set[str]]) -> None:
    """A stack that is updated while a run is at work: the run ends as it would have."""
    product.ended(product.execution("flight"), "SUCCEEDED")
    updated[0].check("flight")


def executions(product: Product) -> set[str]:
    """The executions that there are."""
    listed = product.client("stepfunctions").list_executions(stateMachineArn=product.stack.state_machine_arn)
    return {each["executionArn"] for each in listed["executions"]}


def test_uploads_and_a_schedule_start_runs(product: Product, updated: tuple[Held, set[str]]) -> None:
    """An upload whose key has quote, backslash, blank and emoji is worked; a schedule starts runs by itself."""
    states, key = product.client("stepfunctions"), 'up/a "b" \\ c \U0001f600.txt'
    product.client("s3").put_object(Bucket=product.stack.source_bucket, Key=key, Body=b"mill mill race")

    def started(*, by_upload: bool) -> dict[str, Any] | None:
        for arn in executions(product) - updated[1]:
            found: dict[str, Any] = states.describe_execution(executionArn=arn)
            if ("keys" in json.loads(found["input"])) == by_upload:
                return found
        return None

    upload: Any = until("the upload's run", lambda: started(by_upload=True), 600)
    given: Any = json.loads(upload["input"])
    assert given["keys"] == [key]
    product.ended(upload["executionArn"], "SUCCEEDED")
    assert product.words(given["destination"], given["run_id"]) == {"mill": 2, "race": 1}
    scheduled: Any = until("the schedule's run", lambda: started(by_upload=False), 600)
    product.ended(scheduled["executionArn"], "SUCCEEDED")


def gone(ask: Any, **arguments: str) -> bool:
    """Whether a resource is not there, or about to go once its executions have ended."""
    try:
        return bool(ask(**arguments)["status"] == "DELETING")
    except ClientError as error:
        return "DoesNotExist" in error.response["Error"]["Code"]


def test_a_deleted_stack_is_gone(product: Product, target: Target) -> None:
    """`sam delete` leaves the buckets with their objects, and nothing else, also while the schedule starts runs."""
    found: Stack = product.stack
    parts = {
        each["PhysicalResourceId"]
        for each in stack_resources(product.cloudformation, NAME)
        if each["ResourceType"] == NESTED
    }
    buckets = (found.source_bucket, found.result_bucket)
    for bucket in buckets:
        product.put(f"s3://{bucket}/", {"kept.txt": b"kept"})
    product.delete()
    left = stacks(target)
    assert NAME not in left.values()
    assert len(parts) > 3
    assert parts & left.keys() == set()
    assert gone(product.client("stepfunctions").describe_state_machine, stateMachineArn=found.state_machine_arn)
    queues = product.client("batch").describe_job_queues(jobQueues=list(found.job_queue_arns))["jobQueues"]
    assert [queue for queue in queues if queue["status"] not in ("DELETING", "DELETED")] == []
    for bucket in buckets:
        assert product.client("s3").get_object(Bucket=bucket, Key="kept.txt")["Body"].read() == b"kept"
