"""Stage 2: the product from nothing to nothing, each total beside a count of our own. The tests go in this order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.product import NAME, Product, counted, texts
from tests.aws.target import Target
from tests.conformance.account import unique, until

OWN = """
import time

from millrace import workload


@workload()
def lines(body):
    return {"lines": sum(1 for _ in body.lines())}


@workload()
def slow(body):
    time.sleep(20)
    return {"lines": sum(1 for _ in body.lines())}
"""


@pytest.fixture(scope="module")
def product(target: Target) -> Iterator[Product]:
    """The stack, deployed from nothing; it is deleted at the end, whatever happens."""
    product = Product(target)
    try:
        product.deploy()
        yield product
    finally:
        arns = [each["StackId"] for each in target.client("cloudformation").describe_stacks()["Stacks"]]
        target.made.extend(arn for arn in arns if f":stack/{NAME}" in arn)


def test_a_word_count_is_right(product: Product) -> None:
    """An array of children, and the words of an independent count."""
    source, destination = product.place("words")
    product.put(source, texts(12))
    product.millrace(
        "run", "--source", source, "--destination", destination, "--max-items", "3", "--name", "words",
        "--seconds-per-item", "20",
    )  # fmt: skip
    assert product.words(destination, "words") == counted(texts(12))


def test_reuse_works_only_what_is_new(product: Product) -> None:
    """Twelve objects are kept, one is new, and the words are those of all thirteen."""
    source, destination = product.place("words")
    product.put(source, {"new.txt": b"mill pond"})
    product.millrace("run", "--source", source, "--destination", destination, "--name", "again", "--reuse", "latest")
    result = json.loads(product.file(destination, "again", "result.json"))
    assert (result["reuse"]["kept"], result["reuse"]["new"]) == (12, 1)
    assert product.words(destination, "again") == counted({**texts(12), "new.txt": b"mill pond"})


def test_own_code_comes_with_the_run(product: Product, tmp_path: Path) -> None:
    """A module of the caller's runs in the job image."""
    (tmp_path / "own.py").write_text(OWN)
    source, destination = product.place("own")
    product.put(source, texts(3))
    product.millrace(
        "run", "--source", source, "--destination", destination, "--name", "own", "--workload", "own:lines",
        "--code", str(tmp_path),
    )  # fmt: skip
    assert json.loads(product.file(destination, "own", "result.json"))["counts"]["succeeded"] == 3


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
    product.millrace("run", "--source", source, "--destination", destination, "--name", "told")
    seen: list[str] = []

    def told() -> bool:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        seen.extend(message["Body"] for message in messages)
        return any('"told"' in body for body in seen)

    until("a message on the run", told)


def test_a_run_is_cancelled_redriven_and_resumed(product: Product, tmp_path: Path) -> None:
    """Cancelled in the middle, it is ABORTED; redriven, its execution goes on; so does a run that is resumed."""
    (tmp_path / "own.py").write_text(OWN)
    source, destination = product.place("stopped")
    product.put(source, texts(4))
    for name in ("redriven", "resumed"):
        execution = product.execution(name)
        product.millrace(
            "start", "--source", source, "--destination", destination, "--name", name, "--max-items", "2",
            "--workload", "own:slow", "--code", str(tmp_path),
        )  # fmt: skip
        product.millrace("cancel", name)
        product.ended(execution, "ABORTED")
        if name == "redriven":
            product.client("stepfunctions").redrive_execution(executionArn=execution)
            product.ended(execution, "SUCCEEDED")
        else:
            product.millrace("resume", name)
        assert json.loads(product.file(destination, name, "result.json"))["counts"]["succeeded"] == 4


def test_deploying_again_changes_nothing(product: Product) -> None:
    """The same image and the same template: no tag is pushed twice, and no resource is touched."""
    client = product.client("cloudformation")
    before = client.describe_stacks(StackName=NAME)["Stacks"][0].get("LastUpdatedTime")
    product.deploy()
    assert client.describe_stacks(StackName=NAME)["Stacks"][0].get("LastUpdatedTime") == before


def test_an_update_in_flight_leaves_the_run_alone(product: Product) -> None:
    """A stack that is updated while a run is at work: the run ends as it would have."""
    source, destination = product.place("flight")
    product.put(source, texts(4))
    product.millrace(
        "start", "--source", source, "--destination", destination, "--max-items", "1", "--seconds-per-item", "60",
        "--name", "flight",
    )  # fmt: skip
    product.deploy(LogLevel="DEBUG")
    product.ended(product.execution("flight"), "SUCCEEDED")
    assert product.words(destination, "flight") == counted(texts(4))


def executions(product: Product) -> set[str]:
    """The executions that there are."""
    listed = product.client("stepfunctions").list_executions(stateMachineArn=product.stack.state_machine_arn)
    return {each["executionArn"] for each in listed["executions"]}


def test_uploads_and_a_schedule_start_runs(product: Product) -> None:
    """An upload whose key has quote, backslash, blank and emoji is worked; a schedule starts runs by itself."""
    known, key = executions(product), 'up/a "b" \\ c \U0001f600.txt'
    product.deploy(
        UploadRequest='{"workload": "word-count"}', UploadKeys="up/*", UploadWindowSeconds="1",
        ScheduleExpression="rate(5 minutes)",
    )  # fmt: skip
    states = product.client("stepfunctions")
    product.client("s3").put_object(Bucket=product.stack.source_bucket, Key=key, Body=b"mill mill race")

    def started(*, by_upload: bool) -> dict[str, Any] | None:
        for arn in executions(product) - known:
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


@pytest.mark.parametrize("kind", [{"Network": "PRIVATE"}, {"Compute": "EC2"}], ids=["private-network", "ec2"])
def test_another_kind_of_stack_counts_too(target: Target, product: Product, kind: dict[str, str]) -> None:
    """Without a way to the internet but the endpoints; on instances. The stack goes at once: it is paid by the hour."""
    (value,) = kind.values()
    other = Product(target, f"{product.name}-{value.lower()}")
    try:
        other.deploy(**kind)
        source, destination = other.place("words")
        other.put(source, texts(4))
        other.millrace("run", "--source", source, "--destination", destination, "--name", "words")
        assert other.words(destination, "words") == counted(texts(4))
    finally:
        other.delete()


def test_a_deleted_stack_is_gone(product: Product) -> None:
    """`sam delete` leaves the buckets with their objects, and nothing else."""
    product.delete()
    found = product.client("cloudformation").describe_stacks()["Stacks"]
    assert NAME not in [each["StackName"] for each in found if each["StackStatus"] != "DELETE_COMPLETE"]
