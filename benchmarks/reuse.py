"""What does a run cost that reuses the run before, by how much changed and where?

    python -m benchmarks.reuse [--objects 1000000] [--percent 0.1 1 10] [--json] [--output FOLDER]

The real plan job compares a source with the base run and takes its shards over; S3 is answered here, from disk
(`benchmarks.changed_source`). word-count's contributions are large and not kept, so the other items of a shard that
changed are worked again, as the theory beside it says; those of images are kept. Each case has a process of its own, so
that its memory is its own; a plain plan of the same source stands beside it. What is billed is worked out on Batch's
clock (`benchmarks.clock`), beside a run over everything and beside the least that any way could take for that change.
With --json each line is an object, one a case.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from batch_jobs.job import Job
from batch_jobs.migrating.take_over import take_over
from batch_jobs.planning.plan import plan
from benchmarks.changed_source import KINDS, PLACES, SIZE, SOURCE, Change, ChangedSource
from benchmarks.clock.run import REQUEST_SECONDS, Run
from benchmarks.clock.scenarios import (
    MERGE_SECONDS_PER_ITEM,
    MERGE_SECONDS_PER_SHARD,
    PLAN_SECONDS_PER_OBJECT,
    PLANNING_SECONDS_PER_OBJECT,
    TEXTS,
    Least,
    Scenario,
)
from benchmarks.results import Table, add_output_option
from millrace.layout import RunFolder, S3Uri
from millrace.planning.small_source import MOST_REUSED
from millrace.records.commit import CommitText, PartialFile
from millrace.records.contributions import put_contributions
from millrace.records.latest import LatestRun, note_latest, options_digest
from millrace.records.outcome import Counts
from millrace.records.plan import Plan, items_digest
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from millrace.workload.pace import Pace

DESTINATION = S3Uri("results", "out/")
BASE, NEXT = (RunFolder.of(DESTINATION, name) for name in ("base", "next"))
SLOTS = 16
CONCURRENCY = 16

TAKEN_REQUESTS = 6
"""Of a kept shard: the base's commit twice, its shard file, HEAD and COPY of the partial, the new commit."""


@dataclass(frozen=True)
class Work:
    """A workload of the benchmark: what the base's commits say of it, and how fast it is on the clock."""

    pace: Pace
    suffixes: tuple[str, ...]
    contribution: bytes = b""


WORK = {
    "word-count": Work(TEXTS, (".words.txt",)),
    "images": Work(
        Pace(seconds_per_item=0.045, bytes_per_second=150e6),
        (".thumbnail.jpg", ".json"),
        b'{"format":"JPEG","pixels":12000000,"bytes":10000,"thumbnail_bytes":4000,"cell":null}',
    ),
}

GOAL_ITEMS, GOAL_TIME, GOAL_MEMORY, GOAL_BILLED = 1.0, 1.3, 1024, 1.25
COLUMNS = [
    "workload", "change", "where", "objects", "worked again", "by changed", "in theory", "shards kept", "requests",
    "plan CPU, by a plain one", "peak memory, MB", "billed, by a full run", "billed, by the least",
]  # fmt: skip


@dataclass(frozen=True)
class Daily(Scenario):
    """A run that reuses another, on the clock: `objects` are those that are worked.

    Attributes:
        listed: How many objects the source has.
        kept_shards: How many shards are taken over.
    """

    listed: int = 0
    kept_shards: int = 0

    @property
    def plan_seconds(self) -> float:
        """How long the plan job takes to list, to compare and to take over."""
        return self.listed * PLAN_SECONDS_PER_OBJECT * self.plan_ratio + self.taking_seconds

    @property
    def most_objects(self) -> int:
        """Up to how many objects Prepare Run plans."""
        return MOST_REUSED

    @property
    def planning_seconds(self) -> float:
        """How long Prepare Run takes to list and to compare."""
        return self.listed * PLANNING_SECONDS_PER_OBJECT * self.plan_ratio

    @property
    def taking_seconds(self) -> float:
        """How long taking over takes."""
        return self.kept_shards * TAKEN_REQUESTS * REQUEST_SECONDS / CONCURRENCY

    def merge_seconds(self, shards: int) -> float:
        """How long adding up takes: all items have a row, kept shards a partial."""
        return self.listed * MERGE_SECONDS_PER_ITEM + (shards + self.kept_shards) * MERGE_SECONDS_PER_SHARD


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or an object a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000, help="how many objects the base run worked")
    parser.add_argument("--percent", type=float, nargs="+", default=[0.1, 1, 10], help="how much of them changed")
    parser.add_argument("--workloads", nargs="+", choices=WORK, default=list(WORK), help="what is run over them")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="how they changed")
    parser.add_argument("--json", action="store_true", help="an object a line, one for each case")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_output_option(parser)
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if given.one:
        asked = json.loads(given.one)
        made = _planned(Path(asked["folder"]), Change(**asked["change"]), asked["as"], asked["workload"])
        sys.stdout.write(json.dumps(made))
        return
    found = []
    for workload in given.workloads:
        for one in _cases(given.objects, given.percent, given.kinds, workload):
            found.append(one)
            if given.json:
                sys.stdout.write(f"{json.dumps(one)}\n")
                sys.stdout.flush()
    if not given.json:
        table(found).show(given.output)


def _cases(objects: int, percents: Sequence[float], kinds: Sequence[str], workload: str) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory(prefix="millrace-reuse-") as name:
        folder = Path(name)
        whole = _apart(folder, Change(objects), "base", workload)
        for percent in percents:
            for kind in kinds:
                for place in PLACES:
                    change = Change(objects, kind, place, max(1, round(objects * percent / 100)))
                    plans = {what: _apart(folder, change, what, workload) for what in ("plain", "next")}
                    yield _case(change, percent, workload, {**plans, "base": whole})


def _apart(folder: Path, change: Change, what: str, workload: str) -> dict[str, Any]:
    """Plan in a process of its own."""
    asked = json.dumps({"folder": str(folder), "change": vars(change), "as": what, "workload": workload})
    command = [sys.executable, "-m", "benchmarks.reuse", "--one", asked]
    made: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603 - this script
    if what != "base":
        shutil.rmtree(folder / DESTINATION.bucket / NEXT.root.key)
    return made


def _planned(folder: Path, change: Change, what: str, workload: str) -> dict[str, Any]:
    """Plan in this process: the base, which is then committed; a plain run; or one that reuses the base."""
    requests = ChangedSource(folder, change)
    job = Job(S3(requests), JobSettings(concurrency=CONCURRENCY))
    asked: dict[str, Any] = {"source": str(SOURCE), "destination": str(DESTINATION), "workload": workload}
    # The pace of the clock's: shards are cut by it.
    request = RunRequest.parse(
        {**asked, "pace": WORK[workload].pace.known(), "reuse": "latest" if what == "next" else None}
    )
    taking = 0.0

    def own_seconds() -> float:
        return time.process_time() - requests.seconds

    def timed(*given: Any) -> frozenset[int]:
        nonlocal taking
        before = own_seconds()
        taken = take_over(*given)
        taking += own_seconds() - before
        return taken

    begin, since = own_seconds(), time.monotonic()
    with patch("batch_jobs.planning.plan.take_over", timed):
        made = plan(request, BASE if what == "base" else NEXT, job)
    reuse = made.reuse
    found = {
        "cpu": own_seconds() - begin - taking,
        "taking_cpu": taking,
        "elapsed": time.monotonic() - since,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "requests": dict(requests.requests),
        "items": made.items,
        "shards": made.shards,
        "reuse": None if reuse is None else {name: getattr(reuse, name) for name in _NOTED},
    }
    if what == "base":
        _commit_all(made, job, WORK[workload])
    return found


_NOTED = ("base", "kept", "changed", "new", "removed", "kept_shards", "why_not")


def _commit_all(made: Plan, job: Job, work: Work) -> None:
    """Commit each shard of the base as migrate does, with small partials; and say that the run has succeeded."""
    for index in range(made.shards):
        uri = BASE.shard_items(index, made.digest)
        text = job.s3.read(uri)
        outcomes = [_outcome(line, work) for line in text.splitlines()]
        kept = dict.fromkeys(range(len(outcomes)), work.contribution) if work.contribution else {}
        digest, body = f"{index:064x}", b"{}"
        partial = BASE.partial(index, digest, ".tsv")
        job.s3.put(partial, body)
        contributions = put_contributions(BASE, index, kept, job.s3)
        head = {
            "shard": index,
            "plan_digest": made.digest,
            "code_version": made.code_version,
            "items_digest": items_digest(text),
            "partial": asdict(PartialFile(str(partial), digest, len(body))),
            "contributions": None if contributions is None else asdict(contributions),
            "counts": asdict(Counts(len(outcomes), len(outcomes), 0, SIZE * len(outcomes))),
            "job": {"id": "array:0", "attempt": 1},
            "started_at": made.planned_at,
            "finished_at": made.planned_at,
        }
        job.s3.put(BASE.commit(index), CommitText(head, CommitText.joined(outcomes)).to_json())
    counts = {"items": made.items, "succeeded": made.items, "failed": 0, "bytes": made.total_bytes}
    result: dict[str, Any] = {
        "run_id": made.run_id,
        "plan_digest": made.digest,
        "status": "SUCCEEDED",
        "failures": {},
        "retry": None,
    }
    result["counts"] = {**counts, "shards": made.shards}
    job.s3.put(BASE.file("result.json"), json.dumps(result).encode())
    run = LatestRun(
        run_id=made.run_id,
        retry=0,
        source=made.source,
        workload=made.workload,
        options_digest=options_digest(made.options),
        code_version=made.code_version,
        plan_digest=made.digest,
        started_at=made.planned_at,
        finished_at=made.planned_at,
        pace=None,
    )
    note_latest(DESTINATION, run, job.s3)


def _outcome(line: bytes, work: Work) -> bytes:
    """An item's row as a commit has it, as `CommitText.joined` takes it: made from the item's line, as text."""
    name = line[len(_KEY_FIELD) : line.index(b'","size"')].removeprefix(SOURCE.key.encode())
    outputs = b",".join(b'"%b%b%b"' % (str(DESTINATION).encode(), name, suffix.encode()) for suffix in work.suffixes)
    return b'%b,"status":"SUCCEEDED","bytes":%d,"outputs":[%b]' % (line[len(_KEY_FIELD) - 1 : -1], SIZE, outputs)


_KEY_FIELD = b'{"key":"'


def _case(change: Change, percent: float, workload: str, plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plain, made, base = plans["plain"], plans["next"], plans["base"]
    reuse = made["reuse"]
    if reuse["base"] != BASE.run_id:
        raise SystemExit(f"nothing was reused: {reuse['why_not']}")
    worked = made["items"] - reuse["kept"]
    to_work = 0 if change.kind == "deleted" else change.count
    work = WORK[workload]
    clock = _clock(plain, made, worked, to_work, work.pace)
    return {
        "workload": workload,
        "objects": change.objects,
        "percent": percent,
        "kind": change.kind,
        "place": change.place,
        "changed": change.count,
        "worked": worked,
        "worked_ratio": round(worked / change.count, 3),
        "theory_ratio": round(_theory(change, base["items"] / base["shards"], work) / change.count, 3),
        "kept_shards": reuse["kept_shards"],
        "shards": made["shards"],
        "requests": made["requests"],
        "plain_requests": plain["requests"],
        "plan_cpu_seconds": round(made["cpu"], 2),
        "plan_cpu_ratio": round(made["cpu"] / plain["cpu"], 2),
        "taking_cpu_ratio": round(made["taking_cpu"] / plain["cpu"], 2),
        "plan_seconds": round(made["elapsed"], 2),
        "peak_mb": round(made["peak_mb"]),
        "plain_peak_mb": round(plain["peak_mb"]),
        **clock,
    }


def _theory(change: Change, each: float, work: Work) -> float:
    """How many items have to be worked: with contributions, what changed; else whole shards that lost or changed one.

    In one place that is the shards that the place lies in; scattered, a shard of `each` items is spared with the chance
    that none of them is touched.
    """
    if change.kind == "inserted" or work.contribution:
        return 0 if change.kind == "deleted" else change.count
    gone = change.count if change.kind == "deleted" else 0
    if change.place == "one place":
        shards = (change.count - 1) / each + 1  # in the mean, wherever the place begins
        return min(change.objects, shards * each) - gone
    touched = change.count / change.objects
    return float(change.objects * (1 - (1 - touched) ** each) - gone)


def _clock(plain: dict[str, Any], made: dict[str, Any], worked: int, to_work: int, pace: Pace) -> dict[str, Any]:
    """What is billed, by a run over everything and by the least for that change."""
    ratio = made["cpu"] / plain["cpu"]
    listed, kept = made["items"], made["reuse"]["kept_shards"]
    full = Run(Scenario("full", listed, SIZE, pace, SLOTS), 1).work()
    daily = Daily("daily", worked, SIZE, pace, SLOTS, kept_shards=kept, plan_ratio=ratio, listed=listed)
    least = Daily("least", to_work, SIZE, pace, SLOTS, listed=listed)
    billed = _billed(daily)
    least_billed = Least.of(least, pace.seconds(to_work, to_work * SIZE), 0.0, -(-to_work // 1000)).billed
    return {
        "billed_seconds": round(billed),
        "full_billed_seconds": round(full.billed),
        "billed_by_full": round(billed / full.billed, 3),
        "least_billed_seconds": round(least_billed),
        "billed_by_least": round(billed / least_billed, 2),
    }


def _billed(daily: Daily) -> float:
    """What a run is billed; where nothing is left to work, one job takes over and merges."""
    if daily.objects:
        return Run(daily, 1).work().billed
    empty = Run(replace(daily, objects=1), 1)
    planned = empty._plan()  # noqa: SLF001 - the steps of a run without anything to work
    if not planned:
        empty._one_job("plan", daily.plan_seconds)  # noqa: SLF001 - likewise
    empty._one_job("merge", daily.merge_seconds(0) + (daily.taking_seconds if planned else 0))  # noqa: SLF001 - likewise
    return empty.fleet.billed


def table(cases: Sequence[dict[str, Any]]) -> Table:
    """The cases, and what they should be."""
    made = Table("reuse", COLUMNS)
    for one in cases:
        requests, plain = sum(one["requests"].values()), sum(one["plain_requests"].values())
        shards, memory = (
            f"{one['kept_shards']:,} of {one['shards']:,}",
            f"{one['peak_mb']:,} ({one['plain_peak_mb']:,})",
        )
        cells = [
            one["workload"], f"{one['percent']:g} % {one['kind']}", one["place"], f"{one['objects']:,}",
            f"{one['worked']:,}",
            f"{one['worked_ratio']:,.2f}", f"{one['theory_ratio']:,.2f}", shards,
            f"{requests:,} ({plain:,})", f"{one['plan_cpu_ratio']:.2f} + {one['taking_cpu_ratio']:.2f}", memory,
            f"{one['billed_by_full']:.2f}", f"{one['billed_by_least']:.2f}",
        ]  # fmt: skip
        made.add(dict(zip(COLUMNS, cells, strict=True)))
    made.note(
        "In parentheses: a plain plan of the same source. CPU: comparing and planning + taking over, which children do "
        "where Prepare Run plans. Billed seconds are those of Batch's clock, 16 slots."
    )
    least = [one["worked_ratio"] for one in cases if one["kind"] == "inserted" or WORK[one["workload"]].contribution]
    if least:
        what = "Items worked by items changed: inserts, and all changes with contributions"
        made.goal(what, max(least), at_most=GOAL_ITEMS, digits=2)
    made.goal(
        "CPU of a plan that reuses by a plain one",
        max(one["plan_cpu_ratio"] for one in cases),
        at_most=GOAL_TIME,
        digits=2,
    )
    made.goal(
        "Peak memory of a plan that reuses, MB", max(one["peak_mb"] for one in cases), at_most=GOAL_MEMORY, digits=0
    )
    billed = [one["billed_by_least"] for one in cases if one["worked_ratio"] <= GOAL_ITEMS]
    if billed:
        made.goal(
            "Billed by the least for the change, where what changed is all that is worked",
            max(billed),
            at_most=GOAL_BILLED,
            digits=2,
        )
    return made


if __name__ == "__main__":
    main()
