"""The benchmark that simulates AWS's clock: what it reckons from, and that it runs the real code."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import replace
from typing import Any

import pytest

import read_plan
from batch_jobs.migrating import migrate
from benchmarks import aws_clock
from benchmarks.clock import run as simulated
from benchmarks.clock.fargate import MINIMUM_BILLED, Attempt, Clock, Fleet
from benchmarks.clock.run import Run
from benchmarks.clock.scenarios import SLOW, TEXTS, Least, Scenario
from benchmarks.clock.uploads import READERS, batches
from millrace.source import sharding

SMALL = Scenario("small", 3000, 100_000, SLOW, 16, block_sigma=1.2, item_sigma=1.2, reclaims_per_hour=2.0)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """What `--json` prints."""
    aws_clock.main(["--json", *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_prints_an_object_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    """With name, slots, pace_error and the two ratios, and these of the other ways; the same for the same seeds."""
    found = told(capsys, "--only", "folder", "--seeds", "2")
    assert found == told(capsys, "--only", "folder", "--seeds", "2")
    assert [(one["name"], one["slots"], one["pace_error"]) for one in found] == [("a folder of 1,000 texts", 16, 1.0)]
    (one,) = found
    for way in (one, *(one[name] for name in aws_clock.OTHERS)):
        assert way["time_ratio"] > 0
        assert way["billed_ratio"] > 0
    assert one["today"]["billed_ratio"] == 3.0


def test_it_leaves_logging_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """It silences the jobs while they run, and nobody after that."""
    told(capsys, "--only", "one upload", "--seeds", "1")
    assert logging.root.manager.disable == logging.NOTSET


def test_an_upload_takes_half_the_time_and_a_third_of_the_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    """One upload is one job instead of three; fifty in a minute are one to three runs."""
    one, _, fifty = told(capsys, "--only", "upload", "--seeds", "3")
    assert one["time_ratio"] <= 0.5 * one["today"]["time_ratio"]
    assert one["dollars_by_today"] <= 1 / 3
    assert one["billed_seconds"] == MINIMUM_BILLED == one["today"]["billed_ratio"] * one["least"]["billed_seconds"] / 3
    assert 1 <= fifty["runs"] <= 3
    assert fifty["dollars"] < fifty["today"]["dollars"] / 3


def test_a_small_job_that_loses_its_host_is_followed_by_a_full_one() -> None:
    """It is counted as that: two small starts and a full one; its work is done once more, at four times the speed."""
    undisturbed = Run(Scenario("small", 300, 10_000, TEXTS, 16), 1).work()
    disturbed = Run(Scenario("small", 300, 10_000, TEXTS, 16, reclaims_per_hour=3600), 1).work()
    assert (undisturbed.children, undisturbed.jobs, undisturbed.small) == ([1], 1, undisturbed.billed)
    assert disturbed.children == [1, 1]
    assert disturbed.failed == 0
    assert 0 < disturbed.small < disturbed.billed
    assert disturbed.calls >= undisturbed.calls + 3


@pytest.mark.parametrize("pace_error", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_run_takes_less_than_the_least(pace_error: float, seed: int) -> None:
    """All shards are worked, whatever is reclaimed and believed; neither time nor bill is below what it can be."""
    run = Run(replace(SMALL, pace_error=pace_error), seed)
    made = run.work()
    assert made.seconds >= made.least.seconds
    assert made.billed > made.work
    # Fewer children than the work justifies are fewer starts to pay, and take longer.
    assert made.billed >= made.least.billed or max(made.children) < made.least.children
    assert made.failed == 0
    commits = simulated.FOLDER.commits
    assert sum(1 for _ in run.store.list(commits.bucket, commits.key)) == made.shards == len(run.shards)
    assert sum(made.parts.values()) == pytest.approx(made.seconds)


def test_a_wrong_pace_changes_no_work() -> None:
    """However the items are cut, what they take stays what it is: the rows of a table can be compared."""
    works = [Run(replace(SMALL, pace_error=error), 3) for error in (0.1, 1.0, 10.0)]
    assert len({len(run.shards) for run in works}) == 3
    assert sum(works[0].seconds) == pytest.approx(sum(works[1].seconds)) == pytest.approx(sum(works[2].seconds))


def test_the_real_code_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Read Plan's sizing, cutting or a child's order is broken, the simulated run is."""
    usual = Run(SMALL, 1).work()
    with monkeypatch.context() as patch:
        patch.setattr(read_plan, "children_for", lambda left, _slots: 2 if left.shards else 0)
        assert Run(SMALL, 1).work().children[0] == 2
    with monkeypatch.context() as patch:
        patch.setattr(sharding, "SHARD_SECONDS", 20)
        assert Run(SMALL, 1).work().shards > usual.shards
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "to_help", lambda _left, _child, _children: [])
        assert Run(SMALL, 1).work().seconds > usual.seconds


def test_ten_hours_of_spot_fail_no_child() -> None:
    """The same at a reclaim an hour and child, in little: with the real stays none fails, with one attempt many do."""
    spot = replace(SMALL, objects=20_000, slots=16, reclaims_per_hour=6.0)
    run = Run(spot, 1)
    made = run.work()
    assert made.reclaimed > 20
    assert made.failed == 0
    run = Run(spot, 1)
    run.fleet.attempts = 1
    assert run.work().failed > 0


def test_all_children_but_one_are_reclaimed_at_once() -> None:
    """Ten minutes into the run: the one works on, the others' next attempts come back, and nothing is lost."""
    calm = replace(SMALL, reclaims_per_hour=0.0)
    run, usual = Run(calm, 1), Run(calm, 1).work()
    first: dict[int, Attempt] = {}
    child = run._child

    def watched(index: int, children: int, attempt: Attempt, **given: Any) -> int:
        if not run.fleet.reclaimed:
            first[index] = attempt
        return child(index, children, attempt, **given)

    def reclaim() -> None:
        for index in sorted(first)[1:]:
            run.fleet.reclaimed += 1
            first[index].notice()

    run._child = watched  # type: ignore[method-assign]
    run.clock.at(200, reclaim)
    made = run.work()
    assert made.reclaimed == usual.children[0] - 1 >= 10
    assert made.failed == 0
    assert sum(1 for _ in run.store.list(simulated.FOLDER.commits.bucket, simulated.FOLDER.commits.key)) == made.shards
    assert usual.seconds < made.seconds < usual.seconds + 300


@pytest.mark.parametrize("scenario", [SMALL, Scenario("one", 1, 10_000, TEXTS, 16)], ids=["array", "one-job"])
def test_no_slot_is_free_for_an_hour(scenario: Scenario) -> None:
    """The run waits, is not billed for it, and ends as it would have: nobody gives up, and no claim is taken over."""
    calm = replace(scenario, reclaims_per_hour=0.0)
    usual, run = Run(calm, 1).work(), Run(calm, 1)
    slots, run.fleet._free = run.fleet._free, 0

    def free() -> None:
        run.fleet._free = slots
        run.fleet.fill()

    run.clock.at(3600, free)
    made = run.work()
    assert made.children == usual.children
    assert (made.failed, made.jobs) == (0, usual.jobs)
    assert made.billed == pytest.approx(usual.billed, rel=0.02)
    assert made.seconds == pytest.approx(usual.seconds + 3600, rel=0.02)


@pytest.mark.long
def test_every_scenario_meets_its_goal(capsys: pytest.CaptureFixture[str]) -> None:
    """More than a minute's work: time and bill within a quarter of the least, and half with a pace wrong by ten."""
    found = told(capsys, "--seeds", "3")
    assert len(found) > 20
    assert [one["name"] for one in found if one["goal"]["met"] is False] == []
    assert all(one["failed_children"] == 0 for one in found)


def test_a_minute_is_billed_at_least_and_launches_take_their_time() -> None:
    """A hundred jobs of a second in a hundred slots: a minute each, and the last one launched five seconds late."""
    clock, dice = Clock(), random.Random(1)
    fleet = Fleet(clock, 100, dice)
    begun: list[float] = []

    def work(_index: int, _attempt: Attempt) -> int:
        begun.append(clock.now)
        clock.sleep(1)
        return 0

    fleet.run(100, work)
    assert fleet.billed == 100 * MINIMUM_BILLED
    assert max(begun) > 45 + 99 / 20 - 40
    assert len(begun) == fleet.started == 100


def test_a_failed_attempt_is_tried_again_and_an_error_is_raised() -> None:
    """Exit code 1 is tried as often as the template says, exit code 2 once; what breaks the model breaks the run."""
    clock = Clock()
    fleet = Fleet(clock, 4, random.Random(1))
    tried = [0, 0]

    def work(index: int, _attempt: Attempt) -> int:
        tried[index] += 1
        clock.sleep(1)
        return index + 1

    fleet.run(2, work)
    assert tried == [fleet.attempts, 1]
    assert fleet.failed == 2

    def broken(_index: int, _attempt: Attempt) -> int:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        fleet.run(1, broken)


def test_the_least_is_one_start_and_the_work_spread() -> None:
    """An hour of work on 16 slots is an hour by sixteen, after a start and between launches; a second needs one."""
    texts = Scenario("texts", 1000, 10_000, TEXTS, 16)
    least = Least.of(texts, 3600.0, 1.0, 10)
    assert least.children == 16
    assert least.seconds == pytest.approx(45 + 3600 / 16, rel=0.01)
    assert least.billed == pytest.approx(3600 + 16 * 20, rel=0.01)
    assert Least.of(texts, 1.0, 1.0, 1).children == 1


@pytest.mark.parametrize(
    ("uploads", "window", "most"),
    [(1, 60, 1), (50, 60, 2 * READERS), (50, 0, 50), (10_000, 60, 12), (10_000, 0, 10_000)],
)
def test_uploads_are_batches(uploads: int, window: float, most: int) -> None:
    """Each upload is in one batch, none is larger than `keys` may be, and without a window each is one."""
    made = batches(replace(SMALL, uploads=uploads, window=window), random.Random(5))
    assert sum(count for _, count in made) == uploads
    assert len(made) <= most
    assert max(count for _, count in made) <= (1000 if window else 1)
