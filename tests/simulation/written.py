"""What is checked when a plan or a commit is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.keys import RESULT, SOURCE_PREFIX, first_of, number_of, retry_of
from tests.simulation.process import Process
from tests.simulation.promises import Promise
from tests.simulation.source import ARCHIVE, State

if TYPE_CHECKING:
    from tests.simulation.records import PlannedItem
    from tests.simulation.world import World

GONE = '"gone"'
"""The ETag of an object in the plan that the request names and that was not there."""

_CAUSES: dict[str, Callable[[State, str], bool]] = {
    "NOT_FOUND": lambda state, _etag: state.etag is None,
    "SOURCE_CHANGED": lambda state, etag: state.etag not in {None, etag},
    "ACCESS_DENIED": lambda state, _etag: state.denied,
    "ARCHIVED": lambda state, _etag: state.storage_class == ARCHIVE,
}
"""What has to have been, for a row that says so; given a state of the object and the planned ETag."""


def check_plan(world: World, process: Process) -> None:
    """A process wrote plan.json: it holds what was there while the process listed, or a retry's failed items.

    Raises:
        Violation: It does not.
    """
    check, source = world.promises.check, world.source
    listed = process.listed or [world.scheduler.steps]  # a retry of nothing lists nothing
    first, last = listed[0], listed[-1]
    try:
        record = world.records.read_plan(process.run_id, (first, last))
    except KeyError as missing:
        check(Promise.PLANNED, kept=False, details=f"plan.json is there, and shard file {missing} is not")
        return
    planned = [item for shard in record.shards for item in shard]
    check(Promise.PLANNED, len(planned) == len(record.items), "an object is planned twice")
    check(Promise.COUNTS, record.plan["items"] == len(planned), f"{len(planned)} items, {record.plan}")
    if number_of(process.run_id):
        _check_retried(world, process.run_id, planned)
        return
    for item in planned:
        etag = None if item.etag == GONE else item.etag
        there = any(state.etag == etag for state in source.states(item.key, first, last))
        check(Promise.PLANNED, there, f"{item} was not there")
    if process.run_id in world.named:
        named = world.named[process.run_id]
        check(Promise.PLANNED, record.items.keys() == named, f"{record.items.keys()} is planned, {named} are named")
        return
    for key in source.every_key():
        always = all(state.etag is not None for state in source.states(key, first, last)) and (
            source.states(key, first, first) != []
        )
        check(Promise.PLANNED, not always or key in record.items, f"{key!r} is not planned")


def _check_retried(world: World, run_id: str, planned: list[PlannedItem]) -> None:
    """A retry plans the failed items, as they were or as they are by now."""
    check, (first, last) = world.promises.check, world.records.of(run_id).listed
    before = world.records.rows(retry_of(run_id, number_of(run_id) - 1))
    failed = {row["key"]: row["etag"] for row, _record in before if row["status"] == "FAILED"}
    check(Promise.PLANNED, [item.key for item in planned] == list(failed), f"{planned} of {failed}")
    for item in planned:
        now = any(state.etag == item.etag for state in world.source.states(item.key, first, last))
        check(Promise.PLANNED, now or item.etag == failed[item.key], f"{item} was not there")


def check_commit(world: World, process: Process, index: int) -> None:
    """A process committed a shard: every item has its row, with its cause; what the commit names is there.

    Raises:
        Violation: It is not so.
    """
    check = world.promises.check
    record = world.records.of(process.run_id)
    commit = world.records.document(process.run_id, f"shards/{index:05d}.json")
    check(Promise.PLAN_FIRST, index < len(record.shards), f"shard {index} is committed, and there is no plan")
    items, rows = record.shards[index], commit["outcomes"]
    check(Promise.ONE_ROW, [row["key"] for row in rows] == [item.key for item in items], f"shard {index}: {rows}")
    check(Promise.ONE_ROW, commit["plan_digest"] == record.plan["digest"], f"shard {index} is of another plan")
    statuses = [row["status"] for row in rows]
    counts = (len(rows), statuses.count("SUCCEEDED"), statuses.count("FAILED"))
    said = tuple(commit["counts"][name] for name in ("items", "succeeded", "failed"))
    check(Promise.COUNTS, counts == said == (sum(counts[1:]), *counts[1:]), f"shard {index}: {commit['counts']}")
    reused = commit.get("reused_from")
    kept = index < (record.plan.get("reuse") or {"kept_shards": 0})["kept_shards"]
    allowed = kept if reused is not None else process.runs != "plan"
    check(Promise.REUSED, allowed, f"{process.name} wrote {reused} as shard {index}")
    if reused is not None:
        _check_reused(world, commit, reused)
    worked_in = [run for run, items in commit.get("stretches", ()) for _ in range(items)]
    one = reused["worked_in"] if reused else process.run_id
    for row, run in zip(rows, worked_in or [one] * len(rows), strict=True):
        _check_row(world, process.run_id, row, world.records.of(run).listed[0])
    partial = commit["partial"]
    check(Promise.COMMIT_LAST, (partial is not None) == (counts[1] > 0), f"shard {index}: partial {partial}")
    if partial is not None:
        check(Promise.COMMIT_LAST, _is_there(world, partial), f"shard {index} is committed, its partial is not there")
    record.commits[index] = commit
    record.committed_at[index] = world.scheduler.steps


def check_part(world: World, process: Process, part: int) -> None:
    """A process committed a part of the merge: all that it merged is committed, and what it made is there.

    Raises:
        Violation: It is not so.
    """
    record, check = world.records.of(process.run_id), world.promises.check
    commit = world.records.document(process.run_id, f"parts/{part:05d}.json")
    check(Promise.SUCCESS_LAST, len(record.commits) == len(record.shards), f"part {part} was merged before a shard")
    if commit["partial"] is not None:
        check(Promise.COMMIT_LAST, _is_there(world, commit["partial"]), f"part {part} is committed, and is not there")
    record.parts[part] = commit


def _is_there(world: World, partial: dict[str, Any]) -> bool:
    stored = world.s3.stored(RESULT, partial["uri"].removeprefix(f"s3://{RESULT}/"))
    return stored is not None and hashlib.sha256(stored.body).hexdigest() == partial["sha256"]


def _check_reused(world: World, commit: dict[str, Any], reused: dict[str, Any]) -> None:
    """What is taken over is what the base says of the very same objects, and its outputs are the last ones."""
    check = world.promises.check
    places = [retry_of(reused["run_id"], retry) for retry in range(reused["retry"] if "parts" not in reused else 0, 10)]
    bases = [world.records.of(place) for place in places if place in world.records.runs]
    commits = [base.commits[reused["shard"]] for base in bases[:1]]
    if "parts" in reused:  # of any shards of the base, each row once: ONE_ROW sees to that
        commits = [each for base in bases for each in base.commits.values()]
    good = [row for each in commits for row in each["outcomes"] if row["status"] == "SUCCEEDED"]
    same = all(row in good for row in commit["outcomes"]) if "parts" in reused else commit["outcomes"] == good
    check(Promise.REUSED, same, f"{commit['outcomes']} is taken over from {good}")


def _check_row(world: World, run_id: str, row: dict[str, Any], since: int) -> None:
    check = world.promises.check
    record = world.records.of(run_id)
    item = record.items[row["key"]]
    body = world.source.bodies[item.etag]
    states = world.source.states(item.key, since, world.scheduler.steps)
    code = row.get("error_code")
    usable = _is_usable(world, run_id, item.key)
    fault = world.workload.fault(body)
    readable = any(state.etag == item.etag and state.readable for state in states)
    if row["status"] == "SUCCEEDED":
        check(Promise.ROW_HAS_CAUSE, readable and fault is None and usable, f"{row}: {states}")
        for uri in row["outputs"]:
            there = world.s3.stored(RESULT, uri.removeprefix("s3://result/")) is not None
            check(Promise.COMMIT_LAST, there or _is_foreign(world, run_id, uri), f"{uri} is not there")
        return
    causes: dict[str | None, bool] = {
        "KEY_NOT_USABLE": not usable,
        "READ_FAILED": (run_id, item.key) in world.faulty_reads or any(state.without_key for state in states),
        fault: readable and usable,
        **{name: any(cause(state, item.etag) for state in states) for name, cause in _CAUSES.items()},
    }
    check(Promise.ROW_HAS_CAUSE, causes.get(code), f"{row}: {states}, {fault}")


def _is_usable(world: World, run_id: str, key: str) -> bool:
    """Whether an item may have an output: outside of run folders, and no other item's."""
    if not world.workload.suffixes:
        return True
    names = [world.workload.renamed(other.removeprefix(SOURCE_PREFIX)) for other in world.records.of(run_id).items]
    mine = world.workload.renamed(key.removeprefix(SOURCE_PREFIX))
    return not mine.startswith("_millrace/") and names.count(mine) == 1


def _is_foreign(world: World, run_id: str, uri: str) -> bool:
    """Whether another run touched the output last: runs to one destination share their outputs."""
    writer = world.online.writers.get(uri.removeprefix("s3://result/"))
    return writer is not None and first_of(writer[0].run_id) != first_of(run_id)
