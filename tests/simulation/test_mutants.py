"""The simulator catches a broken protocol: each mutant within 500 seeds from the one it begins with."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.runs import simulate

SEEDS = 500


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_broken_protocol_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seed breaks the promise that the fault concerns."""
    mutant.plant(monkeypatch)
    for seed in range(mutant.first, mutant.first + SEEDS):
        simulated = simulate(seed, frozenset(mutant.without), workload=mutant.workload)
        if simulated.broken is not None:
            assert simulated.broken.name in mutant.caught_by, "\n".join(simulated.lines[-20:])
            return
    pytest.fail(f"{SEEDS} seeds did not catch it")
