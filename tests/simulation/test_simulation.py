"""The promises hold whatever happens, and a seed says what happened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.faults import BODIES, CONDITIONAL, LISTINGS, LOST_ANSWERS, REFUSALS
from tests.simulation.other_workloads import OTHERS
from tests.simulation.promises import Promise
from tests.simulation.runs import Simulated, simulate
from tests.simulation.source import HAPPENINGS
from tests.simulation.state_machine import REPOSITORY, STATES
from tests.simulation.uploads import SQS_FAULTS, START_FAULTS

FIRST_SEEDS = 60
SEEDS = 400
OTHERS_SEEDS = 15
WRITES = (
    *("run.json", "shard file", "plan.json", "output", "progress", "partial", "commit"),
    *("part", "part commit", "merged file", "failures.jsonl", "report.csv", "result.json", "_SUCCESS"),
)
KINDS = (
    *(*LISTINGS, *REFUSALS, *LOST_ANSWERS, *CONDITIONAL, *BODIES),
    *("SIGTERM", "SIGTERM, then killed", "zombie", "SlowDown storm", "slow answer"),
    *(f"source object {kind}" for kind in HAPPENINGS),
    *(f"duplicate SubmitJob of {verb}" for verb in ("plan", "migrate", "merge")),
    *(f"redrive at {name}" for name, runs in STATES.items() if runs),
    *(
        "resume by a new execution",
        "function's answer lost, called again",
        "function timed out after success",
        "event delivered twice",
        *SQS_FAULTS,
        *START_FAULTS,
        "source denied as a whole",
    ),
    *(
        "attempt retried by Batch",
        "container not started",
        "attempt timed out",
        "progress of a deleted run left behind",
        "disk full",
        "code changed",
    ),
)


@pytest.fixture(scope="module")
def first() -> list[Simulated]:
    """The first seeds' runs; those that broke a promise keep their traces."""
    return [simulate(seed) for seed in range(FIRST_SEEDS)]


@pytest.fixture(scope="module")
def simulated(first: list[Simulated]) -> list[Simulated]:
    """The runs of all seeds."""
    return [*first, *(simulate(seed) for seed in range(FIRST_SEEDS, SEEDS))]


def broken(runs: list[Simulated]) -> str:
    """The ends of the traces of those that broke a promise."""
    return "".join("\n".join(("", f"seed {run.seed}", *run.lines[-25:])) for run in runs if run.broken)


def test_no_promise_is_broken(first: list[Simulated]) -> None:
    """Whatever is injected, adding up finds every item once, and nothing half done passes for complete."""
    assert broken(first) == ""


@pytest.mark.long
def test_no_promise_is_broken_by_more_seeds(simulated: list[Simulated]) -> None:
    """The same, with all seeds."""
    assert broken(simulated) == ""


@pytest.mark.parametrize("workload", OTHERS)
def test_the_other_workloads_keep_the_promises(workload: str) -> None:
    """They resume, report and tolerate failures by the same machinery: the same faults, and what they made adds up."""
    runs = [simulate(seed, workload=workload) for seed in range(OTHERS_SEEDS)]
    assert {run.seed: run.violation for run in runs if run.broken} == {}
    checked = sum((run.checked for run in runs), Counter[str]())
    assert {Promise.MERGED, Promise.COUNTS, Promise.SAME_BYTES, Promise.COMMIT_LAST} <= set(checked)


@pytest.mark.long
def test_every_promise_is_checked(simulated: list[Simulated]) -> None:
    """A check that is never reached proves nothing."""
    checked = sum((run.checked for run in simulated), Counter[str]())
    assert set(checked) == set(Promise)


@pytest.mark.long
def test_every_kind_of_fault_is_injected(simulated: list[Simulated]) -> None:
    """Within these seeds each kind happens, and a crash before and after the writing of every kind of file."""
    injected = sum((run.faults for run in simulated), Counter[str]())
    assert [kind for kind in KINDS if not injected[kind]] == []
    crashes = {what: sum(injected[f"crash {when} writing {what}"] for when in ("before", "after")) for what in WRITES}
    assert [what for what, count in crashes.items() if not count] == []


def test_the_same_seed_gives_the_same_run(first: list[Simulated]) -> None:
    """Every call, in its order and with its outcome, is the same again, in another process too."""
    seeds = range(12)
    script = f"from tests.simulation.runs import simulate; print(*(simulate(seed).digest for seed in {seeds!r}))"
    path = os.pathsep.join((".", "layer/python", "functions"))
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    digests = [run.digest for run in first[: len(seeds)]]
    assert [simulate(seed).digest for seed in seeds] == digests
    assert elsewhere.stdout.split() == digests
    assert len({run.digest for run in first}) == len(first)
