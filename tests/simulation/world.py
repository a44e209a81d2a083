"""What a simulated run consists of, for those who take part in it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from batch_jobs.job import Job
from batch_jobs.stop import Stop
from millrace.s3.requests import BotocoreRequests
from millrace.s3.retry import Backoff
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client
from tests.simulation.client import SimulatedClient
from tests.simulation.faults import Faults
from tests.simulation.full_disks import on_a_disk
from tests.simulation.keys import RESULT, SOURCE, run_key
from tests.simulation.online import OnlineChecks
from tests.simulation.other_workloads import OTHERS
from tests.simulation.process import FIRST_CODE, Process, identity
from tests.simulation.promises import Promises
from tests.simulation.records import Records
from tests.simulation.scheduler import Scheduler
from tests.simulation.source import SourceObjects
from tests.simulation.workloads import WORKLOADS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADING = 0.3
"""How many of the seeds upload objects at the end."""

BEGINNING = datetime(2026, 11, 21, tzinfo=UTC)


class World:
    """Everything that one seed decides.

    Args:
        seed: The seed.
        without: Promises that are not checked, to see which others catch a fault.
        outliving: Whether a copy of a child may outlive its run into a retry of the failed items.
        workload: The name of one of the other workloads; None lets the seed choose among the usual ones.

    Attributes:
        listings: Decides which listings of the source are wrong.
        disks: Decides which disks fill up, and when.
        merges: Decides which children of an array die as they merge, and which claims of a merge are lost.
        codes: Decides when other code is deployed.
        code: The digest of the code that is deployed.
        processes: Every process there was.
        faulty_reads: (run, key) of the source reads that met a fault, and copies; (run, None) of other calls.
        released: What no zombie of waits any longer.
        uploads: Whether objects are uploaded, and start runs, at the end.
        slots: How many jobs run at once, as Read Plan is told.
        reuses: Whether the next run reuses the latest one before it.
        compute: What jobs run on: on Fargate the first one of an execution may be a small one.
        small_is_enough: Whether a small job has the memory that it needs; else it is killed, at whatever it does.
        plans_at_once: Whether Prepare Run plans small sources itself.
        named: The keys that a run is over, by the run, where its request names them.
        forged: The keys of what somebody damaged or forged, until a merge has written it anew.
    """

    def __init__(
        self, seed: int, without: frozenset[str] = frozenset(), *, outliving: bool = False, workload: str | None = None
    ) -> None:
        self.seed = seed
        self.outliving = outliving
        self.chance = random.Random(f"{seed} scenario")
        self.scheduler = Scheduler(random.Random(f"{seed} scheduler"), self.chance.choice((0.0, 0.0, 0.5, 0.9)))
        usual = self.chance.choice(WORKLOADS)
        self.workload = usual if workload is None else OTHERS[workload]()
        self.faults = Faults(random.Random(f"{seed} faults"), self.chance.choice((0, 2, 5, 10, 20, 40)))
        self.listings = random.Random(f"{seed} listings")
        self.disks = random.Random(f"{seed} disks")
        self.merges = random.Random(f"{seed} merges")
        self.codes = random.Random(f"{seed} codes")
        self.code = FIRST_CODE
        self.s3 = InMemoryS3Client(SOURCE, RESULT, page_size=self.chance.choice((2, 5, 1000)))
        self.source = SourceObjects(self.s3, random.Random(f"{seed} source"), self.workload)
        self.promises = Promises(without)
        self.records = Records(self.s3)
        self.online = OnlineChecks(self)
        self.processes: list[Process] = []
        self.faulty_reads: set[tuple[str, str | None]] = set()
        self.released: set[str] = set()
        self.named: dict[str, frozenset[str]] = {}
        self.forged: set[str] = set()
        self.attempt_seconds: int | None = self.chance.choice((None, None, 300, 3600))
        self.lines: list[str] = []
        self._digest = hashlib.sha256()
        self._seconds_per_call = self.chance.choice((0.05, 2.0, 20.0))
        self.slots = self.codes.choice((1, 2, 3, 5, 16))
        self.uploads = workload is None and random.Random(f"{seed} whether there are uploads").random() < UPLOADING
        self.reuses = random.Random(f"{seed} reuse").random() < 0.4
        self.compute = random.Random(f"{seed} compute").choice(("FARGATE_SPOT", "FARGATE_SPOT", "EC2"))
        self.small_is_enough = random.Random(f"{seed} memory").random() < 0.7
        self.plans_at_once = random.Random(f"{seed} planning").random() < 0.5

    @property
    def digest(self) -> str:
        """The digest of all that happened so far."""
        return self._digest.hexdigest()

    @property
    def date(self) -> datetime:
        """What time it is."""
        return BEGINNING + timedelta(seconds=self.scheduler.now)

    def trace(self, who: Process | str, what: str) -> None:
        """Write down what happened."""
        name = who if isinstance(who, str) else who.name
        line = f"{self.scheduler.steps:6d} {self.scheduler.now:9.1f} {name}: {what!r}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def pass_time(self) -> None:
        """Offer the baton; a call costs time."""
        self.scheduler.pause(seconds=self.chance.random() * self._seconds_per_call)

    def disturb(self, process: Process) -> None:
        """A process that worked a shard is lost: its successor may find the shard's objects changed."""
        if process.shard is None or self.chance.random() < 0.5:
            return
        shards = self.records.of(process.run_id).shards
        keys = [item.key for item in shards[process.shard]]
        kind = self.source.happen(self.scheduler.steps, keys)
        self.trace("source", self.faults.note(f"source object {kind}"))

    def release(self, process: Process) -> Callable[[], bool]:
        """When a zombie continues: soon, much later, when its run is complete, or at the very end."""
        kind = self.chance.randrange(4)
        step = self.scheduler.steps + self.chance.randrange(5, 60 if kind == 0 else 600)

        def ready() -> bool:
            if process.runs in self.released:
                return True
            if kind < 2:
                return self.scheduler.steps >= step
            return kind == 2 and self.s3.stored(RESULT, run_key(process.run_id, "_SUCCESS")) is not None

        return ready

    def storage(self, process: Process) -> S3:
        """The S3 of a process."""
        chance = random.Random(f"{self.seed} backoff {process.name}")
        backoff = Backoff(sleep=self.scheduler.sleep, chance=chance.random, clock=self.scheduler.clock)
        return S3(BotocoreRequests(cast("S3Client", SimulatedClient(self, process))), backoff)

    def job(self, process: Process, settings: JobSettings) -> Job:
        """The surroundings of a job; one thing at a time in each."""
        process.stop = Stop(settings.attempt_seconds, self.scheduler.clock, wait=self.scheduler.sleep)
        return Job(
            s3=self.storage(process),
            settings=settings,
            stop=process.stop,
            load=lambda name, options: on_a_disk(self.workload.load(name, options), self, process),
            identify=identity(process.code),
            now=lambda: self.date,
            clock=self.scheduler.clock,
        )
