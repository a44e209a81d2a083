"""Small runs: one job, that works and merges, where a larger one has a plan job, an array and a merge job."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from millrace.layout import S3Uri
from tests.workflow.fault_proxy import Exchange, FaultProxy
from tests.workflow.faults import Gate, call_behind, call_instead
from tests.workflow.runs import Run, Runs, exit_codes, until
from tests.workflow.texts import counted, texts, totals

VERBS = ("plan", "migrate", "merge-parts", "merge", "migrate-and-merge", "migrate-and-merge-shards")
ONE_JOB = {"migrate-and-merge": 1}


def submitted(runs: Runs, run: Run) -> dict[str, int]:
    """How many jobs of each kind were submitted for a run."""
    return {verb: found for verb in VERBS if (found := len(runs.jobs(run, verb)))}


@pytest.mark.parametrize(
    ("files", "request_"),
    [
        (1, {}),
        (50, {}),
        (50, {"max_items": 5}),
        (3, {"keys": ["000.txt", "002.txt"]}),
    ],
    ids=["one-file", "a-folder-of-fifty", "ten-shards", "keys"],
)
def test_a_small_run_is_one_job(
    runs: Runs, source: str, destination: str, files: int, request_: dict[str, Any]
) -> None:
    """A file, a folder of fifty, and named keys are planned by Prepare Run, worked and merged by one job."""
    bodies = texts(files)
    runs.put(source, bodies)
    run = runs.start(source, destination, **request_)
    output = runs.wait(run)

    assert submitted(runs, run) == ONE_JOB
    worked = [bodies[key] for key in request_.get("keys", bodies)]
    assert output["counts"] == {**output["counts"], "items": len(worked), "succeeded": len(worked), "failed": 0}
    assert totals(runs.file(run, "words.csv")) == counted(worked)
    assert runs.read(run.folder.file("_SUCCESS")) is not None


SLOW: dict[str, Any] = {"plan": "job", "max_items": 1, "pace": {"seconds_per_item": 60}}
"""Fields of a request that give a few objects a plan job, an array and a merge job."""


def test_a_start_that_minds_the_run_at_work_is_skipped(runs: Runs, source: str, destination: str) -> None:
    """It has no job and no run folder; one that does not mind runs beside the first, and both give the same words."""
    bodies = texts(40)
    runs.put(source, bodies)
    first = runs.start(source, destination, overlap="skip", **SLOW)
    until("the first run's folder", lambda: runs.read(first.folder.request))
    skipped, beside = (runs.start(source, destination, overlap=each) for each in ("skip", "run"))

    output = runs.wait(skipped)
    assert (output["status"], output["at_work"]["execution_arn"]) == ("SKIPPED", first.execution)
    assert runs.read(skipped.folder.request) is None
    assert submitted(runs, skipped) == {}
    for run in (first, beside):
        assert runs.wait(run)["counts"]["succeeded"] == len(bodies)
        assert totals(runs.file(run, "words.csv")) == counted(bodies.values())


@pytest.mark.long
def test_a_queued_start_waits_for_the_run_at_work(runs: Runs, source: str, destination: str) -> None:
    """It looks again after a minute, and runs when the first has ended."""
    runs.put(source, texts(2))
    first = runs.start(source, destination, overlap="queue", **SLOW)
    until("the first run's folder", lambda: runs.read(first.folder.request))
    queued = runs.start(source, destination, overlap="queue")
    for run in (first, queued):
        assert runs.wait(run, seconds=240)["counts"]["succeeded"] == 2
    ended, started = (runs.aws.step_functions.describe_execution(executionArn=run.execution) for run in (first, queued))
    assert ended["stopDate"] <= started["stopDate"]


def test_the_long_way_gives_the_same(runs: Runs, source: str, destination: str) -> None:
    """`"plan": "job"` has the plan job make the plan, of the very same digest; a run of more work than one child's
    has an array, whose last child merges, or with `"plan": "job"` a merge job. All give the same words.
    """
    runs.put(source, texts(6))
    short = runs.start(source, f"{destination}a/", max_items=1)
    planned = runs.start(source, f"{destination}b/", max_items=1, plan="job")
    several = runs.start(source, f"{destination}c/", max_items=1, plan="job", pace={"seconds_per_item": 50})
    array = runs.start(source, f"{destination}d/", max_items=1, pace={"seconds_per_item": 50})
    for run in (short, planned, several, array):
        runs.wait(run)

    assert submitted(runs, short) == ONE_JOB
    assert submitted(runs, planned) == {"plan": 1, "migrate-and-merge": 1}
    assert submitted(runs, several) == {"plan": 1, "migrate": 1, "merge": 1}
    assert submitted(runs, array) == {"migrate-and-merge-shards": 1}
    (words,) = {runs.file(run, "words.csv") for run in (short, planned, several, array)}
    assert totals(words) == counted(texts(6).values())
    plans = [json.loads(runs.file(run, "plan.json")) for run in (short, planned)]
    own = ("run_id", "planned_at", "digest", "destination")
    assert {name: value for name, value in plans[0].items() if name not in own} == {
        name: value for name, value in plans[1].items() if name not in own
    }


FULL = {"seconds_per_item": 1}
"""The pace of a few objects that are one job, and not a small one."""


def sizes(runs: Runs, run: Run, verb: str) -> list[tuple[str, str, list[int | None]]]:
    """vCPUs, MiB and the attempts' exit codes of each job of a kind, the first one first."""
    found = []
    for job in sorted(runs.jobs(run, verb), key=lambda job: job["createdAt"]):
        needs = {need["type"]: need["value"] for need in job["container"]["resourceRequirements"]}
        found.append((needs["VCPU"], needs["MEMORY"], exit_codes(job)))
    return found


def test_seconds_of_work_are_a_small_job(runs: Runs, source: str, destination: str) -> None:
    """A quarter of a vCPU, and its bill; with a pace of a second an object it is what the stack's jobs have."""
    runs.put(source, texts(4))
    small = runs.start(source, f"{destination}a/")
    full = runs.start(source, f"{destination}b/", pace=FULL)
    for run in (small, full):
        runs.wait(run)
    assert sizes(runs, small, "migrate-and-merge") == [("0.25", "1024", [0])]
    assert sizes(runs, full, "migrate-and-merge") == [("1", "2048", [0])]
    assert runs.file(small, "words.csv") == runs.file(full, "words.csv")
    costs = [json.loads(until("the cost", partial(runs.read, run.folder.file("cost.json")))) for run in (small, full)]
    assert [cost["usage"]["vcpu_seconds"] for cost in costs] == [15, 60]
    assert costs[0]["parts"]["compute"] < costs[1]["parts"]["compute"] / 3
    assert costs[0]["estimated_dollars"] == pytest.approx(costs[0]["dollars"], rel=0.05)
    for run in (small, full):
        assert counted_by_cost(runs, run) == went_through(runs, run)


def went_through(runs: Runs, run: Run) -> tuple[int, int]:
    """The states and the calls of functions of an execution: its start, what its history has, and the notifications."""
    pages = runs.aws.step_functions.get_paginator("get_execution_history").paginate(executionArn=run.execution)
    kinds = Counter(event["type"] for page in pages for event in page["events"])
    states = 1 + sum(number for kind, number in kinds.items() if kind.endswith("StateEntered"))
    jobs = sum(submitted(runs, run).values())
    called = kinds["TaskScheduled"] - jobs
    return states, called + jobs + 1  # notify, with the end of each job and of the run


def counted_by_cost(runs: Runs, run: Run) -> tuple[int, int]:
    """The same as cost.json has it."""
    usage = json.loads(until("the cost", partial(runs.read, run.folder.file("cost.json"))))["usage"]
    return usage["state_transitions"], usage["lambda_calls"]


KILLED = {
    "/shards/00000.json$": {"migrate-and-merge": 2},
    "/result.json$": {"migrate-and-merge": 1, "merge": 1},
    "/_SUCCESS$": {"migrate-and-merge": 1, "merge": 1},
}
"""The jobs of a run whose small job is killed instead of writing this."""


@pytest.mark.parametrize("written", KILLED)
def test_a_small_job_that_is_killed_is_followed_by_a_full_one(
    runs: Runs, proxy: FaultProxy, source: str, destination: str, written: str
) -> None:
    """As when out of memory: its next attempt hands back, and the same execution continues with a job of full size."""
    runs.put(source, texts(6))
    started: list[Run] = []

    def kill(_exchange: Exchange) -> None:
        runs.kill(runs.job(started[0], "migrate-and-merge")["jobId"])

    with proxy.when("PUT", written, call_instead(kill), times=1):
        started.append(runs.start(source, destination))
        output = runs.wait(started[0])
    run = started[0]
    assert submitted(runs, run) == KILLED[written]
    small, *others = sizes(runs, run, "migrate-and-merge")
    assert small == ("0.25", "1024", [137, 0])
    assert others + sizes(runs, run, "merge") == [("1", "2048", [0])]
    assert output["counts"]["succeeded"] == 6
    assert totals(runs.file(run, "words.csv")) == counted(texts(6).values())
    assert counted_by_cost(runs, run) == went_through(runs, run)


def test_redrive_after_the_one_job_failed(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Killed in every attempt as it writes the result, the job fails; redriven it reads no item again."""
    runs.put(source, texts(6))
    started: list[Run] = []

    def kill(_exchange: Exchange) -> None:
        runs.kill(runs.job(started[0], "migrate-and-merge")["jobId"])

    with proxy.when("PUT", "/result.json$", call_instead(kill)):
        started.append(runs.start(source, destination, max_items=2, pace=FULL))
        run = started[0]
        runs.wait(run, "FAILED")
    assert set(exit_codes(runs.job(run, "migrate-and-merge"))) == {137}
    assert runs.committed(run) == [0, 1, 2]
    assert runs.read(run.folder.file("_SUCCESS")) is None

    proxy.requests.clear()
    runs.redrive(run)
    output = runs.wait(run)
    assert proxy.count("GET", f"^{source}") == 0
    assert submitted(runs, run) == {"migrate-and-merge": 2}
    assert output["counts"]["succeeded"] == 6
    assert totals(runs.file(run, "words.csv")) == counted(texts(6).values())


def test_the_last_child_of_an_array_dies_as_it_merges(
    runs: Runs, proxy: FaultProxy, source: str, destination: str
) -> None:
    """Batch starts its next attempt, which merges; the run has one array and no merge job."""
    runs.put(source, texts(6))
    started: list[Run] = []

    def kill(_exchange: Exchange) -> None:
        runs.kill(json.loads(runs.read(started[0].folder.merge_claim) or b"")["job"])

    with proxy.when("PUT", "/result.json$", call_instead(kill), times=1):
        started.append(runs.start(source, destination, max_items=1, pace={"seconds_per_item": 50}))
        output = runs.wait(started[0])
    assert submitted(runs, started[0]) == {"migrate-and-merge-shards": 1}
    assert output["counts"]["succeeded"] == 6
    assert totals(runs.file(started[0], "words.csv")) == counted(texts(6).values())


def test_a_short_array_with_too_many_failures(runs: Runs, source: str, destination: str) -> None:
    """The child that merges leaves it to the merge job, which fails the run: only that is redriven or resumed."""
    runs.put(source, {**texts(5), "bad.txt": b"\xff\xfe\x00"})
    run = runs.start(source, destination, max_items=1, pace={"seconds_per_item": 50})
    runs.wait(run, "FAILED")
    assert submitted(runs, run) == {"merge": 1, "migrate-and-merge-shards": 1}
    assert exit_codes(runs.job(run, "merge")) == [3]
    assert runs.read(run.folder.file("_INCOMPLETE")) is not None


def test_cancel_leaves_no_job(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Stopped while the one job works, it ends; a new execution of the run works what is left, in one job."""
    runs.put(source, texts(4))
    gate = Gate()
    with proxy.when("GET", "/003.txt$", gate) as held:
        run = runs.start(source, destination, max_items=1)
        held.wait_for_hits()
        until("three commits", lambda: runs.committed(run) == [0, 1, 2])
        runs.aws.step_functions.stop_execution(executionArn=run.execution)
        runs.wait(run, "ABORTED")
        until("the end of the job", lambda: not runs.unended(run, "migrate-and-merge"))
        gate.open()
    assert runs.read(run.folder.file("_SUCCESS")) is None

    proxy.requests.clear()
    again = runs.start(source, destination, run_id=run.run_id, max_items=1)
    output = runs.wait(again)
    assert output["counts"]["succeeded"] == 4
    assert proxy.count("GET", f"^{source}") == 1
    assert submitted(runs, again) == {"migrate-and-merge": 2}


def test_more_failures_than_tolerated(runs: Runs, source: str, destination: str) -> None:
    """The one job ends with exit code 3, once, and _INCOMPLETE; a resume that tolerates them is one job more."""
    runs.put(source, {**texts(4), "bad.txt": b"\xff\xfe\x00"})
    run = runs.start(source, destination)
    runs.wait(run, "FAILED")
    assert exit_codes(runs.job(run, "migrate-and-merge")) == [3]
    assert runs.read(run.folder.file("_INCOMPLETE")) is not None
    assert runs.read(run.folder.file("_SUCCESS")) is None

    accepted = runs.start(source, destination, run_id=run.run_id, tolerated_failure_count=1)
    output = runs.wait(accepted)
    assert (output["counts"]["succeeded"], output["counts"]["failed"]) == (4, 1)
    assert runs.read(run.folder.file("_INCOMPLETE")) is None
    assert submitted(runs, run)["migrate-and-merge"] == 1


def test_an_upload_that_is_gone(runs: Runs, source: str, destination: str) -> None:
    """A key that was deleted before the run is a row of its own, NOT_FOUND, and the others are worked."""
    runs.put(source, texts(2))
    run = runs.start(source, destination, keys=["000.txt", "gone.txt"], tolerated_failure_count=1)
    output = runs.wait(run)
    assert submitted(runs, run) == ONE_JOB
    assert (output["counts"]["succeeded"], output["counts"]["failed"]) == (1, 1)
    rows = {row["Key"].removeprefix(S3Uri.parse_folder(source).key): row["ErrorCode"] for row in runs.report(run)}
    assert rows == {"000.txt": "", "gone.txt": "NOT_FOUND"}


def test_a_key_that_vanishes_between_plan_and_work(
    runs: Runs, proxy: FaultProxy, source: str, destination: str
) -> None:
    """Listed, planned, and deleted before its read: NOT_FOUND."""
    runs.put(source, texts(2))

    def vanish(_exchange: Exchange) -> None:
        runs.delete(source, ["001.txt"])

    with proxy.when("GET", "/plan.json$", call_behind(vanish), times=1):
        run = runs.start(source, destination, tolerated_failure_count=1)
        output = runs.wait(run)
    assert submitted(runs, run) == ONE_JOB
    assert (output["counts"]["succeeded"], output["counts"]["failed"]) == (1, 1)
    assert [row["ErrorCode"] for row in runs.report(run)] == ["", "NOT_FOUND"]


def test_an_own_workload_is_the_jobs(
    runs: Runs, job_logs: Callable[[str], list[str]], source: str, destination: str
) -> None:
    """Prepare Run cannot import it: its plan job checks the options, and a bad one ends with exit code 2."""
    runs.put(source, texts(1))
    run = runs.start(source, destination, workload="no_such_module:Class", options={"whatever": 1})
    runs.wait(run, "FAILED")
    assert submitted(runs, run) == {"plan": 1}
    (job,) = runs.jobs(run, "plan")
    assert exit_codes(job) == [2]
    assert "WorkloadUnavailableError" in job_logs(job["jobId"])[-1]
