"""What a seed's run consists of: perhaps an earlier run, then one that is disturbed, resumed and retried."""

from __future__ import annotations

from typing import Any

from millrace.errors import TooManyFailuresError
from tests.simulation import forgery, undisturbed, verdicts
from tests.simulation.batch import Batch
from tests.simulation.execution import Execution
from tests.simulation.keys import RESULT, RESULT_PREFIX, SOURCE, SOURCE_PREFIX, run_key
from tests.simulation.process import FIRST_CODE, JOBS, MIGRATING, OTHER_CODE
from tests.simulation.promises import Promise
from tests.simulation.state_machine import STATES
from tests.simulation.uploads import Uploads
from tests.simulation.world import World

TOO_MANY = TooManyFailuresError.exit_code
OTHER_CODES = 0.2
"""How often other code is deployed before a failed run is resumed."""
DENIED = 2
"""The exit code of a job that may not read its source at all."""


class Scenario:
    """What happens in one seed's run.

    Args:
        world: What the seed has decided.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._batch = Batch(world)
        chance = world.chance
        self._max_items = chance.choice((1, 1, 2, 3, 4))
        self._percent = chance.choice((0, 50, 100, 100))
        self._merge_limit_seconds = chance.choice((900, 0))
        # From one job for all to a child a shard.
        self._seconds_per_item = world.codes.choice((0.001, 30, 50, 80, 3000))
        self._executions = 0

    def play(self) -> None:
        """Let it happen, and check it.

        Raises:
            Violation: A promise was broken.
            EndlessRunError: A run does not end.
        """
        world, chance = self._world, self._world.chance
        many = chance.random() < 0.05
        world.source.fill(chance.randrange(20, 26) if many else chance.choice((0, 1, 2, 3, 4, 5, 6, 8, 10, 12)))
        if many:  # in one shard, as what ends a child counts the items of a shard
            self._max_items, self._seconds_per_item = 25, 0.001
        if chance.random() < 0.4:
            world.faults.on = chance.random() < 0.5
            reuses, world.reuses = world.reuses, False
            self._see_through("earlier", give_up=False)
            world.reuses = reuses
            for _ in range(chance.choice((0, 1, 3))):
                self._let_happen()
        if chance.random() < 0.15:
            undisturbed.leave_relics(world, self._request())
        if many:
            self._take_all_away()
        world.faults.on = True
        complete = self._see_through("run", give_up=chance.random() < 0.1)
        if complete:
            undisturbed.compare(world, "run", {**self._request(), "reuse": None})
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
            if world.s3.stored(RESULT, run_key("run", "result.json")) is not None:
                complete = self._retry_failed()
        self._add_up()
        if complete:
            self._repeat()
        self._upload()

    def _upload(self) -> None:
        """Upload objects that start runs of their own, in some seeds."""
        if self._world.uploads:
            self._world.released = set()
            Uploads(self._world, self._batch).play()
            self._add_up()

    def _add_up(self) -> None:
        """Let all copies come to their end, and see what is there."""
        world = self._world
        world.faults.on = False
        world.released = set(JOBS)
        world.scheduler.pause(ready=lambda: world.scheduler.quiet)
        verdicts.add_up(world)

    def _take_all_away(self) -> None:
        """Deny the source as a whole, or disable the key of each of its objects: the run fails, or has its rows."""
        world = self._world
        if world.chance.random() < 0.5:
            world.source.deny_all(world.scheduler.steps)
            world.faults.note("source denied as a whole")
        else:
            world.source.disable_keys(world.scheduler.steps)
            world.faults.note("keys of all objects disabled")

    def _retry_failed(self) -> bool:
        """Migrate the failed items again; some of their objects are better by now, and some worse."""
        world, chance = self._world, self._world.chance
        world.faults.on = True
        world.faults.note("retry of failed items")
        if not world.outliving:
            world.released = set(MIGRATING)
            world.scheduler.pause(ready=self._no_child_is_left)
            world.released = set()
        if chance.random() < 0.7:
            world.source.allow_all(world.scheduler.steps)
        for _ in range(chance.choice((0, 1, 3))):
            self._let_happen()
        return self._see_through("run", give_up=chance.random() < 0.1, retry_failed=True)

    def _no_child_is_left(self) -> bool:
        jobs = [job for job in self._batch.jobs if job.command[0] in MIGRATING]
        return all(job.status != "RUNNING" and all(process.over for process in job.processes) for job in jobs)

    def _see_through(self, run_id: str, *, give_up: bool, retry_failed: bool = False) -> bool:
        """Start a run, and start it again until it is complete; returns whether it is."""
        world, chance = self._world, self._world.chance
        on = world.faults.on
        self._weather(chance.choice((0, 0, 1, 2, 4)))
        again = {"run_id": run_id, "retry_failed": True} if retry_failed else {}
        execution = self._start(run_id, {**self._request(), **again})
        tries = 0
        while True:
            execution.wait()
            if execution.status == "SUCCEEDED":
                verdicts.check_output(world, execution)
                world.faults.on = on
                return True
            if give_up:
                world.faults.note("failed run left alone")
                return False
            tries += 1
            if tries >= 4:
                world.faults.on = False
                world.source.allow_all(world.scheduler.steps)
            codes = execution.failure.exit_codes if execution.failure else set()
            if codes == {TOO_MANY}:
                verdicts.check_failed(world, execution, self._percent)
                if chance.random() < 0.3:
                    forgery.declare_success(world, execution.folder)
                    execution = self._resume(run_id)
                    continue
                if chance.random() < 0.5:
                    world.faults.on = on
                    return False
                self._percent = 100
                world.faults.note("accepted by a higher tolerance")
                execution = self._resume(run_id)
                continue
            if DENIED in codes:
                world.source.allow_all(world.scheduler.steps)
            execution = self._by_other_code(execution, run_id)
            world.promises.check(Promise.ENDS, tries < 12, f"run {run_id} failed {tries} times, last: {codes}")
            if chance.random() < 0.5:
                execution.redrive()
            else:
                execution = self._resume(run_id)

    def _by_other_code(self, execution: Execution, run_id: str) -> Execution:
        """Perhaps redrive or resume a planned run while other code is deployed: that fails, and it is put back."""
        world = self._world
        if world.codes.random() >= OTHER_CODES or world.s3.stored(RESULT, run_key(run_id, "plan.json")) is None:
            return execution
        world.faults.note("code changed")
        world.code = OTHER_CODE
        if STATES[execution.state] in JOBS and world.codes.random() < 0.5:
            execution.redrive()
        else:
            execution = self._resume(run_id)
        execution.wait()
        world.code = FIRST_CODE
        world.promises.check(Promise.ONE_CODE, execution.status != "SUCCEEDED", "a run succeeded by other code")
        return execution

    def _start(self, run_id: str, request: dict[str, Any]) -> Execution:
        self._executions += 1
        name = request.get("run_id") and f"resume-{self._executions}"
        return Execution(self._world, self._batch, name or run_id, request)

    def _resume(self, run_id: str) -> Execution:
        if self._world.s3.stored(RESULT, f"{RESULT_PREFIX}_millrace/{run_id}/run.json") is None:
            return self._start(run_id, self._request())
        self._world.faults.note("resume by a new execution")
        return self._start(run_id, {**self._request(), "run_id": run_id})

    def _request(self) -> dict[str, Any]:
        return {
            "source": f"s3://{SOURCE}/{SOURCE_PREFIX}",
            "destination": f"s3://{RESULT}/{RESULT_PREFIX}",
            "shard": {"max_items": self._max_items},
            "merge_limit_seconds": self._merge_limit_seconds,
            "tolerated_failure_percent": self._percent,
            "pace": {"seconds_per_item": self._seconds_per_item},
            "reuse": "latest" if self._world.reuses else None,
            **self._world.workload.asked,
        }

    def _weather(self, changes: int) -> None:
        """Let things happen to the source while the run is under way."""
        for _ in range(changes):
            self._world.scheduler.spawn("source", self._let_happen, self._world.chance.randrange(5, 250))

    def _let_happen(self) -> None:
        kind = self._world.source.happen(self._world.scheduler.steps)
        if kind is not None:
            self._world.trace("source", self._world.faults.note(f"source object {kind}"))

    def _repeat(self) -> None:
        """Resume a complete run: nothing is read again, nothing changes, but for failed outputs that a crash left."""
        world, check = self._world, self._world.promises.check
        before = verdicts.kept(world, "run")
        if world.codes.random() < OTHER_CODES:
            world.code = OTHER_CODE
            refused = self._resume("run")
            world.scheduler.pause(ready=lambda: refused.ended and world.scheduler.quiet)
            world.code = FIRST_CODE
            check(Promise.ONE_CODE, refused.status == "FAILED", f"other code {refused.status}")
        repeated = Promise.REPEATED
        if world.chance.random() < 0.5:
            repeated = Promise.FORGED
            forgery.damage(world, "run")
        first = len(world.lines)
        execution = self._resume("run")
        world.scheduler.pause(ready=lambda: execution.ended and world.scheduler.quiet)
        check(repeated, execution.status == "SUCCEEDED", f"{execution.status}: {execution.failure}")
        after = verdicts.kept(world, "run")
        changed = [key for key in before | after if before.get(key) != after.get(key)]
        check(repeated, not changed, f"changed: {changed}")
        read = [line for line in world.lines[first:] if f"get_object {SOURCE}/" in line]
        check(Promise.REPEATED, not read, f"read again: {read}")
        verdicts.add_up(world)
