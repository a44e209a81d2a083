"""The job that is measured: the real plan, and the real migrate job as its run's one child, in a process of its own.

    python -m benchmarks.paces.child WORKLOAD NAME

It writes what each shard took, as its commit says and as merge reads it, with the work of its core meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.migrate import migrate
from batch_jobs.native.word_library import word_library
from batch_jobs.planning.plan import plan
from batch_jobs.s3.connection import connect
from benchmarks.paces.sources import SOURCES
from benchmarks.small_objects.server import RESULT, SOURCE
from millrace.layout import RunFolder, S3Uri
from millrace.records.figures import ShardFigure
from millrace.records.files import read_commit
from millrace.request.run_request import RunRequest
from millrace.settings import JobSettings


class CoreClock:
    """What time it is; keeps how long the process, and its core, had been at work whenever it was asked."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[float, float]] = {}

    def now(self) -> datetime:
        """Now."""
        now = datetime.now(UTC)
        self._used[now.isoformat(timespec="milliseconds")] = time.process_time(), core_seconds() or 0.0
        return now

    def between(self, started: str, finished: str) -> tuple[float, float]:
        """Between two of these times: the process's seconds of CPU, and those that others had the core for."""
        (cpu, core), (cpu_then, core_then) = self._used[finished], self._used[started]
        mine = cpu - cpu_then
        return mine, max(0.0, core - core_then - mine)


def core_seconds() -> float | None:
    """How long the cores of this process have been at work since the machine started; None where that is not known.

    Without what ran at a lower priority: it only has the core while this process waits.
    """
    with suppress(OSError, AttributeError):
        lines = (line.split() for line in Path("/proc/stat").read_text("utf-8").splitlines())
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        # proc(5): user nice system idle iowait irq softirq steal
        busy = [[int(line[at]) for at in (1, 3, 6, 7, 8)] for line in lines if line and line[0] in cores]
        return sum(map(sum, busy)) / os.sysconf("SC_CLK_TCK")
    return None


def work(workload: str, name: str) -> dict[str, Any]:
    """Plan and migrate a run.

    Args:
        workload: Of what.
        name: Where its results go.

    Returns:
        `shards`, a list of items, bytes, seconds, seconds of CPU and the seconds that other processes had the core for,
        and `failed`, how many items did.
    """
    settings = JobSettings.from_environment()
    clock = CoreClock()
    job = Job(connect(max(settings.concurrency, settings.most_in_flight) + 2), settings, now=clock.now)
    destination = f"s3://{RESULT}/{name}/"
    folder = RunFolder.of(S3Uri.parse(destination), "run")
    made = plan(
        RunRequest.parse(
            {
                "source": f"s3://{SOURCE}/in/",
                "destination": destination,
                "workload": workload,
                "options": dict(SOURCES[workload].options),
            }
        ),
        folder,
        job,
    )
    migrate(folder, job)
    shards, failed = [], 0
    for index in range(made.shards):
        commit = read_commit(folder, index, made, job.s3)
        if commit is None:
            raise SystemExit(f"shard {index} has no commit")
        figure = ShardFigure.of(commit, 0)
        spent = clock.between(commit.started_at, commit.finished_at)
        shards.append([figure.items, figure.bytes, figure.seconds, *spent])
        failed += figure.failed
    return {"shards": shards, "failed": failed}


def main() -> None:
    """Work, and print it as JSON."""
    logging.disable(logging.INFO)
    if word_library() is None:
        raise SystemExit("the library of word-count is not compiled, as the image has it: make install")
    sys.stdout.write(json.dumps(work(*sys.argv[1:3])))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
