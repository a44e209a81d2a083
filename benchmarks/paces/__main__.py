"""How many seconds does a child take for an item, and for its bytes? What the records of the workloads say of it.

    python -m benchmarks.paces [--workloads word-count ...] [--rounds 3] [--latency-ms 30] [--json] [--plain]

The real migrate job of one child, on one core, with the concurrency of a child of one vCPU, works items of several
sizes. S3 and DynamoDB are a server on another core that takes 30 ms for an answer, over TLS; `--plain` leaves TLS out.
Each shard counts with the round in which it took the least, less what other processes had its core for, and the pace is
fitted to them as merge fits it to commits (`millrace.workload.pace.fitted`). CPU beside the seconds says what bound it:
a share near 1 is the core, less is waiting for S3 or the table. With --json each line is an object, one a workload.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cores import FIRST, OTHERS, on_cores
from benchmarks.paces.sources import SOURCES
from benchmarks.results import Table, add_output_option
from benchmarks.small_objects.certificate import make_certificate
from millrace.cost.known_pace import record_pace
from millrace.workload.pace import WorkedShard, fitted

COLUMNS = [
    *("workload", "items", "MB", "seconds", "others' s", "CPU s", "bound by"),
    *("ms an item", "MB/s", "record: ms an item", "record: MB/s"),
]

BOUND_BY_CORE = 0.8
"""From this share of CPU in the seconds on, a faster core would make it faster, and a faster S3 would not."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or an object a workload."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paces", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", choices=SOURCES, default=list(SOURCES), metavar="WORKLOAD")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is worked")
    parser.add_argument("--latency-ms", type=float, default=30, help="how long S3 and DynamoDB take for an answer")
    parser.add_argument("--part", type=float, default=1.0, help="which share of the objects to work")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--json", action="store_true", help="an object a line, one for each workload")
    add_output_option(parser)
    given = parser.parse_args(arguments)
    found = []
    for workload in given.workloads:
        with serving(workload, given.latency_ms, given.part, plain=given.plain) as environment:
            rounds = [worked(workload, number, environment) for number in range(given.rounds)]
        found.append(measured(workload, rounds))
        if given.json:
            sys.stdout.write(f"{json.dumps(found[-1])}\n")
            sys.stdout.flush()
    if not given.json:
        table_of(found, given.latency_ms).show(given.output)


@contextmanager
def serving(workload: str, latency_ms: float, part: float, *, plain: bool) -> Iterator[dict[str, str]]:
    """The server during the block, on other cores than the job; the environment that leads to it."""
    given = [workload, "--latency-ms", str(latency_ms), "--part", str(part)]
    with tempfile.TemporaryDirectory() as folder, on_cores(OTHERS):
        trusted = {}
        if not plain:
            authority, certificate = make_certificate(Path(folder))
            given += ["--certificate", str(certificate)]
            trusted = {"AWS_CA_BUNDLE": str(authority)}
        command = [sys.executable, "-m", "benchmarks.paces.server", *given]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - this package
            port = int(server.stdout.readline()) if server.stdout else 0
            try:
                yield {
                    **os.environ, **trusted, "AWS_ENDPOINT_URL": f"{'http' if plain else 'https'}://localhost:{port}",
                    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id",
                    "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
                    "MILLRACE_MAX_VCPUS": "1", "MILLRACE_JOB_VCPUS": "1",
                }  # fmt: skip
            finally:
                server.terminate()


def worked(workload: str, number: int, environment: dict[str, str]) -> dict[str, Any]:
    """What the job says of a round, worked in a process on one core."""
    command = [sys.executable, "-m", "benchmarks.paces.child", workload, f"out-{number}"]
    with on_cores(FIRST):
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this package
    said: dict[str, Any] = json.loads(done.stdout)
    if said["failed"]:
        raise SystemExit(f"{said['failed']} items of {workload} failed")
    return said


def measured(workload: str, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The pace that rounds over the same shards show.

    Args:
        workload: Which.
        rounds: What the job said of each.

    Returns:
        `workload`, `items`, `bytes`, `shards`; of the shards `seconds`, those of other processes on the core excepted,
        `cpu_seconds` and `others_seconds`; `bound_by`, "CPU" or "waiting"; `pace` and `record`, each seconds_per_item
        and bytes_per_second, the former None where too little was worked.
    """
    best = [min(same, key=lambda shard: shard[2]) for same in zip(*(each["shards"] for each in rounds), strict=True)]
    alone = [(items, size, max(cpu, seconds - others), cpu, others) for items, size, seconds, cpu, others in best]
    record = record_pace(workload)
    pace = fitted([WorkedShard(*shard[:3]) for shard in alone], record)
    items, size, seconds, cpu, others = map(sum, zip(*alone, strict=True))
    return {
        "workload": workload, "items": items, "bytes": size, "shards": len(alone),
        "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "others_seconds": round(others, 3),
        "bound_by": "CPU" if cpu >= BOUND_BY_CORE * seconds else "waiting",
        "pace": pace and pace.known(), "record": record.known(),
    }  # fmt: skip


def table_of(found: Sequence[dict[str, Any]], latency_ms: float) -> Table:
    """A row a workload, beside its record."""
    table = Table("paces", COLUMNS)
    for each in found:
        cells = [
            each["workload"], f"{each['items']:,}", f"{each['bytes'] / 1e6:,.0f}", f"{each['seconds']:.1f}",
            f"{each['others_seconds']:.1f}", f"{each['cpu_seconds']:.1f}", each["bound_by"], *_cells(each["pace"]),
            *_cells(each["record"]),
        ]  # fmt: skip
        table.add(dict(zip(COLUMNS, cells, strict=True)))
    table.note(
        f"One core, {latency_ms:g} ms a request; each shard's best round. The seconds are without those that other "
        "processes had the core for."
    )
    return table


def _cells(pace: dict[str, float] | None) -> tuple[str, str]:
    if pace is None:
        return "", ""
    return f"{pace['seconds_per_item'] * 1000:.2f}", f"{pace['bytes_per_second'] / 1e6:,.1f}"


if __name__ == "__main__":
    main()
