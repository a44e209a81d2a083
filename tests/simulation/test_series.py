"""A run that reuses another leaves what a full run leaves, whatever happened before and meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.simulation.broken_reuse import MUTANTS, a_neighbour_without_a_commit_is_left_out, nothing_is_put_together
from tests.simulation.series import simulate_series

FIRST_SEEDS = 40
SEEDS = 2000
DAYS = 40
MUTANT_SEEDS = 400


def broken_by(seeds: range) -> tuple[dict[int, str], Counter[str]]:
    """The seeds that broke something, and what was met."""
    met: Counter[str] = Counter()
    broken = {}
    for seed in seeds:
        series, what = simulate_series(seed)
        met += series.met
        if what:
            broken[seed] = "\n".join((*series.lines, what))
    return broken, met


def test_every_run_leaves_what_a_full_run_leaves() -> None:
    """Every file of the result byte for byte, every row, every output; and all that may happen happened."""
    broken, met = broken_by(range(FIRST_SEEDS))
    assert broken == {}
    kinds = ("crash before", "crash after", "second job", "lost files", "rerun", "other options", "other code")
    planners = ("planned by the function", "left to the plan job")
    more = (
        *planners,
        "given up",
        "kept items",
        "rebuilt shards",
        "shards put together",
        "why not",
        "base",
        "mirror limit",
    )
    assert [kind for kind in (*kinds, *planners, *more, "outputs deleted") if not met[kind]] == []


@pytest.mark.parametrize("seed", range(3))
def test_many_days_leave_no_slivers(seed: int) -> None:
    """Every result is a full run's, of at most about twice as many shards: small ones are put together."""
    series, broken = simulate_series(seed, DAYS)
    assert broken == "", "\n".join(series.lines)
    assert series.met["shards put together"] > DAYS / 5


def test_a_lost_neighbour_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard put together without the one whose commit is gone does not add up to the plan."""
    a_neighbour_without_a_commit_is_left_out(monkeypatch)
    broken = (simulate_series(seed, DAYS)[1] for seed in range(6))
    assert any("do not add up to the plan" in each for each in broken)


def test_without_compaction_there_are_slivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would show nothing."""
    nothing_is_put_together(monkeypatch)
    assert "shards, a plan of everything" in simulate_series(0, DAYS)[1]


@pytest.mark.long
def test_every_run_leaves_what_a_full_run_leaves_with_more_seeds() -> None:
    """The same, with all seeds."""
    assert broken_by(range(FIRST_SEEDS, SEEDS))[0] == {}


@pytest.mark.long
@pytest.mark.parametrize(("mutant", "first"), MUTANTS.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_broken_reuse_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seed leaves something else than a full run does."""
    mutant(monkeypatch)
    seeds = (*range(first, MUTANT_SEEDS), *range(first))
    assert any(simulate_series(seed)[1] for seed in seeds), f"{MUTANT_SEEDS} seeds did not catch it"
