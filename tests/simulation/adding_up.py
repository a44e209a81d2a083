"""Adding up what a run left, without the code that wrote it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.keys import (
    RESULT,
    RESULT_PREFIX,
    SOURCE_PREFIX,
    first_of,
    number_of,
    retry_of,
    run_key,
    run_of_uri,
)
from tests.simulation.process import MIGRATING
from tests.simulation.promises import Promise

if TYPE_CHECKING:
    from tests.simulation.records import RunRecord
    from tests.simulation.world import World

RUN_MARK = "millrace-run"


def check_complete(world: World, run_id: str, percent: float | None = None) -> None:
    """What must be true of a run, or a retry, when `_SUCCESS` appears, and ever after.

    Args:
        world: Where it is.
        run_id: The run, or the retry. The run's own result may come from a retry.
        percent: How many failures are tolerated, where that is known.

    Raises:
        Violation: It is not.
    """
    check = world.promises.check
    result = world.records.document(run_id, "result.json")
    check(Promise.SUCCESS_LAST, result is not None, "there is no result.json")
    from_retry = retry_of(run_id, result["retry"]["number"] if result["retry"] else 0)
    check(Promise.SUCCESS_LAST, run_id in {from_retry, first_of(run_id)}, f"its result is that of {from_retry}")
    for record in world.records.chain(from_retry):
        missing = set(range(len(record.shards))) - set(record.commits)
        check(Promise.SUCCESS_LAST, not missing, f"{record.run_id}: shards without a commit: {missing}")
    check_report(world, from_retry, result)
    check_counts(world, from_retry, result)
    failed = result["counts"]["failed"]
    status = "SUCCEEDED_WITH_FAILURES" if failed else "SUCCEEDED"
    check(Promise.SUCCESS_LAST, result["status"] == status, f"result.json says {result['status']}")
    if percent is not None:
        within = failed * 100 <= percent * result["counts"]["items"]
        check(Promise.SUCCESS_LAST, within, f"{failed} failed, {percent} % are tolerated")
    check_merged(world, from_retry, result)


def check_merged(world: World, from_retry: str, result: dict[str, Any]) -> None:
    """The merged files and the workload's part are those of the items that succeeded, whatever failed beside them.

    Raises:
        Violation: They are not, or are not there.
    """
    check = world.promises.check
    rows = world.records.rows(from_retry)
    good = [(row, record) for row, record in rows if row["status"] == "SUCCEEDED"]
    # As merge reads them: the run's shards, then those of each retry.
    good.sort(key=lambda pair: number_of(pair[1].run_id))
    bodies = [_body(world, row, record) for row, record in good]
    files, part = world.workload.merged(bodies)
    check(Promise.MERGED, result["result"] == part, f"result.json says {result['result']}, expected {part}")
    uris = {name: f"s3://{RESULT}/{run_key(from_retry, name)}" for name in files}
    check(Promise.MERGED, result["files"] == uris, f"result.json names {result['files']}")
    for name, expected in files.items():
        merged = world.records.file(from_retry, name)
        check(Promise.MERGED, merged == expected, f"{name} is {merged!r}, expected {expected!r}")
    for file, digest in result["digests"].items():
        body = world.records.file(from_retry, file) or b""
        check(Promise.MERGED, digest == f"sha256:{hashlib.sha256(body).hexdigest()}", f"{file} is not {digest}")


def check_report(world: World, run_id: str, result: dict[str, Any]) -> None:
    """report.csv and failures.jsonl say what the commits say.

    Raises:
        Violation: They do not, or are not there.
    """
    check = world.promises.check
    places = {run_of_uri(result["report"]), run_of_uri(result["failure_rows"])}
    check(Promise.REPORT, places == {run_id}, f"result.json names the reports of {places}")
    report, failures = (world.records.file(run_id, name) for name in ("report.csv", "failures.jsonl"))
    check(Promise.REPORT, report is not None and failures is not None, "report.csv or failures.jsonl is not there")
    rows = list(csv.DictReader(io.StringIO((report or b"").decode(), newline="")))
    # One leading apostrophe is the report's guard against spreadsheets.
    seen = [(row["Key"].removeprefix("'"), row["TaskStatus"], row["ErrorCode"]) for row in rows]
    planned = [item.key for shard in world.records.of(first_of(run_id)).shards for item in shard]
    check(Promise.ONE_ROW, [row[0] for row in seen] == planned, f"report.csv has {seen}, planned is {planned}")
    outcomes = [row for row, _record in world.records.rows(run_id)]
    said = [(row["key"], row["status"].lower(), row.get("error_code", "")) for row in outcomes]
    check(Promise.REPORT, seen == said, f"report.csv says {seen}, the commits say {said}")
    failed = [json.loads(line) for line in (failures or b"").splitlines()]
    expected = [(key, code) for key, status, code in said if status == "failed"]
    found = [(row["key"], row["error_code"]) for row in failed]
    check(Promise.REPORT, found == expected, f"failures.jsonl says {found}, expected {expected}")


def check_counts(world: World, run_id: str, result: dict[str, Any]) -> None:
    """Planned = succeeded + failed, and result.json says so.

    Raises:
        Violation: It does not.
    """
    first, rows = world.records.of(first_of(run_id)), world.records.rows(run_id)
    statuses = Counter(row["status"] for row, _record in rows)
    succeeded = [_body(world, row, record)[1] for row, record in rows if row["status"] == "SUCCEEDED"]
    expected = {
        "items": len(first.items),
        "succeeded": statuses["SUCCEEDED"],
        "failed": statuses["FAILED"],
        "bytes": sum(map(len, succeeded)),
        "shards": len(first.shards),
    }
    check = world.promises.check
    check(Promise.COUNTS, result["counts"] == expected, f"result.json has {result['counts']}, expected {expected}")
    check(Promise.COUNTS, expected["items"] == expected["succeeded"] + expected["failed"], f"{expected}")
    codes = Counter(row["error_code"] for row, _record in rows if row["status"] == "FAILED")
    check(Promise.COUNTS, result["failures"] == codes, f"result.json has {result['failures']}, expected {codes}")


def check_outputs(world: World, run_id: str) -> None:
    """When all is quiet: outputs of succeeded items are there, and those of failed ones are not.

    An output whose last writer belongs to another run is that run's: runs to one destination share their outputs.

    Args:
        world: Where it is.
        run_id: The run.

    Raises:
        Violation: They are not so.
    """
    result = world.records.document(run_id, "result.json")
    number = result["retry"]["number"] if result and result["retry"] else 0
    for row, record in world.records.rows(retry_of(run_id, number)):
        for key, expected in _outputs(world, row, record).items():
            writer, _ = world.online.writers.get(key, (None, 0))
            if row["status"] == "SUCCEEDED" and (writer is None or first_of(writer.run_id) == run_id):
                stored = world.s3.stored(RESULT, key)
                found = stored.body if stored else None
                what = f"{key!r} of {record.run_id} is {found!r}, not {expected!r}"
                world.promises.check(Promise.OUTPUT_THERE, found == expected, what)
    for record in list(world.records.runs.values()):
        if first_of(record.run_id) == run_id:
            _check_failed_outputs(world, record)


def _check_failed_outputs(world: World, record: RunRecord) -> None:
    """A failed item's output is excused as long as nobody could have deleted it.

    Whoever wrote the commit, or found it, was killed before it came to its end: who is killed between writing an output
    and deleting it is made good by the next child only that comes to the shard.
    """
    for row, key in ((each, key) for each in record.outcomes for key in _outputs(world, each, record)):
        stored = world.s3.stored(RESULT, key)
        writer, written_at = world.online.writers.get(key, (None, 0))
        if row["status"] == "SUCCEEDED" or (writer is not None and writer.run_id != record.run_id):
            continue
        shard = record.items[row["key"]].shard
        mine = stored is not None and stored.metadata.get(RUN_MARK) == record.run_id
        cleaners = [
            process.name
            for process in world.processes
            if process.run_id == record.run_id
            and process.runs in MIGRATING
            and process.ended is not None
            and process.looked.get(shard, -1) > max(written_at, record.committed_at[shard] - 1)
        ]
        kept = not (mine and cleaners)
        world.promises.check(Promise.NO_FAILED_OUTPUT, kept, f"{key!r} is there; ended since: {cleaners}, {row}")


def _body(world: World, row: dict[str, Any], record: RunRecord) -> tuple[str, bytes]:
    return row["key"], world.source.bodies[record.items[row["key"]].etag]


def _outputs(world: World, row: dict[str, Any], record: RunRecord) -> dict[str, bytes]:
    """Where the outputs of an item go, and what they hold where the item is sound."""
    key, body = _body(world, row, record)
    sound = world.workload.fault(body) is None
    made = world.workload.outputs(key, body) if sound else dict.fromkeys(world.workload.suffixes, b"")
    place = RESULT_PREFIX + world.workload.renamed(key.removeprefix(SOURCE_PREFIX))
    return {place + suffix: expected for suffix, expected in made.items()}
