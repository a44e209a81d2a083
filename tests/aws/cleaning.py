"""Deletes what the tests made in an account: what has their tag, and nothing else.

`make test-aws-clean` runs it by itself, after a run of the tests that was killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.aws.target import TAG, Target, TargetError

GONE = ("not found", "ResourceNotFound", "NonExistentQueue", "NoSuchBucket", "QueueDoesNotExist", "does not exist")
SECONDS = 600.0
OF_THE_PAST = (":job/", ":execution:", ":task/")
"""What has the tag, costs nothing, and is forgotten by AWS itself."""


def tagged(target: Target, run: str | None = None) -> list[str]:
    """The ARNs of all that has the tests' tag: what this run of them made, or without one what any made."""
    client = target.client("resourcegroupstaggingapi")
    wanted = {"Key": TAG} if run is None else {"Key": TAG, "Values": [run]}
    pages = client.get_paginator("get_resources").paginate(TagFilters=[wanted])
    return [found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]]


def delete(target: Target, arns: Iterable[str], say: Callable[[str], object] = print) -> list[str]:
    """Delete these, users before what they use; returns those that could not be deleted.

    What belongs to a stack goes with its stack and is passed over until then.
    """
    found = sorted(dict.fromkeys(arns), key=len)  # a stack's name begins those of the stacks nested in it
    left = []
    for kind, remove in _DELETES:
        for arn in [each for each in found if kind in each]:
            try:
                remove(target, arn)
                say(f"deleted {arn}")
            except (ClientError, BotoCoreError, TimeoutError) as error:  # the others are deleted all the same
                if not any(word in str(error) for word in GONE):
                    left.append(arn)
                    say(f"NOT deleted {arn}: {error}")
    return left


def unknown(arns: Iterable[str]) -> list[str]:
    """Those of a kind that nothing here deletes: they should have gone with their stack."""
    kinds = (*(kind for kind, _ in _DELETES), *OF_THE_PAST)
    return sorted({arn for arn in arns if not any(kind in arn for kind in kinds)})


def _stack(target: Target, arn: str) -> None:
    client = target.client("cloudformation")
    client.delete_stack(StackName=arn)
    client.get_waiter("stack_delete_complete").wait(StackName=arn, WaiterConfig={"Delay": 2, "MaxAttempts": 900})


def _rule(target: Target, arn: str) -> None:
    client, (bus, _, name) = target.client("events"), arn.partition(":rule/")[2].rpartition("/")
    where = {"EventBusName": bus or "default"}
    targets = [each["Id"] for each in client.list_targets_by_rule(Rule=name, **where)["Targets"]]
    if targets:
        client.remove_targets(Rule=name, Ids=targets, **where)
    client.delete_rule(Name=name, **where)


def _queue_of_jobs(target: Target, arn: str) -> None:
    batch = target.client("batch")
    for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"):
        for page in batch.get_paginator("list_jobs").paginate(jobQueue=arn, jobStatus=status):
            for job in page["jobSummaryList"]:
                batch.terminate_job(jobId=job["jobId"], reason="the tests are over")
    batch.update_job_queue(jobQueue=arn, state="DISABLED")
    _until(lambda: batch.describe_job_queues(jobQueues=[arn])["jobQueues"][0]["status"] != "UPDATING")
    batch.delete_job_queue(jobQueue=arn)
    _until(lambda: not _live(batch.describe_job_queues(jobQueues=[arn])["jobQueues"]))


def _environment(target: Target, arn: str) -> None:
    batch = target.client("batch")
    describe = batch.describe_compute_environments
    batch.update_compute_environment(computeEnvironment=arn, state="DISABLED")
    _until(lambda: describe(computeEnvironments=[arn])["computeEnvironments"][0]["status"] != "UPDATING")
    batch.delete_compute_environment(computeEnvironment=arn)
    _until(lambda: not _live(describe(computeEnvironments=[arn])["computeEnvironments"]))


def _live(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in found if each.get("status") != "DELETED"]


def _queue(target: Target, arn: str) -> None:
    client = target.client("sqs")
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"])


def _bucket(target: Target, arn: str) -> None:
    client, name = target.client("s3"), arn.rpartition(":")[2]
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
    client.delete_bucket(Bucket=name)


def _log_group(target: Target, arn: str) -> None:
    target.client("logs").delete_log_group(logGroupName=arn.partition(":log-group:")[2].removesuffix(":*"))


def _until(answer: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not answer():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {SECONDS:g} s")
        time.sleep(1)


_DELETES: tuple[tuple[str, Callable[[Target, str], object]], ...] = (
    (":cloudformation:", _stack),
    (":rule/", _rule),
    (":stateMachine:", lambda t, arn: t.client("stepfunctions").delete_state_machine(stateMachineArn=arn)),
    (":function:", lambda t, arn: t.client("lambda").delete_function(FunctionName=arn)),
    (":job-queue/", _queue_of_jobs),
    (":compute-environment/", _environment),
    (":scheduling-policy/", lambda t, arn: t.client("batch").delete_scheduling_policy(arn=arn)),
    (":job-definition/", lambda t, arn: t.client("batch").deregister_job_definition(jobDefinition=arn)),
    (":sqs:", _queue),
    (":log-group:", _log_group),
    (":s3:::", _bucket),
)
"""How each kind is deleted, in this order: stacks, then what uses others, then the others."""


def main() -> int:
    """Delete all that has the tag; 1 where something is left, 2 for a wrong account."""
    try:
        target = Target.read()
        target.check()
    except TargetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    left = delete(target, tagged(target))
    for arn in unknown(tagged(target)):
        sys.stdout.write(f"still listed, which AWS may do for some minutes; it goes with its stack: {arn}\n")
    sys.stdout.write(f"left: {len(left)}\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
