"""Adding up what a run left, without the code that wrote it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.keys import RESULT, RESULT_PREFIX, SOURCE_PREFIX, run_key
from tests.simulation.promises import Promise
from tests.simulation.records import RunRecord

if TYPE_CHECKING:
    from tests.simulation.world import World

RUN_MARK = "millrace-run"


def check_complete(world: World, run_id: str, percent: float | None) -> None:
    """What must be true when `_SUCCESS` appears, and ever after.

    Raises:
        Violation: It is not.
    """
    check, record = world.promises.check, world.records.of(run_id)
    missing = set(range(len(record.shards))) - set(record.commits)
    check(Promise.SUCCESS_LAST, not missing, f"shards without a commit: {missing}")
    result = world.records.document(run_id, "result.json")
    check(Promise.SUCCESS_LAST, result is not None, "there is no result.json")
    check_report(world, record)
    check_counts(world, record, result)
    failed = result["counts"]["failed"]
    status = "SUCCEEDED_WITH_FAILURES" if failed else "SUCCEEDED"
    check(Promise.SUCCESS_LAST, result["status"] == status, f"result.json says {result['status']}")
    if percent is not None:
        within = failed * 100 <= percent * len(record.items)
        check(Promise.SUCCESS_LAST, within, f"{failed} failed, {percent} % are tolerated")
    bodies = [(key, world.source.bodies[record.items[key].etag]) for key in record.succeeded]
    name, expected, part = world.workload.merged(bodies)
    merged = world.records.file(run_id, name)
    check(Promise.MERGED, merged == expected, f"{name} is {merged!r}, expected {expected!r}")
    check(Promise.MERGED, result["result"] == part, f"result.json says {result['result']}, expected {part}")
    uri = f"s3://{RESULT}/{run_key(run_id, name)}"
    check(Promise.MERGED, result["files"] == {name: uri}, f"result.json names {result['files']}")


def check_report(world: World, record: RunRecord) -> None:
    """report.csv and failures.jsonl say what the commits say.

    Raises:
        Violation: They do not, or are not there.
    """
    check = world.promises.check
    report, failures = (world.records.file(record.run_id, name) for name in ("report.csv", "failures.jsonl"))
    check(Promise.REPORT, report is not None and failures is not None, "report.csv or failures.jsonl is not there")
    rows = list(csv.DictReader(io.StringIO((report or b"").decode(), newline="")))
    # One leading apostrophe is the report's guard against spreadsheets.
    seen = [(row["Key"].removeprefix("'"), row["TaskStatus"], row["ErrorCode"]) for row in rows]
    planned = [item.key for shard in record.shards for item in shard]
    check(Promise.ONE_ROW, [row[0] for row in seen] == planned, f"report.csv has {seen}, planned is {planned}")
    said = [(row["key"], row["status"].lower(), row.get("error_code", "")) for row in record.outcomes]
    check(Promise.REPORT, seen == said, f"report.csv says {seen}, the commits say {said}")
    failed = [json.loads(line) for line in (failures or b"").splitlines()]
    expected = [(key, code) for key, status, code in said if status == "failed"]
    found = [(row["key"], row["error_code"]) for row in failed]
    check(Promise.REPORT, found == expected, f"failures.jsonl says {found}, expected {expected}")


def check_counts(world: World, record: RunRecord, result: dict[str, Any]) -> None:
    """Planned = succeeded + failed, and result.json says so.

    Raises:
        Violation: It does not.
    """
    statuses = Counter(row["status"] for row in record.outcomes)
    expected = {
        "items": len(record.items),
        "succeeded": statuses["SUCCEEDED"],
        "failed": statuses["FAILED"],
        "bytes": sum(len(world.source.bodies[record.items[key].etag]) for key in record.succeeded),
        "shards": len(record.shards),
    }
    check = world.promises.check
    check(Promise.COUNTS, result["counts"] == expected, f"result.json has {result['counts']}, expected {expected}")
    check(Promise.COUNTS, expected["items"] == expected["succeeded"] + expected["failed"], f"{expected}")
    codes = Counter(row["error_code"] for row in record.outcomes if row["status"] == "FAILED")
    check(Promise.COUNTS, result["failures"] == codes, f"result.json has {result['failures']}, expected {codes}")


def check_outputs(world: World, record: RunRecord) -> None:
    """When all is quiet: outputs of succeeded items are there, and those of failed ones are not.

    An output whose last writer belongs to another run is that run's: runs to one destination share their outputs. A
    failed item's output is excused while no copy of its shard that began after it was written, nor its own writer, has
    come to its end: who is killed between writing it and deleting it is made good by the next attempt only.

    Raises:
        Violation: They are not so.
    """
    check = world.promises.check
    for row in record.outcomes:
        item = record.items[row["key"]]
        body = world.source.bodies[item.etag]
        if world.workload.fault(body) is not None:
            continue
        suffix, expected = world.workload.output(body)
        key = RESULT_PREFIX + item.key.removeprefix(SOURCE_PREFIX) + suffix
        stored = world.s3.stored(RESULT, key)
        writer, written_at = world.online.writers.get(key, (None, 0))
        if writer is not None and writer.run_id != record.run_id:
            continue
        if row["status"] == "SUCCEEDED":
            right = stored is not None and stored.body == expected
            check(Promise.OUTPUT_THERE, right, f"{key!r} is {stored.body if stored else None!r}, expected {expected!r}")
        else:
            mine = stored is not None and stored.metadata[RUN_MARK] == record.run_id
            cleaners = [
                process.name
                for process in world.processes
                if (process.run_id, process.runs, process.shard) == (record.run_id, "migrate", item.shard)
                and process.ended is not None
                and (process is writer or process.began > written_at)
            ]
            check(Promise.NO_FAILED_OUTPUT, not (mine and cleaners), f"{key!r} is there; ended since: {cleaners}, {row}")
