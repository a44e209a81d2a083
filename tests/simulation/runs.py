"""Running one seed, and what became of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation.errors import EndlessRunError, Violation
from tests.simulation.jobs import simulated_functions
from tests.simulation.promises import Promise
from tests.simulation.scenario import Scenario
from tests.simulation.world import World


@dataclass(frozen=True)
class Simulated:
    """What became of a seed.

    Attributes:
        seed: The seed.
        digest: The digest of all that happened: equal for the same seed.
        steps: How many steps it took.
        faults: What it met, by kind.
        checked: How often each promise was checked.
        broken: The promise that was broken, or None.
        violation: What was seen then.
        lines: The trace.
    """

    seed: int
    digest: str
    steps: int
    faults: Counter[str]
    checked: Counter[str]
    broken: Promise | None
    violation: str
    lines: list[str]


def simulate(
    seed: int, without: frozenset[str] = frozenset(), *, outliving: bool = False, workload: str | None = None
) -> Simulated:
    """Run a seed.

    Args:
        seed: Decides everything.
        without: Promises, by name, that are not checked.
        outliving: Whether a copy of a child may outlive its run into a retry of the failed items.
        workload: The name of one of the other workloads.
    """
    world = World(seed, without, outliving=outliving, workload=workload)
    broken: Promise | None = None
    details = ""
    with _silence(), simulated_functions(world):
        try:
            Scenario(world).play()
        except Violation as found:
            broken, details = found.promise, found.details
        except EndlessRunError as endless:
            broken, details = Promise.ENDS, str(endless)
        finally:
            world.scheduler.close()
    world.trace("BROKEN" if broken else "end", f"{broken}: {details}" if broken else "every promise was kept")
    return Simulated(
        seed,
        world.digest,
        world.scheduler.steps,
        world.faults.injected,
        world.promises.checked,
        broken,
        details,
        world.lines,
    )


@contextmanager
def _silence() -> Iterator[None]:
    """The jobs' logs would be hundreds of lines a seed; the trace says more."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
