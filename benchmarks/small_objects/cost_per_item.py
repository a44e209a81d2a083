"""What does an item cost, in CPU time and in requests, as runs grow?

    python -m benchmarks.small_objects.cost_per_item [--items 10 1000 100000] [--bytes 2000]

The real plan, migrate and merge jobs of word-count on an S3 in memory, a thousand small texts a shard, each number in
a process of its own. A row's added items are those that it has more than the row before it, the first one more than
a run over one item: what those cost is what the run costs more, so no start is in it. Small runs are repeated, and the
median counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

from batch_jobs.job import Job
from batch_jobs.merging.merge import merge
from batch_jobs.migrating.migrate import migrate_shard
from batch_jobs.planning.plan import plan
from benchmarks.results import Table, add_output_option
from benchmarks.zipf_text import text
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client

COLUMNS = [
    "items", "shards", "start, ms", "plan, µs an item", "migrate, µs an item", "merge, µs an item",
    "per added item, µs", "GET", "PUT", "LIST", "requests per added item",
]  # fmt: skip

REPEATED_ITEMS = 2000
"""About so many items are worked before a figure counts."""

FLAT = 1.1
"""How much more an item may cost in a large run."""


def measured(items: int, item_bytes: int) -> dict[str, Any]:
    """Run all three jobs in this process, one thread each."""
    source = text("english", 4 << 20)
    client = InMemoryS3Client("letters", "results")
    for number in range(items):
        at = number * item_bytes % (len(source) - item_bytes)
        body = source[at : at + item_bytes].decode("utf-8", "ignore").encode()
        client.store("letters", f"in/{number:07}.txt", body)
    client.store("letters", "one/0000000.txt", body)
    times = max(1, REPEATED_ITEMS // items)
    _run(client, "warm", "one/")
    # As many short runs as long ones, turn by turn.
    ones, alls = [], []
    for number in range(max(times, 9)):
        ones.append(sum(_run(client, f"one-{number}", "one/")[0]))
        if number < times:
            client.requests.clear()
            seconds, shards = _run(client, f"all-{number}", "in/")
            requests = dict(client.requests)
            alls.append(seconds)
    if len(client.bodies("results", "out-all-0/0")) != items:
        raise SystemExit(f"{items} items, and not as many outputs")
    if len(client.bodies("results", "out-warm/0")) != 1:
        raise SystemExit("the run over one item has another number of outputs")
    client.requests.clear()
    _run(client, "last", "one/")
    return {
        "items": items, "shards": shards, "seconds": [statistics.median(column) for column in zip(*alls, strict=True)],
        "start": statistics.median(ones), "requests": requests, "start_requests": client.requests.total(),
    }  # fmt: skip


def _run(client: InMemoryS3Client, name: str, prefix: str) -> tuple[list[float], int]:
    """CPU seconds of plan, migrate and merge, and the number of shards."""
    job = Job(S3(client.stub), JobSettings(concurrency=1, most_in_flight=1))
    destination = S3Uri("results", f"out-{name}/")
    folder = RunFolder.of(destination, "run")
    marks = [time.process_time()]
    # Without limits to its rates: one job does what would be shared out among a hundred.
    request = {"source": f"s3://letters/{prefix}", "destination": str(destination)}
    made = plan(RunRequest.parse({**request, "reads_per_second": 0, "writes_per_second": 0}), folder, job)
    marks.append(time.process_time())
    for shard in range(made.shards):
        migrate_shard(folder, shard, job)
    marks.append(time.process_time())
    merge(folder, job)
    marks.append(time.process_time())
    return [after - before for before, after in pairwise(marks)], made.shards


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10, 1000, 100_000], help="how many objects")
    parser.add_argument("--bytes", type=int, default=2000, help="how long each is")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_output_option(parser)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measured(given.items[0], given.bytes)))
        return
    table = Table("cost-per-item", COLUMNS)
    further: list[float] = []
    before: tuple[int, float, int] | None = None
    for items in sorted(given.items):
        command = [sys.executable, "-m", "benchmarks.small_objects.cost_per_item", "--one", "--items", str(items)]
        done = subprocess.run([*command, "--bytes", str(given.bytes)], check=True, stdout=subprocess.PIPE)  # noqa: S603
        one = json.loads(done.stdout)
        fewer, fewer_seconds, fewer_requests = before or (1, one["start"], one["start_requests"])
        before = items, sum(one["seconds"]), sum(one["requests"].values())
        further.append((before[1] - fewer_seconds) / (items - fewer))
        asked = (before[2] - fewer_requests) / (items - fewer)
        cells = [
            f"{items:,}", f"{one['shards']:,}", f"{one['start'] * 1e3:.1f}",
            *(f"{spent / items * 1e6:.0f}" for spent in one["seconds"]), f"{further[-1] * 1e6:.0f}",
            *(f"{sum(count for verb, count in one['requests'].items() if verb.startswith(kind)):,}"
              for kind in ("get", "put", "list")),
            f"{asked:.3f}",
        ]  # fmt: skip
        table.add(dict(zip(COLUMNS, cells, strict=True)))
    if len(further) > 2:
        what = f"Per-item CPU, {items:,} items vs {sorted(given.items)[-2]:,}"
        table.goal(what, further[-1] / further[-2], at_most=FLAT, digits=2)
    table.goal(f"Requests per item, {items:,} items", asked, at_most=2 * FLAT, digits=3)
    table.show(given.output)


if __name__ == "__main__":
    main()
