"""Schedules of runs: each is a schedule of EventBridge Scheduler in the stack's group, with a request as its input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.find.executions import MAX_INPUT_BYTES
from console.find.target import Target
from console.operations.starting import checked_request
from millrace.aws.events import json_object
from millrace.errors import InvalidRunRequest
from millrace.request.chained import STARTED_BY

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

KEPT = (
    *("Name", "GroupName", "Description", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow"),
    *("Target", "State", "StartDate", "EndDate", "KmsKeyArn", "ActionAfterCompletion"),
)
"""What a schedule is made of: UpdateSchedule puts a default where one of these is not given."""

RETRIES = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 185}
"""As of the stack's own schedule: a start that Step Functions did not take in an hour goes to the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule.

    Attributes:
        name: Its name.
        expression: When it fires: `rate(…)` or `cron(…)`.
        time_zone: Whose clock that is, as in `Europe/Berlin`.
        paused: Whether it starts nothing for now.
        request: The input of its runs; empty where that is no JSON object.
        target_arn: What it starts.
    """

    name: str
    expression: str
    time_zone: str
    paused: bool
    request: Mapping[str, Any]
    target_arn: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Schedule:
        """Read what GetSchedule says."""
        return cls(
            found["Name"],
            found["ScheduleExpression"],
            found.get("ScheduleExpressionTimezone", "UTC"),
            found.get("State") == "DISABLED",
            json_object(found["Target"].get("Input")),
            found["Target"]["Arn"],
        )


def schedules(target: Target) -> Iterator[Schedule]:
    """The schedules of a stack, by name."""
    client, group = target.aws.client("scheduler"), target.stack.schedule_group
    pages = client.get_paginator("list_schedules").paginate(GroupName=group)
    for name in sorted(each["Name"] for page in pages for each in page["Schedules"]):
        yield Schedule.of(client.get_schedule(GroupName=group, Name=name))


def add(  # noqa: PLR0917 - what a schedule is made of
    target: Target,
    name: str,
    expression: str,
    time_zone: str,
    request: dict[str, Any],
    code: Mapping[str, Any],
    workload: str | None,
    *,
    paused: bool = False,
) -> Schedule:
    """Check a request as if a run were started with it, and make a schedule of it.

    Args:
        target: Where.
        name: The schedule's name.
        expression: `rate(…)` or `cron(…)`.
        time_zone: Whose clock a `cron(…)` is on.
        request: The input of its runs. Without `overlap` they skip while the last one is at work; without `name` they
            have the schedule's.
        code: The options `code`, `code_python` and `code_platform`.
        workload: The workload in `code`, where the user named it.
        paused: Make it paused.

    Raises:
        InvalidRunRequest: The request is wrong, the name is taken, or AWS does not take the schedule.
    """
    for field in ("run_id", "once", "retry_failed"):
        if field in request:
            raise InvalidRunRequest(field, request[field], "nothing in a schedule: each of its runs is a new one")
    tags = {STARTED_BY: f"the schedule {name}", **(request.get("tags") or {})}
    request = {"overlap": "skip", "name": name, **request, "tags": tags}
    request = checked_request(target, request, code, workload)
    text = json.dumps(request, ensure_ascii=False)
    if len(text.encode(errors="surrogatepass")) > MAX_INPUT_BYTES:
        raise InvalidRunRequest("the request", f"{len(text):,} characters", f"at most {MAX_INPUT_BYTES:,} bytes")
    sqs = target.aws.client("sqs")
    buried = sqs.get_queue_attributes(
        QueueUrl=target.stack.undelivered_queue_url, AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]  # fmt: skip
    given = {
        "Name": name,
        "GroupName": target.stack.schedule_group,
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": time_zone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "DISABLED" if paused else "ENABLED",
        "Target": {
            "Arn": target.stack.state_machine_arn,
            "RoleArn": target.stack.schedule_role_arn,
            "Input": text,
            "RetryPolicy": RETRIES,
            "DeadLetterConfig": {"Arn": buried},
        },
    }
    _call(target, name, "create_schedule", given)
    return Schedule.of(given)


def set_paused(target: Target, name: str, *, paused: bool) -> None:
    """Pause a schedule, or let it go on.

    Raises:
        InvalidRunRequest: There is no such schedule.
    """
    place = {"GroupName": target.stack.schedule_group, "Name": name}
    found = _call(target, name, "get_schedule", place)
    kept = {each: found[each] for each in KEPT if each in found and found[each] not in ("", None)}
    _call(target, name, "update_schedule", {**kept, "State": "DISABLED" if paused else "ENABLED"})


def remove(target: Target, name: str) -> None:
    """Delete a schedule; runs that it started go on.

    Raises:
        InvalidRunRequest: There is no such schedule.
    """
    _call(target, name, "delete_schedule", {"GroupName": target.stack.schedule_group, "Name": name})


def _call(target: Target, name: str, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from botocore.exceptions import ClientError, ParamValidationError  # noqa: PLC0415 - `--help` must not wait for it

    client = target.aws.client("scheduler")
    try:
        answer: dict[str, Any] = getattr(client, operation)(**given)
    except ParamValidationError as error:
        raise InvalidRunRequest("the schedule", name, str(error)) from None
    except ClientError as error:
        raise _refusal(target, name, error) from None
    return answer


def _refusal(target: Target, name: str, error: ClientError) -> Exception:
    answer = error.response["Error"]
    match answer["Code"]:
        case "ResourceNotFoundException":
            allowed = f"the name of a schedule of this stack; {target.command('schedule list')} names them"
            return InvalidRunRequest("schedule", name, allowed)
        case "ConflictException":
            again = target.command("schedule remove", name)
            return InvalidRunRequest("schedule", name, f"a name that no schedule has; to replace it: {again}")
        case "ValidationException":
            allowed = (
                "1 to 64 letters, digits, hyphens, underscores and dots as its name; rate(1 day) or cron(0 3 * * ? *); "
                f"a time zone such as Europe/Berlin. EventBridge Scheduler says: {answer.get('Message', '')}"
            )
            return InvalidRunRequest("schedule", name, allowed)
    return error
