"""`millrace doctor` on reuse: a base that a lifecycle rule is about to delete, and bases that stay."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.doctor.bases import bases
from console.doctor.check import Check
from millrace.layout import S3Uri
from millrace.records.latest import LatestRun, note_latest
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SCHEDULED: dict[str, Any] = {
    "source": "s3://letters/", "destination": "s3://results/scheduled/", "reuse": "latest", "overlap": "skip",
}  # fmt: skip
SCHEDULE: dict[str, Any] = {"scheduled": (SCHEDULED,)}


def rule(prefix: str | None, days: int, **given: Any) -> dict[str, Any]:
    """A lifecycle rule."""
    return {"Status": "Enabled", "Filter": {"Prefix": prefix or ""}, "Expiration": {"Days": days}, **given}


def checked(
    *rules: dict[str, Any],
    age_days: float = 6,
    started: tuple[Any, ...] = (),
    ran: bool = True,
    scheduled: tuple[Any, ...] = (),
) -> Check:
    """The check, where a run of the source bucket into scheduled/ was started so many days ago."""
    client = InMemoryS3Client("results")
    s3 = S3(client.stub)
    if ran:
        then = (NOW - timedelta(days=age_days)).isoformat()
        run = LatestRun("run-1", 0, "s3://letters/", "word-count", "sha256:o", "1", "sha256:p", then, then, None)
        note_latest(S3Uri("results", "scheduled/"), run, s3)

    def lifecycle(**_asked: Any) -> dict[str, Any]:
        if not rules:
            raise ClientError({"Error": {"Code": "NoSuchLifecycleConfiguration"}}, "GetBucketLifecycleConfiguration")
        return {"Rules": list(rules)}

    inputs = {f"arn:{number}": json.dumps(given) for number, given in enumerate(started)}
    states = SimpleNamespace(
        get_paginator=lambda _name: SimpleNamespace(
            paginate=lambda **_asked: [{"executions": [{"executionArn": arn} for arn in inputs]}]
        ),
        describe_execution=lambda executionArn: {"input": inputs[executionArn]},  # noqa: N803 - boto3's name
    )
    made = {
        f"schedule-{number}": {
            "Name": f"schedule-{number}", "ScheduleExpression": "rate(1 day)", "State": "ENABLED",
            "Target": {"Arn": "arn", "Input": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, given in enumerate(scheduled)
    }  # fmt: skip
    clients = {
        "s3": SimpleNamespace(get_bucket_lifecycle_configuration=lifecycle),
        "scheduler": SimpleNamespace(
            get_paginator=lambda _name: SimpleNamespace(paginate=lambda **_asked: [{"Schedules": list(made.values())}]),
            get_schedule=lambda Name, **_asked: made[Name],  # noqa: N803 - boto3's name
        ),
    }
    aws = SimpleNamespace(s3=s3, step_functions=states, client=clients.__getitem__)
    stack = SimpleNamespace(
        source_bucket="letters",
        sources=("s3://letters/",),
        public_buckets=(),
        result_bucket="results",
        state_machine_arn="arn",
        schedule_group="group",
    )
    return bases(SimpleNamespace(aws=aws, stack=stack), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", [None, "sched", "scheduled/_millrace/", "scheduled/_millrace/run-1/shards/"])
def test_a_base_that_is_about_to_expire_is_named(prefix: str | None) -> None:
    """Six days old, with a rule of eight days over its folder, or over a part of it: the check names it and the day."""
    found = checked(rule("elsewhere/", 1), rule(prefix, 8), rule(None, 90), **SCHEDULE)
    assert found.outcome == "warn"
    assert "run run-1 of s3://letters/ expires on 2026-12-01, 8 days after it" in found.message
    assert "--reuse latest" in found.todo


@pytest.mark.parametrize(
    "rules",
    [
        (),
        (rule(None, 30),),
        (rule("results/", 7),),
        (rule(None, 7, Status="Disabled"),),
        ({"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},),
        (rule(None, 7, Filter={"Tag": {"Key": "a", "Value": "b"}}),),
    ],
)
def test_a_base_that_stays_is_no_trouble(rules: tuple[dict[str, Any], ...]) -> None:
    """No rule, or one that has time, is of another folder, is off, is of old versions, or goes by tags."""
    found = checked(*rules, **SCHEDULE)
    assert (found.outcome, found.message) == ("ok", "run-1: no base is about to expire")


def test_who_reuses_nothing_is_not_asked() -> None:
    """Without a schedule and without a recent run that reuses, no rule matters."""
    refused: list[Any] = [
        "no request",
        {"reuse": "latest"},
        {"source": "s3://letters/", "destination": "s3://results/a/"},
    ]
    for scheduled in ((), tuple(refused)):
        found = checked(rule(None, 1), started=(*refused,), scheduled=scheduled)
        assert (found.outcome, found.message) == ("ok", "no schedule and no recent run reuses an earlier one")


def test_a_run_that_was_started_with_reuse_counts() -> None:
    """By hand, or by another scheduler."""
    request = {"source": "s3://letters", "destination": "s3://results/scheduled", "reuse": "run-1"}
    assert checked(rule(None, 8), started=(request,)).outcome == "warn"


def test_without_a_base_the_next_run_works_everything() -> None:
    """That is said, and is no trouble."""
    found = checked(rule(None, 8), ran=False, **SCHEDULE)
    assert found.outcome == "ok"
    assert "the next one works everything" in found.message
