"""`millrace schedule`: named schedules on the embedded AWS, from their making to the end of a run that one started."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.find.target import Target
from console.operations.schedules import schedules
from millrace.layout import RunFolder, S3Uri
from tests.workflow.runs import Run, until
from tests.workflow.sam import sam_delete, sam_deploy
from tests.workflow.texts import texts


def started_by(stack: Any, name: str) -> list[Any]:
    """The executions of a schedule."""
    states, machine = stack.aws.step_functions, stack.stack.state_machine_arn
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    described = [states.describe_execution(executionArn=each["executionArn"]) for each in listed]
    return [each for each in described if f"the schedule {name}" in each["input"]]


def test_a_schedule_starts_runs_until_it_is_paused(stack: Any, runs: Any, command: Any) -> None:
    """Two schedules with requests of their own: the one that is on starts a run that succeeds, the paused one none."""
    source, destination = (
        f"s3://{stack.stack.source_bucket}/by-schedule/", f"s3://{stack.stack.result_bucket}/by-schedule/",
    )  # fmt: skip
    runs.put(source, texts(3))
    request = ("--source", source, "--destination", destination)
    assert command("schedule", "add", "rested", "rate(1 minute)", *request, "--paused")[0] == 0
    code, out, err = command("schedule", "add", "eager", "rate(1 minute)", *request, "--overlap", "run")
    assert (code, out) == (0, "eager: rate(1 minute), UTC\n")
    assert "millrace schedule pause eager" in err
    execution = until("a run that the schedule started", lambda: started_by(stack, "eager"))[-1]
    assert command("schedule", "pause", "eager")[0] == 0
    asked = json.loads(execution["input"])
    assert (asked["name"], asked["overlap"], asked["source"]) == ("eager", "run", source)
    folder = RunFolder.of(S3Uri.parse_folder(destination), execution["name"])
    assert runs.wait(Run(execution["executionArn"], folder))["counts"]["succeeded"] == 3
    listed = json.loads(command("schedule", "list", "--json")[1])
    assert [(each["name"], each["paused"]) for each in listed if each["name"] in {"eager", "rested"}] == [
        ("eager", True),
        ("rested", True),
    ]
    assert started_by(stack, "rested") == []
    for name in ("eager", "rested"):
        assert command("schedule", "remove", name)[0] == 0
    assert not [each for each in schedules(Target(stack.aws, stack.stack.name)) if each.name in {"eager", "rested"}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "bad", "rate(1 minute)", "--workload", "no-such"), "no-such"),
        (("add", "bad", "rate(1 minute)", "--input", "-"), "run_id"),
        (("add", "bad", "now and then"), "Invalid Schedule Expression now and then"),
        (("add", "bad", "rate(1 day)", "--time-zone", "Mars"), "Invalid time zone Mars"),
        (("add", "a b", "rate(1 day)"), "1 to 64 letters"),
        (("pause", "nothing"), "millrace schedule list"),
        (("remove", "nothing"), "millrace schedule list"),
    ],
)
def test_what_cannot_work_is_not_stored(
    stack: Any, command: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    """Exit 2, with what is allowed; a request is checked as that of a start is."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"run_id": "one"}')))
    places = (
        ("--source", f"s3://{stack.stack.source_bucket}/a/", "--destination", f"s3://{stack.stack.result_bucket}/b/")
        if words[0] == "add"
        else ()
    )
    code, _, err = command("schedule", *words, *places)
    assert (code, said in err) == (2, True), err
    assert "bad" not in [each.name for each in schedules(Target(stack.aws, stack.stack.name))]


def test_a_name_is_taken_once_and_doctor_names_a_schedule_that_is_refused(stack: Any, command: Any) -> None:
    """A second one of a name is refused; one that somebody put there with a wrong request is a warning."""
    request = (
        "--source", f"s3://{stack.stack.source_bucket}/a/", "--destination", f"s3://{stack.stack.result_bucket}/b/",
    )  # fmt: skip
    assert command("schedule", "add", "twice", "rate(1 day)", *request)[0] == 0
    code, _, err = command("schedule", "add", "twice", "rate(2 days)", *request)
    assert (code, "millrace schedule remove twice" in err) == (2, True)
    client, place = stack.aws.client("scheduler"), {"GroupName": stack.stack.schedule_group, "Name": "twice"}
    found = client.get_schedule(**place)
    target = {**found["Target"], "Input": '{"source": "s3://letters/", "destination": "s3://letters/"}'}
    client.update_schedule(**place, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target)
    checks = {each["name"]: each for each in json.loads(command("doctor", "--json")[1])}
    assert checks["schedules"]["outcome"] == "warn"
    assert "twice: its runs are refused: " in checks["schedules"]["message"]
    assert command("schedule", "remove", "twice")[0] == 0


@pytest.mark.long
def test_a_deleted_stack_leaves_no_schedule(stack: Any) -> None:
    """`sam delete` deletes the group, and with it what the command put there."""
    name = "millrace-schedules"
    sam_deploy(stack.endpoint_url, name)
    target = Target(stack.aws, name)
    group, client = target.stack.schedule_group, stack.aws.client("scheduler")
    client.create_schedule(
        Name="left", GroupName=group, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": target.stack.state_machine_arn, "RoleArn": target.stack.schedule_role_arn, "Input": "{}"},
    )  # fmt: skip
    sam_delete(stack.endpoint_url, name)
    with pytest.raises(ClientError, match="does not exist"):
        client.get_schedule(Name="left", GroupName=group)
