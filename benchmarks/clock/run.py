"""A run of Millrace on the simulated Batch: its own code plans, sizes, claims, helps and hands back.

Real are: the state machine, cutting (`millrace.source.sharding`), Read Plan with its sizing and its measured pace
(`functions/read_plan`), a child's order, claims, helping and handing back (`batch_jobs.migrating`), and which child
merges (`batch_jobs.merging.migrate_and_merge`). What a shard's items, a listing and a merge take is waited for.
"""

from __future__ import annotations

import bisect
import json
import os
import random
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from batch_jobs.job import Job
from batch_jobs.merging import migrate_and_merge as migrate_and_merge_module
from batch_jobs.migrating.claims import Claims
from batch_jobs.migrating.migrate import _Child
from batch_jobs.migrating.shard_order import Stay
from batch_jobs.stop import Stop
from benchmarks.clock.fargate import Attempt, Clock, Fleet
from benchmarks.clock.scenarios import PLANNING_SECONDS_PER_OBJECT, Least, Scenario
from millrace.errors import HandedBackError, ObjectNotFoundError, StoppedError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.records.files import mark_of
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.records.sizing import FULL, SMALL, SMALL_VCPUS
from millrace.s3.verbs import S3, ListedObject
from millrace.settings import FunctionSettings, JobSettings
from millrace.source.sharding import SHARD_SECONDS, ShardLimits, cut

# The functions' own folder is their root, as in Lambda; without a region no client can be made.
sys.path.insert(0, str(Path(__file__).parents[2] / "functions"))
os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "millrace")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "1")

from prepare_run import PLANNING_SECONDS
from read_plan import read_plan
from read_result import _check_handed_back

LAMBDA_SECONDS = 1.0
"""A call of one of the stack's functions, and the state machine's step to it: as prices.toml has it."""

REQUEST_SECONDS = 0.03
"""A request of a child to S3."""

SHARD_REQUESTS = 5
"""Of a shard beside its items, its claim and its listings: the shard file, the progress, the partial, the commit."""

SAVE_SECONDS = 60.0
"""How often a child writes its claim anew: what `batch_jobs.migrating.shard_work` does."""

PROCESS_SECONDS = 0.5
"""CPU of a job beside its items, from its process to its first request and from its last one to its end, reports
included: of one vCPU, measured (docs/performance.md, Start-up). A small job takes four times as long."""

ATTEMPT_SECONDS = 14_400
"""The template's default of AttemptSeconds."""

PARTS = ("wait", "plan", "start", "migrate", "merge", "lambda")
"""What the time of a run goes to."""

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FOLDER = RunFolder(S3Uri("result", "_millrace/run/"))


class Store:
    """The S3 of a run's claims and commits: what a child and Read Plan call. A request costs its task time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bodies: dict[str, bytes] = {}
        self._keys: list[str] = []

    def read(self, uri: S3Uri) -> bytes:
        """GET."""
        self._request()
        if uri.key not in self._bodies:
            raise ObjectNotFoundError("there is none", operation="get", target=str(uri))
        return self._bodies[uri.key]

    def open(self, uri: S3Uri, **_range: int) -> Any:
        """GET of a range: what is here is shorter than any."""
        body = self.read(uri)

        class Reader:
            etag = str(hash(body))

            def __enter__(self) -> Iterator[bytes]:
                return iter([body])

            def __exit__(self, *_error: object) -> None:
                return None

        return Reader()

    def put(self, uri: S3Uri, body: bytes, **_given: object) -> None:
        """PUT."""
        self._request()
        if uri.key not in self._bodies:
            bisect.insort(self._keys, uri.key)
        self._bodies[uri.key] = body

    def put_if_absent(self, uri: S3Uri, body: bytes, **given: object) -> bool:
        """PUT with If-None-Match."""
        if uri.key in self._bodies:
            self._request()
            return False
        self.put(uri, body, **given)
        return True

    def put_if_same(self, uri: S3Uri, body: bytes, etag: str, **given: object) -> bool:
        """PUT with If-Match."""
        if uri.key not in self._bodies or str(hash(self._bodies[uri.key])) != etag:
            self._request()
            return False
        self.put(uri, body, **given)
        return True

    def delete(self, uri: S3Uri, **_given: object) -> None:
        """DELETE."""
        self._request()
        if self._bodies.pop(uri.key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, uri.key)]

    def list(self, _bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """ListObjectsV2."""
        self._request()
        place = bisect.bisect_right(self._keys, max(prefix, start_after))
        found = self._keys[place : bisect.bisect_left(self._keys, prefix + "\U0010ffff")]
        return (ListedObject(key, 0, "", "STANDARD") for key in found)

    def holds(self, uri: S3Uri) -> bool:
        """Whether there is such an object; the asking costs what a GET does."""
        self._request()
        return uri.key in self._bodies

    def _request(self) -> None:
        task = self._clock.task
        if task is not None:
            task.owed += REQUEST_SECONDS


@dataclass
class Measured:
    """What a run came to.

    Attributes:
        least: The least that it could have been.
        seconds: To the result.
        billed: Seconds billed.
        small: How many of these were a small job's.
        parts: What the time went to, in seconds: wait, plan, start, migrate, merge, lambda.
        children: The size of each array.
        shards: How many shards there were.
        work: How long one child would take for the items.
        longest: The longest item.
        jobs: How many jobs' attempts were started.
        reclaimed: How many of them lost their host.
        failed: How many jobs failed.
        states: How many states the execution went through.
        calls: How many functions it called, and those that tell of the ends of its jobs and of itself.
        planning: How long Prepare Run planned.
    """

    least: Least
    seconds: float
    billed: float
    small: float
    parts: dict[str, float]
    children: list[int]
    shards: int
    work: float
    longest: float
    jobs: int
    reclaimed: int
    failed: int
    states: int
    calls: int
    planning: float


@cache
def state_machine() -> dict[str, Any]:
    """The real definition."""
    file = Path(__file__).parents[2] / "statemachine" / "migration.asl.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def chosen(state: dict[str, Any], data: dict[str, Any]) -> str:
    """The state that comes after a Choice."""
    for choice in state["Choices"]:
        _, of, name = choice["Variable"].split(".")
        (expected,) = (choice[each] for each in choice if each.endswith("Equals"))
        if data[of][name] == expected:
            return str(choice["Next"])
    return str(state["Default"])


@dataclass
class Run:
    """One run under way."""

    scenario: Scenario
    seed: int
    mirrored: bool = False
    clock: Clock = field(default_factory=Clock)
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    children: list[int] = field(default_factory=list)
    progress: dict[int, float] = field(default_factory=dict)
    states: int = 0
    calls: int = 0
    planning: float = 0.0
    merged: float = 0.0
    small: float = 0.0
    slower: float = 1.0
    to_take: float = 0.0

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)  # noqa: S311 - the same run every time is the point
        scenario = self.scenario
        self.lengths = lengths = scenario.lengths(dice)
        self.shards = cut(lengths, ShardLimits(), scenario.believed)
        self.bytes = [sum(lengths[each.start : each.stop]) for each in self.shards]
        self.seconds = _uneven(scenario, lengths, self.shards, dice)
        alone = (took for took, each in zip(self.seconds, self.shards, strict=True) if len(each) == 1)
        self.longest = max(scenario.pace.seconds(1, max(lengths)), *alone, 0.0)
        self.fleet = Fleet(self.clock, scenario.slots, dice, scenario.reclaims_per_hour, self.mirrored)
        self.store = Store(self.clock)
        self.plan = Plan(
            run_id="run",
            source="s3://source/",
            destination="s3://result/",
            workload="word-count",
            options={},
            include=[],
            exclude=[],
            shards=len(self.shards),
            items=len(lengths),
            total_bytes=sum(self.bytes),
            skipped={},
            tolerated_failure_percent=0,
            code_version="1",
            digest="sha256:0",
            planned_at=BEGIN.isoformat(timespec="milliseconds"),
            pace=scenario.believed.known(),
        )

    def work(self) -> Measured:
        """Run it through the real state machine, from the input to the result."""
        data: dict[str, Any] = {"run": {"overlap": "", "planned": False}}
        machine = state_machine()
        name, self.states, self.calls = machine["StartAt"], 1, 1  # the start, and notify at the end
        with patch.multiple(migrate_and_merge_module, migrate=self._migrate, merge=self._merge):
            while name:
                self.states += 1
                state = machine["States"][name]
                if state["Type"] == "Choice":
                    name = chosen(state, data)
                    continue
                try:
                    self._enter(name, state, data)
                    name = state.get("Next", "")
                except HandedBackError:
                    (name,) = (each["Next"] for each in state["Catch"] if "HandedBackError" in each["ErrorEquals"])
        return Measured(
            least=Least.of(self.scenario, sum(self.seconds), self.longest, len(self.shards)),
            seconds=self.clock.now,
            billed=self.fleet.billed,
            small=self.small,
            parts=self.parts,
            children=self.children,
            shards=len(self.shards),
            work=sum(self.seconds),
            longest=self.longest,
            jobs=self.fleet.started,
            reclaimed=self.fleet.reclaimed,
            failed=self.fleet.failed,
            states=self.states,
            calls=self.calls,
            planning=self.planning,
        )

    def _enter(self, name: str, state: dict[str, Any], data: dict[str, Any]) -> None:
        """What a Task state has done."""
        plan = data.get("plan", {})
        if name == "Prepare Run":
            self._call()
            data["run"]["planned"] = self._plan()
            data["plan"] = state["ResultSelector"]["plan"]
        elif name == "Plan":
            self._one_job("plan", self.scenario.plan_seconds)
        elif name == "Read Plan":
            self.store.put(FOLDER.plan, self.plan.to_json())
            settings = FunctionSettings(queues={}, slots=self.scenario.slots, compute="FARGATE_SPOT")
            event = {"plan": str(FOLDER.plan), "before": plan, "migrate_job": "", "execution": {"RedriveCount": 0}}
            data["plan"] = read_plan(event, cast("S3", self.store), settings)
            self._call()
        elif name in {"Migrate And Merge", "Migrate And Merge Shards", "Migrate Shards"}:
            self.children.append(plan["children"])
            size = plan["job"]["size"] if name == "Migrate And Merge" else FULL
            before = self.fleet.billed
            self._array(plan["children"], merging=name != "Migrate Shards", size=size)
            self.small += self.fleet.billed - before if size == SMALL else 0.0
        elif name == "Merge":
            self._one_job("merge", self.scenario.merge_seconds(len(self.shards)))
        elif name == "Read Result":
            self._call()
            if plan["job"]["size"] == SMALL:
                _check_handed_back(FOLDER, f"array{len(self.children)}:0", cast("S3", self.store))
        else:
            raise NotImplementedError(f"the clock does not know the state {name}")

    def _plan(self) -> bool:
        """Plan in Prepare Run, as far as that goes; returns whether it is done."""
        scenario = self.scenario
        if scenario.cuts:
            return False
        needed = scenario.planning_seconds
        most = min(PLANNING_SECONDS, scenario.most_objects * PLANNING_SECONDS_PER_OBJECT * scenario.plan_ratio)
        self.planning = min(needed, most)
        self._wait("plan", self.planning)
        if needed <= most:
            self.to_take = scenario.taking_seconds
            return True
        return False

    def _array(self, children: int, *, merging: bool, size: str) -> None:
        begun = self.clock.now
        self.merged = 0.0
        self.calls += 1  # notify, at the job's end
        self.slower = 1 / SMALL_VCPUS if size == SMALL else 1.0
        self.fleet.run(
            children, lambda index, attempt: self._child(index, children, attempt, merging=merging, size=size)
        )
        self.parts["start"] += self.fleet.first_start - begun
        self.parts["migrate"] += self.clock.now - self.fleet.first_start - self.merged
        self.parts["merge"] += self.merged

    def _child(self, index: int, children: int, attempt: Attempt, *, merging: bool, size: str) -> int:
        clock, task = self.clock, self.clock.task
        clock.sleep(self.to_take / children)
        settings = JobSettings(
            array_index=index,
            array_size=children if children > 1 else None,
            job_id=f"array{len(self.children)}:{index}",
            attempt=attempt.number,
            attempt_seconds=ATTEMPT_SECONDS,
            concurrency=1,  # one thread at a time: see Clock
            slots=self.scenario.slots,
        )
        stop = Stop(ATTEMPT_SECONDS, clock.time, lambda _seconds: None)

        def notice() -> None:
            stop.request("SIGTERM")
            if task is not None:
                clock.interrupt(task)

        attempt.notice = notice
        job = Job(
            s3=cast("S3", self.store),
            settings=settings,
            stop=stop,
            identify=lambda _settings, _workload: self.plan.code_version,
            now=lambda: BEGIN + timedelta(seconds=clock.now),
            clock=clock.time,
        )
        clock.sleep(PROCESS_SECONDS * self.slower)
        try:
            if merging:
                migrate_and_merge_module.migrate_and_merge(FOLDER, job, size=size)
            else:
                self._migrate(FOLDER, job)
        except StoppedError as error:
            return error.exit_code
        return 0

    def _migrate(self, folder: RunFolder, job: Job, *, whole: bool = False) -> bool:
        """In the place of `migrate`: its child, whose shards are waited for."""
        stay = Stay(job.settings.array_size or 1, self.scenario.slots, job.settings.attempt)
        shards = cast("Any", _Shards(self, job))
        return _Child(folder, self.plan, job, shards, Claims(folder, job), stay, self.clock.now, whole).work()

    def _merge(self, folder: RunFolder, job: Job, *_tolerance: object) -> None:
        """In the place of `merge`: its time, and its mark."""
        begun = self.clock.now
        self.clock.sleep(self.scenario.merge_seconds(len(self.shards)) * self.slower)
        job.stop.check()
        self.store.put_if_absent(folder.file("_SUCCESS"), mark_of(self.plan))
        self.merged = self.clock.now - begun

    def _one_job(self, part: str, seconds: float) -> None:
        begun = self.clock.now

        def work(_index: int, attempt: Attempt) -> int:
            task = self.clock.task
            attempt.notice = lambda: self.clock.interrupt(task) if task else None
            return 0 if self.clock.sleep(seconds) else 1

        self.fleet.run(1, work)
        self.calls += 1  # notify, at the job's end
        self.parts[part] += self.clock.now - begun

    def _call(self) -> None:
        self.calls += 1
        self._wait("lambda", LAMBDA_SECONDS)

    def _wait(self, part: str, seconds: float) -> None:
        begun = self.clock.now
        self.clock.sleep(seconds)
        self.parts[part] += self.clock.now - begun


def _uneven(scenario: Scenario, lengths: array[int], shards: list[range], dice: random.Random) -> list[float]:
    """How long each shard takes: blocks of items are slower or faster than said, however they are cut."""
    mean = scenario.pace.seconds(len(lengths), sum(lengths)) / len(lengths)
    block, sigma = max(1, round(SHARD_SECONDS / mean)), scenario.block_sigma
    factors = [dice.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(-(-len(lengths) // block))]

    def seconds(start: int, stop: int) -> float:
        some = lengths[start:stop]
        return scenario.pace.seconds(len(some), sum(some)) * factors[start // block]

    found = []
    for shard in shards:
        edges = [shard.start, *range((shard.start // block + 1) * block, shard.stop, block), shard.stop]
        found.append(sum(seconds(start, stop) for start, stop in pairwise(edges)))
    return found


@dataclass
class _Shards:
    """In the place of `ShardWork`: a shard's items are waited for, its commit is written."""

    run: Run
    job: Job

    def committed(self, index: int) -> bool | None:
        """Whether it has a commit; None where not."""
        return self.run.store.holds(FOLDER.commit(index)) or None

    def work(self, index: int, keep: Callable[[], None] = lambda: None) -> None:
        """Work it, from where an attempt before has left off, and commit it."""
        run, clock = self.run, self.run.clock
        begun = clock.now
        whole = run.seconds[index] * run.slower + SHARD_REQUESTS * REQUEST_SECONDS
        before = done = run.progress.get(index, 0.0)
        while done < whole:
            step, since = min(SAVE_SECONDS, whole - done, max(0.0, self.job.stop.seconds_left or 0.0)), clock.now
            on_time = clock.sleep(step)
            done += step if on_time else min(step, clock.now - since)
            if self.job.stop.reason:
                run.progress[index] = max(done, run.progress.get(index, 0.0))
                self.job.stop.check()
            if done < whole:
                keep()
        counts = Counts(len(run.shards[index]), len(run.shards[index]), 0, run.bytes[index])
        who: dict[str, Any] = {"id": self.job.settings.job_id, "attempt": self.job.settings.attempt}
        commit = Commit(
            shard=index,
            plan_digest=run.plan.digest,
            code_version=run.plan.code_version,
            items_digest="",
            partial=None,
            counts=counts,
            outcomes=(),
            job={**who, "items_before": 1} if before else who,
            started_at=(BEGIN + timedelta(seconds=begun)).isoformat(timespec="milliseconds"),
            finished_at=self.job.timestamp(),
        )
        run.store.put_if_absent(FOLDER.commit(index), commit.to_json())
