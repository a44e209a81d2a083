"""A simulated process: one attempt of a job, or one call of a Lambda."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from batch_jobs.stop import Stop
from millrace.settings import JobSettings
from tests.simulation.errors import Crash

PLANNING = frozenset({"prepare_run", "plan"})
MIGRATING = frozenset({"migrate", "migrate-and-merge"})
MERGING = frozenset({"merge", "migrate-and-merge"})
JOBS = frozenset({"plan"}) | MIGRATING | MERGING
"""Who plans; the verbs of the jobs, those that migrate and those that merge."""

FIRST_CODE, OTHER_CODE = "1111111111111111", "2222222222222222"
"""The digest of the code that plans every run, and that of a code which somebody deploys meanwhile."""


def identity(code: str) -> Callable[[JobSettings, str], str]:
    """What a job that runs this code says of it."""
    return lambda settings, _workload: f"{settings.code_version}+jobs.{code}"


@dataclass(eq=False)
class Process:
    """One process, alive or not.

    Attributes:
        name: For people.
        runs: The function, or the job's verb.
        in_array: Whether it is a child of an array.
        run_id: The run it works for.
        shard: Which one it migrates now.
        looked: The steps at which it looked for the commits of shards, or wrote one, last.
        stop: How it is told to stop.
        began: The step at which it started.
        ended: The step at which it came to its end by itself, without an error.
        listed: The steps at which it began and ended to list.
        dead: Whether nothing that it does has an effect any more.
        lost: Whether Batch takes it for dead, alive or not.
        calls_left: How many calls it has left until it is killed; None where it is not.
        time_limit: When Batch kills it.
        on_lost: Told when Batch takes it for dead.
        exit_code: How it ended.
        reason: Batch's statusReason, where it did not end by itself.
        percent: The tolerance that a merge was started with.
        code: Which code it runs.
        disk_full: Whether its host's disk has no room any more.
    """

    name: str
    runs: str
    run_id: str
    in_array: bool = False
    shard: int | None = None
    looked: dict[int, int] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop)
    began: int = 0
    ended: int | None = None
    listed: list[int] = field(default_factory=list)
    dead: bool = False
    lost: bool = False
    calls_left: int | None = None
    time_limit: float | None = None
    on_lost: Callable[[Process], None] = lambda _process: None
    exit_code: int | None = None
    reason: str = ""
    percent: float | None = None
    code: str = FIRST_CODE
    disk_full: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended, by itself or not."""
        return self.dead or self.exit_code is not None

    def die(self, reason: str = "") -> None:
        """End here and now.

        Raises:
            Crash: Always.
        """
        self.dead = True
        self.reason = reason
        raise Crash

    def live(self, now: float) -> None:
        """Make another call, if it lives.

        Raises:
            Crash: It does not.
        """
        if self.dead:
            raise Crash
        if self.time_limit is not None and now > self.time_limit:
            self.die("Job attempt duration exceeded timeout")
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left <= 0:
                self.die()
