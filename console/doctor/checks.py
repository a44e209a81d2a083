"""What `millrace doctor` looks at, check by check, from the credentials to undelivered notifications and alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from console.doctor.alarms import alarms
from console.doctor.bases import NAME as REUSE
from console.doctor.bases import bases
from console.doctor.check import Check, Outcome
from console.doctor.drift import drift
from console.doctor.limits import quota_behind, rates, vcpu_quota
from console.doctor.schedules import NAME as SCHEDULES
from console.doctor.schedules import check_schedules
from console.doctor.sources import NAME as SOURCE
from console.doctor.sources import check_source
from console.doctor.undelivered import undelivered
from console.errors import StackNotFoundError
from console.find.target import Target
from console.watch.waiting import queue_troubles
from millrace.errors import InvalidRunRequest, StorageError
from millrace.text import duration_text, plural

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

NAMED_FILES = 5
"""How many files that differ are named."""

LONG_SECONDS = 900
"""How long a job may wait in RUNNABLE before it is worth a word."""


def checks(target: Target, shards: int | None) -> Iterator[Check]:
    """Every check, one after the other; those that need the stack only where there is one.

    Args:
        target: What is looked at.
        shards: How many shards the next run will have, where the user said so.
    """
    credentials = _asked("credentials", lambda: _credentials(target))
    yield credentials
    if credentials.outcome == "fail":
        return
    found = _asked("stack", lambda: _stack(target))
    yield found
    if found.outcome != "ok":
        return
    stack = target.stack
    yield _asked("drift", lambda: _drift(target))
    for address in stack.sources:
        yield _asked(SOURCE, partial(check_source, target, address))
    yield _bucket(target, "result bucket", stack.result_bucket)
    yield from _public(target)
    yield _asked("queue", lambda: _queue(target))
    yield _asked("image", lambda: _image(target))
    yield _asked("vCPU quota", lambda: vcpu_quota(target, shards))
    yield _asked("behind Spot", lambda: quota_behind(target))
    yield rates(target, shards)
    yield _asked("waiting jobs", lambda: _waiting(target))
    yield _asked("undelivered notifications", lambda: undelivered(target))
    yield _asked("alarms", lambda: alarms(target))
    yield _asked(SCHEDULES, lambda: check_schedules(target))
    yield _asked(REUSE, lambda: bases(target))


def _asked(name: str, check: Callable[[], Check]) -> Check:
    """The check's outcome; a call that is refused is a warning, or a failure where nothing goes without it."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    try:
        return check()
    except ClientError as error:
        return Check(name, _SERIOUS.get(name, "warn"), _refusal(error), _TODO.get(name, ""))
    except BotoCoreError as error:
        return Check(name, _SERIOUS.get(name, "warn"), str(error), _TODO.get(name, ""))


_SERIOUS: dict[str, Outcome] = {"credentials": "fail", "stack": "fail"}

_TODO = {
    "credentials": "log in: aws sso login, or set AWS_PROFILE; --profile names another one",
    "vCPU quota": "look it up in the Service Quotas console, AWS Fargate",
    "alarms": "give your own identity sns:GetTopicAttributes on the topic and kms:GetKeyPolicy on its key",
    SCHEDULES: "give your own identity scheduler:ListSchedules and scheduler:GetSchedule on the group's schedules",
    REUSE: "give your own identity s3:GetLifecycleConfiguration on the result bucket",
    "undelivered notifications": "give your own identity sqs:GetQueueAttributes and sqs:ReceiveMessage on the queue",
}


def _refusal(error: ClientError) -> str:
    answer = error.response.get("Error", {})
    return f"cannot be read: {answer.get('Message') or answer.get('Code') or error}"


def _credentials(target: Target) -> Check:
    if target.is_local:
        return Check("credentials", "ok", f"the embedded AWS at {target.aws.endpoint_url} takes its own")
    identity = target.aws.client("sts").get_caller_identity()
    return Check("credentials", "ok", f"{identity['Arn']} in account {identity['Account']}")


def _stack(target: Target) -> Check:
    try:
        stack = target.stack
    except StackNotFoundError as error:
        todo = "millrace local deploy" if target.is_local else f"millrace deploy --stack {target.stack_name}"
        return Check("stack", "fail", f"{target.stack_name}: {error.message}", todo)
    return Check("stack", "ok", f"{stack.name} is {stack.status}")


def _drift(target: Target) -> Check:
    differing = drift(target)
    if not differing:
        return Check("drift", "ok", "the state machine and the functions are those of this millrace")
    todo = (
        "millrace local deploy"
        if target.is_local
        else f"millrace deploy --stack {target.stack_name}, if this millrace is what should run"
    )
    more = f" and {len(differing) - NAMED_FILES} more" if len(differing) > NAMED_FILES else ""
    return Check("drift", "warn", f"not as in this millrace: {', '.join(differing[:NAMED_FILES])}{more}", todo)


def _bucket(target: Target, place: str, bucket: str) -> Check:
    try:
        next(iter(target.aws.s3.list(bucket)), None)
    except StorageError as error:
        return Check(place, "fail", error.message, "give your own identity s3:ListBucket, or name the bucket's owner")
    return Check(place, "ok", f"s3://{bucket}/ can be listed")


def _public(target: Target) -> Iterator[Check]:
    """Whether each bucket of public data answers who shows no credentials."""
    place = "public bucket"
    try:
        public = target.stack.public_buckets
    except InvalidRunRequest as error:
        yield Check(place, "fail", str(error), "deploy again with names of buckets in PublicBucketNames")
        return
    s3 = target.aws.s3_reading(public)
    for bucket in sorted(public):
        try:
            next(iter(s3.list(bucket)), None)
        except StorageError as error:
            todo = (
                "take it out of PublicBucketNames, and name it as a source bucket: its owner does not let everyone list"
            )
            yield Check(place, "fail", f"s3://{bucket}/: {error.message}", todo)
        else:
            yield Check(place, "ok", f"s3://{bucket}/ can be listed without credentials")


def _queue(target: Target) -> Check:
    queues = target.stack.job_queue_arns
    troubles = dict.fromkeys(trouble for queue in queues for trouble in queue_troubles(target.aws, queue))
    if troubles:
        return Check("queue", "fail", "; ".join(troubles), "look at it in the Batch console, or deploy again")
    return Check("queue", "ok", f"{plural(len(queues), 'job queue')} and the compute environments: ENABLED and VALID")


def _image(target: Target) -> Check:
    if target.is_local:
        return Check("image", "ok", "the embedded AWS runs the jobs from this checkout")
    image = target.stack.parameters.get("Image", "")
    uri, _, digest = image.partition("@")
    registry, _, name = uri.partition("/")
    client = target.aws.client("ecr")
    try:
        found = client.describe_images(
            registryId=registry.partition(".")[0], repositoryName=name, imageIds=[{"imageDigest": digest}]
        )["imageDetails"]
    except (client.exceptions.ImageNotFoundException, client.exceptions.RepositoryNotFoundException):
        return Check("image", "fail", f"there is no image {image}", f"millrace deploy --stack {target.stack_name}")
    pushed = found[0]["imagePushedAt"]
    return Check("image", "ok", f"{image}, pushed {pushed:%Y-%m-%d %H:%M}")


def _waiting(target: Target) -> Check:
    waiting = [
        job
        for queue in target.stack.job_queue_arns
        for job in target.aws.batch.list_jobs(jobQueue=queue, jobStatus="RUNNABLE")["jobSummaryList"]
    ]
    if not waiting:
        return Check("waiting jobs", "ok", "no job waits in RUNNABLE")
    oldest = min(waiting, key=lambda job: job["createdAt"])
    waited = datetime.now(UTC).timestamp() - oldest["createdAt"] / 1000
    message = f"{plural(len(waiting), 'job')} in RUNNABLE, the oldest for {duration_text(waited)}"
    if waited < LONG_SECONDS:
        return Check("waiting jobs", "ok", message)
    reason = f": {oldest['statusReason']}" if oldest.get("statusReason") else ""
    return Check("waiting jobs", "warn", message + reason, f"look at it: {target.command('status')}")
