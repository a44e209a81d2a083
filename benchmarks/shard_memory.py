"""How fast is the whole migrate job over one shard of a large object, what is its peak of memory, and is it ever idle?

    python -m benchmarks.shard_memory [--megabytes 512] [--kinds english] [--concurrency 1 2 4] [--connection 0]

The real job on an S3 in memory's place: the object is made as it is read, from a block over and over, so that it takes
no memory; the plan cuts it into ranges, all of them in one shard. With `--connection 80` a request is answered after
30 ms, and gives 80 MB a second, whether the job takes them at once or not, as one of S3's does.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from batch_jobs.job import Job
from batch_jobs.migrating.migrate import migrate_shard
from batch_jobs.planning.plan import plan
from benchmarks.results import Table, add_output_option
from benchmarks.zipf_text import KINDS, text
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client

FIRST_BYTE_SECONDS = 0.03
"""What S3 takes for the first byte, about."""


class Repeated(InMemoryS3Client):
    """An S3 with one large object in it.

    Args:
        block: What the object repeats.
        times: How often.
        rate: Bytes a second of a connection; 0 for as many as are asked for.

    Attributes:
        size: Its length in bytes.
    """

    def __init__(self, block: bytes, times: int, rate: float) -> None:
        super().__init__("letters", "results")
        self._rate = rate
        self._block, self.size = block, len(block) * times

    def list_objects_v2(self, *, Bucket: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """The one object; the run folder as it is."""
        if Bucket != "letters":
            return super().list_objects_v2(Bucket=Bucket, **given)
        return {"Contents": [{"Key": "in/large.txt", "Size": self.size, "ETag": '"e"'}]}

    def get_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """A range of it."""
        if Bucket != "letters":
            return super().get_object(Bucket=Bucket, Key=Key, **given)
        first, _, last = given["Range"].removeprefix("bytes=").partition("-")
        length = int(last) + 1 - int(first)
        body = _Body(self._block, int(first), length, self._rate)
        content_range = f"bytes {first}-{last}/{self.size}"
        return {"Body": body, "ContentLength": length, "ContentRange": content_range, "ETag": '"e"'}


class _Body(io.RawIOBase):
    def __init__(self, block: bytes, first: int, length: int, rate: float) -> None:
        self._block, self._at, self._left = block, first, length
        self._rate, self._begin, self._due = rate, time.monotonic() + FIRST_BYTE_SECONDS, 0

    def read(self, size: int = -1) -> bytes:
        at = self._at % len(self._block)
        taken = self._block[at : at + min(size, self._left)]
        self._at += len(taken)
        self._left -= len(taken)
        self._due += len(taken)
        if self._rate:
            time.sleep(max(0.0, self._begin + self._due / self._rate - time.monotonic()))
        return taken


class CoresWanted:
    """How many cores this process worked on, or would have, had others left them to it: by the kernel's schedstat.

    A context manager; threads that end less than a moment after their last work lose that.
    """

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._look()
        self._before = sum(self._spent.values())
        self._since = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._look()
        self.cores = (sum(self._spent.values()) - self._before) / (time.monotonic() - self._since)
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._look()

    def _look(self) -> None:
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has just ended
                ran, waited, _ = map(int, (task / "schedstat").read_text("ascii").split())
                self._spent[task.name] = (ran + waited) / 1e9


def measured(kind: str, megabytes: int, concurrency: int, connection: float) -> dict[str, str]:
    """Plan and migrate in this process."""
    block = text(kind, 32 << 20)
    client = Repeated(block, max(1, megabytes >> 5), connection * 1e6)
    folder = RunFolder.of(S3Uri("results", "out/"), "run")
    job = Job(S3(client.stub), JobSettings(concurrency=concurrency))
    limits = {"target_bytes": client.size - 1, "max_shards": 1}  # larger than a shard, so that it is cut like one
    plan(
        RunRequest.parse({"source": "s3://letters/in/", "destination": "s3://results/out/", "shard": limits}),
        folder,
        job,
    )
    begin, since = time.process_time(), time.monotonic()
    with CoresWanted() as wanted:
        commit = migrate_shard(folder, 0, job)
    taken, elapsed = time.process_time() - begin, time.monotonic() - since
    if commit.counts.failed:
        raise SystemExit(f"{commit.counts} {commit.outcomes[0]}")
    read = commit.counts.bytes / 1e6
    return {
        "text": kind,
        "MB": f"{read:,.0f}",
        "ranges": str(commit.counts.items),
        "at a time": str(concurrency),
        "MB per CPU second": f"{read / taken:.0f}",
        "MB per second": f"{read / elapsed:.0f}",
        "cores busy": f"{taken / elapsed:.2f}",
        "cores wanted": f"{wanted.cores:.2f}",
        "peak memory MB": str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10),
    }


COLUMNS = [
    "text",
    "MB",
    "ranges",
    "at a time",
    "MB per CPU second",
    "MB per second",
    "cores busy",
    "cores wanted",
    "peak memory MB",
]


def main() -> None:
    """Print a table in Markdown: each row from a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=512, help="size of the object")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=["english"], help="what it holds")
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 2, 4], help="ranges worked at a time")
    parser.add_argument("--connection", type=float, default=0, help="MB a second of a connection; 0: no limit")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_output_option(parser)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measured(given.kinds[0], given.megabytes, given.concurrency[0], given.connection)))
        return
    table = Table("shard-reading" if given.connection else "shard-memory", COLUMNS)
    for kind in given.kinds:
        peaks = []
        for concurrency in given.concurrency:
            command = [sys.executable, "-m", "benchmarks.shard_memory", "--one", "--kinds", kind]
            command += ["--megabytes", str(given.megabytes), "--concurrency", str(concurrency)]
            command += ["--connection", str(given.connection)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - this script
            row = json.loads(done.stdout)
            table.add(row)
            peaks.append(float(row["peak memory MB"]))
        if not given.connection:
            table.goal(f"Peak memory of a shard of {row['MB']} MB, {kind}, MB", max(peaks), at_most=600, digits=0)
    table.show(given.output)


if __name__ == "__main__":
    main()
