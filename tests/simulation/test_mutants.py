"""The simulator catches a broken protocol: each mutant within 300 seeds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.runs import simulate

SEEDS = 500


UNSETTLED = {
    "an_accepted_run_stays_incomplete",
    "the_listing_is_trusted",
    "the_listing_is_trusted_seen_by_the_sums_alone",
}
"""KNOWN FAULT: another promise than the one named is seen broken first since the branches met; see seed 73."""


def _marked(mutant: Mutant) -> Any:
    unsettled = pytest.mark.xfail(strict=False, reason="KNOWN FAULT: seen first by another promise")
    return pytest.param(mutant, marks=[unsettled] if str(mutant) in UNSETTLED else [], id=str(mutant))


@pytest.mark.long
@pytest.mark.parametrize("mutant", [_marked(mutant) for mutant in MUTANTS])
def test_a_broken_protocol_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seed breaks the promise that the fault concerns."""
    mutant.plant(monkeypatch)
    for seed in (*range(mutant.first, SEEDS), *range(mutant.first)):
        simulated = simulate(seed, frozenset(mutant.without), workload=mutant.workload)
        if simulated.broken is not None:
            assert simulated.broken.name in mutant.caught_by, "\n".join(simulated.lines[-20:])
            return
    pytest.fail(f"{SEEDS} seeds did not catch it")
