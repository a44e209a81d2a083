"""EventBridge Scheduler: what it refuses, when it fires, under which role, and where a start goes that failed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import ROLE, Account, unique, until

pytestmark = pytest.mark.embedded("it relies on --schedule-scale, and on a role that no account has")

PASS = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}


@pytest.fixture(scope="module")
def machine(account: Account) -> str:
    """A state machine that ends at once."""
    states = account.client("stepfunctions")
    made = states.create_state_machine(name=unique("scheduled"), definition=json.dumps(PASS), roleArn=ROLE)
    return str(made["stateMachineArn"])


def schedule(account: Account, machine: str, expression: str, **given: Any) -> tuple[str, str]:
    """A schedule in a group of its own; returns group and name."""
    client, name = account.client("scheduler"), unique("schedule")
    client.create_schedule_group(Name=name)
    target = {"Arn": machine, "RoleArn": ROLE, "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}
    client.create_schedule(
        **{
            "Name": name, "GroupName": name, "ScheduleExpression": expression,
            "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target, **given,
        }
    )  # fmt: skip
    return name, name


def inputs(account: Account, machine: str) -> list[str]:
    """The inputs of a state machine's executions."""
    states = account.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    return [states.describe_execution(executionArn=each["executionArn"])["input"] for each in listed]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ScheduleExpression": "every day"}, "Invalid Schedule Expression every day"),
        ({"ScheduleExpression": "cron(0 3 * *)"}, "Invalid Schedule Expression"),
        ({"ScheduleExpressionTimezone": "Europe/Atlantis"}, "Invalid time zone Europe/Atlantis"),
    ],
)
def test_a_schedule_that_never_fires_is_refused(
    account: Account, machine: str, given: dict[str, str], words: str
) -> None:
    """API: CreateSchedule, ValidationException."""
    with pytest.raises(ClientError, match=words) as refused:
        schedule(account, machine, "rate(1 minute)", **given)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_rate_fires_again_and_again_until_it_is_paused(account: Account, machine: str) -> None:
    """Its context attributes are filled in; a disabled one starts nothing."""
    group, name = schedule(account, machine, "rate(1 minute)")
    seen = until("two starts", lambda: (found := inputs(account, machine)) and len(found) > 1 and found)
    assert datetime.fromisoformat(json.loads(seen[0])["at"])
    client = account.client("scheduler")
    found = client.get_schedule(GroupName=group, Name=name)
    kept = {each: found[each] for each in ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    client.update_schedule(**kept, State="DISABLED")
    assert client.get_schedule(GroupName=group, Name=name)["State"] == "DISABLED"
    client.delete_schedule_group(Name=group)
    with pytest.raises(ClientError, match="does not exist"):
        client.get_schedule(GroupName=group, Name=name)


def test_a_start_that_fails_goes_to_the_dead_letter_queue(account: Account, machine: str) -> None:
    """With the input as body, and the reason as an attribute."""
    sqs = account.client("sqs")
    queue = sqs.create_queue(QueueName=unique("buried"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    target = {
        "Arn": f"{machine}-gone", "RoleArn": ROLE, "Input": '{"name": "nightly"}', "DeadLetterConfig": {"Arn": arn},
    }  # fmt: skip
    group, _ = schedule(account, machine, "rate(1 minute)", Target=target)

    def come() -> Any:
        return sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"]).get("Messages")

    message = until("the message", come)[0]
    account.client("scheduler").delete_schedule_group(Name=group)
    assert message["Body"] == '{"name": "nightly"}'
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "StateMachineDoesNotExist"


def test_more_schedules_than_a_page_holds_are_all_listed(account: Account, machine: str) -> None:
    """A hundred a page at most, and every one once by the token of the page before (API: ListSchedules)."""
    client = account.client("scheduler")
    group, name = schedule(account, machine, "rate(1 day)", State="DISABLED")
    found = client.get_schedule(GroupName=group, Name=name)
    kept = {each: found[each] for each in ("GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")}
    names = {name, *(f"{name[:50]}-{number}" for number in range(101))}
    for each in names - {name}:
        client.create_schedule(Name=each, **kept)

    pages = list(client.get_paginator("list_schedules").paginate(GroupName=group))
    few = list(client.get_paginator("list_schedules").paginate(GroupName=group, PaginationConfig={"PageSize": 40}))
    assert [len(page["Schedules"]) for page in pages] == [100, 2]
    assert [len(page["Schedules"]) for page in few] == [40, 40, 22]
    assert sorted(each["Name"] for page in pages for each in page["Schedules"]) == sorted(names)
    assert client.list_schedules(GroupName=group, NamePrefix=names.pop(), MaxResults=1)["Schedules"]
    for wrong in ({"NextToken": "nobody's"}, {"MaxResults": 101}):
        with pytest.raises(ClientError) as refused:
            client.list_schedules(GroupName=group, **wrong)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
    client.delete_schedule_group(Name=group)


@pytest.mark.long
def test_a_cron_is_on_the_clock_of_its_time_zone(account: Account) -> None:
    """Of two that differ in their time zones alone, the one fires whose clock shows the minute; it takes up to two."""
    states = account.client("stepfunctions")
    machine = states.create_state_machine(name=unique("zoned"), definition=json.dumps(PASS), roleArn=ROLE)
    soon = datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=70)
    expression = f"cron({soon.minute} {soon.hour} * * ? *)"
    groups = [
        schedule(
            account, machine["stateMachineArn"], expression, ScheduleExpressionTimezone=zone,
            Target={"Arn": machine["stateMachineArn"], "RoleArn": ROLE, "Input": json.dumps(zone)},
        )[0]
        for zone in ("UTC", "Asia/Kolkata")
    ]  # fmt: skip
    found = until("the start", lambda: inputs(account, machine["stateMachineArn"]), 150)
    for group in groups:
        account.client("scheduler").delete_schedule_group(Name=group)
    assert found == ['"Asia/Kolkata"']
