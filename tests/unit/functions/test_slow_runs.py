"""Runs that are slow: which are, which are not, what is said of them, and that each is reported once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from millrace.cost.course import Jobs, course, even_shards
from millrace.cost.known_pace import record_pace
from millrace.layout import RunFolder, S3Uri
from millrace.s3.verbs import S3
from notification.documents import run_slow
from notification.messages import message_of
from notification.slow_runs import UNKNOWN, RunWatch, Slowness, SlowRun
from tests.run_in_memory import RunInMemory

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/events/run-slow.json").read_text())
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:millrace"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:millrace:run-1"
QUEUE = "arn:aws:batch:eu-west-1:123456789012:job-queue/standard"
USUAL = Slowness(900, 3)
FOUR_AT_ONCE = Jobs(max_vcpus=4, compute="")


def paged(**given: Any) -> SimpleNamespace:
    """A paginator of one page."""
    return SimpleNamespace(paginate=lambda **_asked: [given])


@dataclass
class Stack:
    """A run of eight objects, each in a shard of its own, a minute's work each; it has been at work for some time."""

    age: timedelta = timedelta(hours=1)
    pace: dict[str, float] | None = field(default_factory=lambda: {"seconds_per_item": 60.0})
    planned: bool = True
    jobs: list[dict[str, Any]] = field(default_factory=list)
    redrive: dict[str, Any] = field(default_factory=dict)
    run: RunInMemory = field(init=False)

    def __post_init__(self) -> None:
        request = {"shard": {"max_items": 1}, **({"pace": self.pace} if self.pace else {})}
        folder = RunFolder.of(S3Uri("result", "out/"), "run-1")
        self.run = RunInMemory({f"in/{number}": b"x" for number in range(8)}, request=request, folder=folder)
        if self.planned:
            self.run.plan()

    def slow(self, slowness: Slowness = USUAL, size: Jobs = FOUR_AT_ONCE) -> list[SlowRun]:
        """The runs that are slow."""
        given = {"source": "s3://source/in/", "destination": "s3://result/out/", "tags": {"team": "search"}}
        found = {"executionArn": EXECUTION, "stateMachineArn": MACHINE, "name": "run-1", "status": "RUNNING"}
        found |= {"startDate": NOW - self.age, **self.redrive}  # type: ignore[dict-item]
        states = SimpleNamespace(
            get_paginator=lambda _name: paged(executions=[found]),
            describe_execution=lambda **_asked: {**found, "input": json.dumps(given)},
        )
        summaries = [{"jobId": job["jobId"], "jobName": job["jobName"]} for job in self.jobs]
        batch = SimpleNamespace(
            get_paginator=lambda _name: paged(jobSummaryList=summaries),
            describe_jobs=lambda **_asked: {"jobs": self.jobs},
        )
        watch = RunWatch(cast("Any", states), cast("Any", batch), [QUEUE], MACHINE, size, clock=NOW.timestamp)
        return list(watch.slow(slowness, S3(self.run.client.stub)))

    def job(self, end: str, status: str, **given: Any) -> dict[str, Any]:
        """A job of the run, made 20 minutes ago."""
        verb = "plan" if end == "plan" else "migrate"
        words = ["--request", str(self.run.folder.request)] if end == "plan" else ["--plan", str(self.run.folder.plan)]
        made = {
            "jobId": f"job-{end}", "jobName": f"run-1-{end}", "jobQueue": QUEUE, "status": status,
            "createdAt": (NOW.timestamp() - 1200) * 1000, "container": {"command": [verb, *words]}, **given,
        }  # fmt: skip
        self.jobs.append(made)
        return made


def test_a_run_that_takes_three_times_its_estimate_is_slow() -> None:
    """Eight minutes of work on four slots: two minutes, and the starts; just before three times it is not slow."""
    estimate = 45 + 45 + 8 * 60 / 4 + 8 * 0.052
    assert Stack(age=timedelta(seconds=3 * estimate - 1)).slow(Slowness(60, 3)) == []
    (slow,) = Stack(age=timedelta(seconds=3 * estimate + 1)).slow(Slowness(60, 3))
    assert slow.estimated_seconds == pytest.approx(estimate, abs=0.1)
    assert (slow.shards, slow.committed, slow.job_id) == (8, 0, "")
    assert "its jobs are at work" in slow.reason


@pytest.mark.parametrize("vcpus", [0.5, 1.0, 4.0])
def test_the_estimate_is_the_one_of_millrace_estimate(vcpus: float) -> None:
    """Of the plan's items at its pace, in the size that jobs have: half a vCPU takes twice as long."""
    stack, size = Stack(), Jobs(vcpus=vcpus, max_vcpus=4 * vcpus, compute="")
    (slow,) = stack.slow(size=size)
    plan = stack.run.plan()
    goes = course(even_shards(8, plan.total_bytes, 8), 8, size, record_pace(plan.workload).given(plan.pace))
    assert slow.estimated_seconds == pytest.approx(goes.total_seconds)


def test_what_is_young_is_not_asked_about() -> None:
    """A quarter of an hour is the least, also after a redrive."""
    assert Stack(age=timedelta(seconds=899)).slow(Slowness(900, 0)) == []
    again = Stack(redrive={"redriveCount": 1, "redriveDate": NOW - timedelta(seconds=60)})
    assert again.slow(Slowness(900, 0)) == []


@pytest.mark.parametrize(("given", "said"), [({}, UNKNOWN), ({"statusReason": "CAPACITY: no"}, "CAPACITY: no")])
def test_a_run_whose_job_finds_no_place_is_slow_without_a_plan(given: dict[str, Any], said: str) -> None:
    """With Batch's reason, where it gives one."""
    stack = Stack(planned=False)
    stack.job("plan", "RUNNABLE", **given)
    (slow,) = stack.slow()
    assert (slow.estimated_seconds, slow.shards, slow.committed, slow.job_id) == (None, None, None, "job-plan")
    assert slow.reason == f"job run-1-plan waits for a place, made 20 min ago: {said}"


def test_an_array_of_which_nothing_runs_is_stuck() -> None:
    """Its children wait; as soon as one runs, it is only slow."""
    stack = Stack()
    array = stack.job("migrate", "PENDING", arrayProperties={"size": 4, "statusSummary": {"RUNNABLE": 4}})
    assert "array run-1-migrate of 4 children waits for a place" in stack.slow()[0].reason
    array["arrayProperties"]["statusSummary"] = {"RUNNABLE": 3, "RUNNING": 1}
    assert "its jobs are at work" in stack.slow()[0].reason


def test_a_run_that_waits_for_another_or_plans_is_not_slow() -> None:
    """No plan and no job: it is queued behind another run. No plan and a job at work: nothing to compare with."""
    assert Stack(planned=False).slow() == []
    planning = Stack(planned=False)
    planning.job("plan", "RUNNING")
    assert planning.slow() == []


def test_it_is_told_once_a_redrive() -> None:
    """The key that the table remembers changes with a redrive alone."""
    keys = [Stack(age=timedelta(hours=hours)).slow()[0].key for hours in (1, 2)]
    again = Stack(redrive={"redriveCount": 1}).slow()[0].key
    assert keys == [f"slow {EXECUTION} 0"] * 2
    assert again == f"slow {EXECUTION} 1"


def test_the_message_names_run_reason_and_command() -> None:
    """And the event is valid by its schema."""
    stack = Stack()
    stack.job("migrate", "RUNNABLE", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    document = run_slow(stack.slow()[0], "words")
    jsonschema.validate(document.detail, SCHEMA, format_checker=jsonschema.FormatChecker())
    message = message_of(document)
    assert message.subject == "Millrace run run-1 is slow"
    assert message.attributes["event"] == "RUN_SLOW"
    for words in (
        "at work since 1 h",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        "8, 0 of them committed",
        "millrace doctor --stack words --region eu-west-1",
        "millrace watch run-1 --stack words --region eu-west-1",
        "millrace cancel run-1 --stack words --region eu-west-1",
    ):
        assert words in message.text
