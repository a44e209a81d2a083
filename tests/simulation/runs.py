"""One seed: a source, perhaps an earlier run, then a run that is disturbed, and what became of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from millrace.errors import TooManyFailuresError
from tests.simulation import adding_up, undisturbed
from tests.simulation.batch import Batch
from tests.simulation.errors import EndlessRunError, Violation
from tests.simulation.execution import Execution
from tests.simulation.keys import RESULT, RESULT_PREFIX, SOURCE, SOURCE_PREFIX, kind_of
from tests.simulation.promises import Promise
from tests.simulation.world import World

TOO_MANY = TooManyFailuresError.exit_code
DENIED = 2
"""The exit code of a job that may not read its source at all."""


@dataclass(frozen=True)
class Simulated:
    """What became of a seed.

    Attributes:
        seed: The seed.
        digest: The digest of all that happened: equal for the same seed.
        steps: How many steps it took.
        faults: What it met, by kind.
        checked: How often each promise was checked.
        violation: The promise that was broken, or None.
        lines: The trace.
    """

    seed: int
    digest: str
    steps: int
    faults: Counter[str]
    checked: Counter[str]
    violation: Violation | None
    lines: list[str]


def simulate(seed: int, without: frozenset[str] = frozenset()) -> Simulated:
    """Run a seed.

    Args:
        seed: Decides everything.
        without: Promises, by name, that are not checked.
    """
    world = World(seed, without)
    violation: Violation | None = None
    with _silence():
        try:
            _Scenario(world).play()
        except Violation as found:
            violation = found
        except EndlessRunError as endless:
            violation = Violation(Promise.ENDS, str(endless))
        finally:
            world.scheduler.close()
    world.trace("violation" if violation else "end", str(violation))
    return Simulated(
        seed,
        world.digest,
        world.scheduler.steps,
        world.faults.injected,
        world.promises.checked,
        violation,
        world.lines,
    )


class _Scenario:
    def __init__(self, world: World) -> None:
        self._world = world
        self._batch = Batch(world)
        chance = world.chance
        self._max_items = chance.randrange(1, 5)
        self._percent = chance.choice((0, 50, 100, 100))
        self._executions = 0

    def play(self) -> None:
        world, chance = self._world, self._world.chance
        many = chance.random() < 0.05
        world.source.fill(chance.randrange(20, 26) if many else chance.choice((0, 1, 2, 3, 4, 5, 6, 8, 10, 12)))
        if many:
            self._max_items = 25
        if chance.random() < 0.4:
            world.faults.on = chance.random() < 0.5
            self._see_through("earlier", give_up=False)
            for _ in range(chance.choice((0, 1, 3))):
                self._let_happen()
        undisturbed.leave_relics(world, self._request("run")) if chance.random() < 0.15 else None
        if many:
            world.source.deny_all(world.scheduler.steps)
            world.faults.note("source denied as a whole")
        world.faults.on = True
        complete = self._see_through("run", give_up=chance.random() < 0.1)
        world.faults.on = False
        world.released = True
        world.scheduler.pause(ready=lambda: world.scheduler.quiet)
        for run_id, record in world.records.runs.items():
            if record.complete_at is not None:
                adding_up.check_complete(world, run_id, None)
            adding_up.check_outputs(world, record)
        if complete:
            undisturbed.compare(world, "run", self._request("run"))
            self._repeat()

    def _see_through(self, run_id: str, *, give_up: bool) -> bool:
        """Start a run, and start it again until it is complete; returns whether it is."""
        world, chance = self._world, self._world.chance
        on = world.faults.on
        self._weather(chance.choice((0, 0, 1, 2, 4)))
        execution = self._start(run_id, self._request(run_id))
        tries = 0
        while True:
            world.scheduler.pause(ready=lambda: execution.ended)
            if execution.status == "SUCCEEDED":
                self._check_output(execution)
                world.faults.on = on
                return True
            if give_up:
                world.faults.note("failed run left alone")
                self._check_failed(run_id, None)
                return False
            tries += 1
            if tries >= 4:
                world.faults.on = False
                world.source.allow_all(world.scheduler.steps)
            codes = execution.failure.exit_codes if execution.failure else set()
            if codes == {TOO_MANY}:
                self._check_failed(run_id, execution)
                if chance.random() < 0.5:
                    world.faults.on = on
                    return False
                self._percent = 100
                world.faults.note("accepted by a higher tolerance")
                execution = self._resume(run_id)
                continue
            if DENIED in codes:
                world.source.allow_all(world.scheduler.steps)
            world.promises.check(Promise.ENDS, tries < 12, f"run {run_id} failed {tries} times, last: {codes}")
            if chance.random() < 0.5:
                execution.redrive()
            else:
                execution = self._resume(run_id)

    def _start(self, run_id: str, request: dict[str, Any]) -> Execution:
        self._executions += 1
        name = request.get("run_id") and f"resume-{self._executions}"
        return Execution(self._world, self._batch, name or run_id, request)

    def _resume(self, run_id: str) -> Execution:
        if self._world.s3.stored(RESULT, f"{RESULT_PREFIX}_millrace/{run_id}/run.json") is None:
            return self._start(run_id, self._request(run_id))
        self._world.faults.note("resume by a new execution")
        return self._start(run_id, {**self._request(run_id), "run_id": run_id})

    def _request(self, _run_id: str) -> dict[str, Any]:
        return {
            "source": f"s3://{SOURCE}/{SOURCE_PREFIX}",
            "destination": f"s3://{RESULT}/{RESULT_PREFIX}",
            "shard": {"max_items": self._max_items},
            "tolerated_failure_percent": self._percent,
        }

    def _weather(self, changes: int) -> None:
        """Let things happen to the source while the run is under way."""

        def change() -> None:
            self._let_happen()

        for _ in range(changes):
            self._world.scheduler.spawn("source", change, self._world.chance.randrange(5, 250))

    def _let_happen(self) -> None:
        kind = self._world.source.happen(self._world.scheduler.steps)
        if kind is not None:
            self._world.trace("source", self._world.faults.note(f"source object {kind}"))

    def _check_output(self, execution: Execution) -> None:
        result = self._world.records.document(execution.run_id, "result.json")
        said = {name: result[name] for name in ("run_id", "status", "counts", "failures", "files")}
        output = execution.output or {}
        same = {name: output.get(name) for name in said} == said
        self._world.promises.check(Promise.OUTPUT_OF_RUN, same, f"{output} is not {said}")
        record = self._world.records.of(execution.run_id)
        self._world.promises.check(Promise.SUCCESS_LAST, record.complete_at is not None, "succeeded without _SUCCESS")

    def _check_failed(self, run_id: str, execution: Execution | None) -> None:
        world, record = self._world, self._world.records.of(run_id)
        if execution is None:
            return
        # Exit code 3: more failures than tolerated, and a complete report all the same.
        check = world.promises.check
        failed = sum(row["status"] == "FAILED" for row in record.outcomes)
        beyond = failed * 100 > self._percent * len(record.items)
        check(Promise.NOT_COMPLETE, beyond, f"{failed} of {len(record.items)} failed, {self._percent} % are tolerated")
        check(Promise.NOT_COMPLETE, record.complete_at is None, "it is marked as complete")
        adding_up.check_report(world, record)
        result = world.records.document(run_id, "result.json")
        check(Promise.NOT_COMPLETE, result["status"] == "FAILED", f"result.json says {result['status']}")
        adding_up.check_counts(world, record, result)

    def _repeat(self) -> None:
        """Resume a complete run: nothing is read again, nothing changes."""
        world, check = self._world, self._world.promises.check
        before = {key: body for key, body in world.s3.bodies(RESULT).items() if kind_of(RESULT, key) != "progress"}
        first = len(world.lines)
        execution = self._resume("run")
        world.scheduler.pause(ready=lambda: execution.ended and world.scheduler.quiet)
        check(Promise.REPEATED, execution.status == "SUCCEEDED", f"{execution.status}: {execution.failure}")
        after = {key: body for key, body in world.s3.bodies(RESULT).items() if kind_of(RESULT, key) != "progress"}
        check(Promise.REPEATED, before == after, f"changed: {[key for key in after if after[key] != before.get(key)]}")
        read = [line for line in world.lines[first:] if f"get_object {SOURCE}/" in line]
        check(Promise.REPEATED, not read, f"read again: {read}")


@contextmanager
def _silence() -> Iterator[None]:
    """The jobs' logs would be hundreds of lines a seed; the trace says more."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
