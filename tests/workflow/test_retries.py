"""Which ends of a job Batch tries again, by the template's EvaluateOnExit, and which are final."""

from __future__ import annotations

import pytest

from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Gate
from tests.workflow.runs import Runs, a_child_each, exit_codes
from tests.workflow.texts import NOT_TEXT, counted, texts, totals


@pytest.mark.parametrize("reason", ["Host EC2 (instance i-0a1b2c3d) terminated.", "Your Spot Task was interrupted."])
def test_a_lost_host(runs: Runs, proxy: FaultProxy, source: str, destination: str, reason: str) -> None:
    """A child whose host is lost without a warning is started again, and that alone."""
    runs.put(source, texts(4))
    gate = Gate()
    with proxy.when("GET", "/002.txt$", gate) as held:
        run = runs.start(source, destination, **a_child_each(2))
        held.wait_for_hits()
        lost = runs.worker(run, 1)["jobId"]
        runs.interrupt(lost, reason)
        held.wait_for_hits(2)
        gate.open()
        runs.wait(run)
    children = {job["jobId"]: job for job in (runs.job(run, "migrate", child) for child in (0, 1))}
    assert children[lost]["attempts"][0]["statusReason"] == reason
    assert exit_codes(children.pop(lost)) == [None, 0]
    assert [exit_codes(other) for other in children.values()] == [[0]]


def test_a_task_that_does_not_start(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """An image that cannot be pulled, or a network interface that is not there in time, is tried again."""
    runs.put(source, texts(2))
    gate = Gate()
    with proxy.when("PUT", "/plan.json$", gate) as held:
        run = runs.start(source, destination, **a_child_each(1))
        held.wait_for_hits()
        why = "CannotPullContainerError: pull image manifest has been retried 5 time(s)"
        runs.fail_start(f"{run.run_id}-migrate", "Task failed to start", why)
        gate.open()
        runs.wait(run)
    children = [runs.job(run, "migrate", child)["attempts"] for child in (0, 1)]
    children.sort(key=len)
    reasons = [[attempt["container"].get("reason") for attempt in attempts] for attempts in children]
    assert reasons == [[None], [why, None]]


def test_bad_input_is_not_tried_again(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Exit code 2, here for damaged shard files, ends a job with its first attempt, and the execution fails."""
    runs.put(source, texts(2))
    gate = Gate()
    with proxy.when("GET", "/0000[01].jsonl$", gate) as held:
        run = runs.start(source, destination, **a_child_each(1))
        held.wait_for_hits(2)
        plan = run.folder.file("plan/")
        runs.put(str(plan), dict.fromkeys(runs.names(plan), b"no plan\n"))
        gate.open()
        runs.wait(run, "FAILED")
    assert [exit_codes(runs.job(run, "migrate", child)) for child in (0, 1)] == [[2], [2]]


def test_too_many_failures_are_not_tried_again(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Exit code 3 ends the merge with its first attempt and a complete report; the run, accepted as it is, then reads
    no item again.
    """
    bodies = texts(10)
    bad = ["001.txt", "004.txt", "005.txt", "009.txt"]
    runs.put(source, bodies | dict.fromkeys(bad, NOT_TEXT))
    run = runs.start(source, destination, **a_child_each(3), tolerated_failure_percent=39)
    runs.wait(run, "FAILED")

    assert exit_codes(runs.job(run, "merge")) == [3]
    rows = {row["Key"].rpartition("/")[2]: (row["TaskStatus"], row["ErrorCode"]) for row in runs.report(run)}
    assert rows == {name: ("failed", "NOT_TEXT") if name in bad else ("succeeded", "") for name in bodies}
    assert len(runs.file(run, "failures.jsonl").splitlines()) == 4
    assert runs.read(run.folder.file("_SUCCESS")) is None

    proxy.clear()
    again = runs.start(source, destination, run.run_id, **a_child_each(3), tolerated_failure_percent=40)
    output = runs.wait(again)
    assert output["status"] == "SUCCEEDED_WITH_FAILURES"
    assert output["failures"] == {"NOT_TEXT": 4}
    assert proxy.count("GET", source) == 0
    assert totals(runs.file(run, "words.csv")) == counted(body for name, body in bodies.items() if name not in bad)
