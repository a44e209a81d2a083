"""A run on the S3 in memory: its jobs, called one by one, and a small workload to run over its items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, ClassVar

from batch_jobs.job import Job
from batch_jobs.merging.merge import merge
from batch_jobs.merging.merge_parts import merge_part
from batch_jobs.migrating.migrate import migrate, migrate_shard
from batch_jobs.migrating.take_over import take_over
from batch_jobs.planning.plan import plan
from batch_jobs.stop import Stop
from millrace.errors import ErrorCode, ItemError
from millrace.layout import RunFolder, S3Uri
from millrace.planning.small_source import plan_small_source
from millrace.records.commit import Commit
from millrace.request.run_request import RunRequest
from millrace.reuse.keeping import Keeping
from millrace.reuse.taken import name_removed
from millrace.s3.retry import Backoff
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from millrace.workload import Item, Outputs, Plan
from tests.in_memory_s3 import InMemoryS3Client

SOURCE, RESULT = "source", "result"


class SizesPartial:
    """Sizes by key."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def add(self, contribution: tuple[str, int]) -> None:
        """Add one item's size; an item that comes twice is a fault of the job."""
        key, size = contribution
        assert key not in self.sizes
        self.sizes[key] = size

    def write(self, file: BinaryIO) -> None:
        """JSON, in the order of the keys."""
        file.write(json.dumps(self.sizes, sort_keys=True).encode())

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote."""
        for pair in json.loads(file.read()).items():
            self.add(pair)


class Sizes:
    """Measures items: each has an output, `{key}.size`; the result is sizes.json. `bad` makes a bad item."""

    name: ClassVar[str] = "sizes"
    partial_suffix: ClassVar[str] = ".json"
    item_suffixes: ClassVar[tuple[str, ...]] = (".size",)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
        """Measure an item."""
        read = b"".join(body)
        with outputs.open(".size", "text/plain") as file:
            file.write(b"%d" % len(read))
        if b"bad" in read:
            raise ItemError(ErrorCode.NOT_TEXT, "bad")
        if b"broken" in read:
            raise RuntimeError("the workload broke")
        return item.key, len(read)

    def partial(self) -> SizesPartial:
        """A new partial."""
        return SizesPartial()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Merge."""
        merged = self.partial()
        for file in partials:
            merged.read(file)
        with results.open("sizes.json", "application/json") as file:
            merged.write(file)
        return {"total": sum(merged.sizes.values())}

    def merge_seconds(self, shards: int, _total_bytes: int) -> float:
        """A second each."""
        return float(shards)


def fast(sleeps: list[float] | None = None, **given: Any) -> Backoff:
    """A backoff that does not wait; the pauses that it would have made go into the list."""
    noted = sleeps if sleeps is not None else []
    return Backoff(sleep=noted.append, chance=lambda: 1.0, clock=lambda: 0.0, **given)


@dataclass
class RunInMemory:
    """One run and its bucket.

    Attributes:
        objects: The source's objects by key.
        request: Fields of the request beside source and destination.
        concurrency: Of the jobs; with 1 everything happens in this thread, one thing after the other.
        load: Makes the workload.
        client: Its S3.
        folder: Its run folder.
        clock: What the jobs take for the time since the machine's start.
        ticks: How often a job has asked for the date.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    concurrency: int = 1
    load: Callable[[str, Mapping[str, Any]], Any] = lambda _name, options: Sizes(options)
    client: InMemoryS3Client = field(default_factory=lambda: InMemoryS3Client(SOURCE, RESULT))
    folder: RunFolder = field(default_factory=lambda: RunFolder.of(S3Uri(RESULT, "out/"), "run"))
    clock: Callable[[], float] = lambda: 0.0
    ticks: int = 0

    def __post_init__(self) -> None:
        for key, body in self.objects.items():
            self.client.store(SOURCE, key, body)

    def job(self, stop: Stop | None = None, **settings: Any) -> Job:
        """A job's surroundings; the date moves on by a second whenever it is asked for."""
        return Job(
            s3=S3(self.client.stub, fast()),
            settings=JobSettings(concurrency=self.concurrency, **settings),
            stop=stop or Stop(wait=lambda _seconds: None),
            load=self.load,
            now=self._now,
            clock=self.clock,
        )

    def plan(self, stop: Stop | None = None, **settings: Any) -> Plan:
        """Run the plan job."""
        given = {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", **self.request}
        return plan(RunRequest.parse(given), self.folder, self.job(stop, **settings))

    def plan_in_function(self, check: Callable[[], None] = lambda: None) -> Plan | None:
        """Plan as Prepare Run does; None where it leaves that to the plan job."""
        given = {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", **self.request}
        request, job = RunRequest.parse(given), self.job()
        maker = replace(job.plan_maker(request), check=check)
        made = plan_small_source(request, self.folder, maker, Keeping.of)
        if made is not None:
            name_removed(made, self.folder, job.s3)
        return made

    def take_over(self) -> frozenset[int]:
        """Take over what the plan keeps, as a child does first."""
        job = self.job()
        return take_over(job.read_plan(self.folder), self.folder, job)

    def migrate(self, index: int = 0, stop: Stop | None = None, **settings: Any) -> Commit:
        """Work one shard."""
        return migrate_shard(self.folder, index, self.job(stop, **settings))

    def child(self, index: int = 0, of: int | None = None, stop: Stop | None = None, **settings: Any) -> None:
        """Run one child of the migrate job; without a number of children, the job is no array."""
        migrate(self.folder, self.job(stop, array_index=index, array_size=of, **settings))

    def merge_part(self, part: int, stop: Stop | None = None, **settings: Any) -> None:
        """Run one child of the merge in parts."""
        merge_part(self.folder, part, self.job(stop, **settings))

    def merge(self, percent: float | None = None, count: int | None = None) -> None:
        """Run the merge job."""
        merge(self.folder, self.job(), percent, count)

    def retry(self, number: int = 1) -> RunInMemory:
        """The same run, as its jobs see it that retry its failed items."""
        return replace(self, objects={}, folder=self.folder.of_retry(number))

    def all(self) -> Plan:
        """Run all jobs."""
        made = self.plan()
        for index in range(made.shards):
            self.migrate(index)
        self.merge()
        return made

    def file(self, name: str) -> bytes | None:
        """A file of the run folder, or None where there is none."""
        stored = self.client.stored(RESULT, self.folder.file(name).key)
        return stored.body if stored else None

    def result(self) -> dict[str, Any]:
        """result.json."""
        document: dict[str, Any] = json.loads(self.file("result.json") or b"{}")
        return document

    def outputs(self) -> dict[str, bytes]:
        """The items' outputs, by key below the destination."""
        found = self.client.bodies(RESULT, "out/")
        return {key[4:]: body for key, body in found.items() if not key.startswith("out/_millrace/")}

    def run_files(self) -> dict[str, str]:
        """The digests of all files in the run folder."""
        found = self.client.bodies(RESULT, self.folder.root.key)
        return {key: hashlib.sha256(body).hexdigest() for key, body in found.items()}

    def _now(self) -> datetime:
        self.ticks += 1
        return datetime.fromtimestamp(1_800_000_000 + self.ticks, UTC)
