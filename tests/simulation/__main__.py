"""`python -m tests.simulation --seeds 2000`: runs seeds; says what was injected, what was checked, and what broke."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

sys.path[:0] = [".", "layer/python", "functions"]

from tests.simulation.other_workloads import OTHERS  # noqa: E402 - the path has to be there first
from tests.simulation.runs import Simulated, simulate  # noqa: E402 - the path has to be there first

TAIL_LINES = 60


def main(arguments: Sequence[str]) -> int:
    """Run seeds; returns 1 where one broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="K", help="the first one (default: %(default)s)")
    parser.add_argument("--seed", type=int, metavar="K", help="this one alone")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument(
        "--outliving",
        action="store_true",
        help="let copies of a child outlive their run into a retry of its failed items",
    )
    parser.add_argument(
        "--workload", choices=sorted(OTHERS), help="this one, instead of the two that seeds choose from"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="how many at once (default: %(default)s)")
    given = parser.parse_args(arguments)
    seeds = [given.seed] if given.seed is not None else range(given.first_seed, given.first_seed + given.seeds)
    started = time.monotonic()
    faults: Counter[str] = Counter()
    checked: Counter[str] = Counter()
    broken: list[int] = []
    steps = runs = 0
    with ProcessPoolExecutor(given.processes) as pool:
        run = partial(simulate, outliving=given.outliving, workload=given.workload)
        done = map(run, seeds) if given.processes == 1 else pool.map(run, seeds, chunksize=20)
        for simulated in done:
            runs += 1
            steps += simulated.steps
            faults += simulated.faults
            checked += simulated.checked
            if simulated.broken:
                broken.append(simulated.seed)
            if given.trace or simulated.broken:
                _print_trace(simulated, whole=given.trace)
            if len(broken) >= 5:
                break
    _say(f"\nfaults injected: {faults.total()}")
    for kind, count in sorted(faults.items()):
        _say(f"  {count:8,d}  {kind}")
    _say(f"\npromises checked: {checked.total():,d} times")
    for promise, count in sorted(checked.items()):
        _say(f"  {count:8,d}  {promise}")
    _say(f"\n{runs:,d} seeds, {steps:,d} steps, {time.monotonic() - started:.1f} s")
    if broken:
        _say(f"BROKEN by seeds {broken}; python -m tests.simulation --seed {broken[0]} --trace")
    return 1 if broken else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _print_trace(simulated: Simulated, *, whole: bool) -> None:
    _say(f"\nseed {simulated.seed}, digest {simulated.digest[:16]}")
    for line in simulated.lines if whole else simulated.lines[-TAIL_LINES:]:
        _say(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
