"""What is checked at each call, while the run is under way."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.in_memory_s3 import Stored
from tests.simulation import adding_up
from tests.simulation.keys import (
    OWN_FILES,
    RESULT_PREFIX,
    SOURCE,
    SOURCE_PREFIX,
    kind_of,
    run_key,
    run_of,
    shard_of,
)
from tests.simulation.process import Process
from tests.simulation.promises import Promise
from tests.simulation.source import ARCHIVE

if TYPE_CHECKING:
    from tests.simulation.world import World

ONCE = frozenset({"commit", "plan.json", "run.json"})
RUN_MARK = "millrace-run"


class OnlineChecks:
    """Looks at every call.

    Args:
        world: What it is part of.

    Attributes:
        writers: The process that wrote an output last, and the step, by the output's key.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.writers: dict[str, tuple[Process, int]] = {}

    def asked(self, process: Process, verb: str, given: dict[str, Any]) -> None:
        """A call is about to be made."""
        check, records = self._world.promises.check, self._world.records
        bucket, key = given["Bucket"], given.get("Key", given.get("Prefix", ""))
        name = f"{process.name}: {verb} {bucket}/{key}"
        if verb == "list_objects_v2" and bucket == SOURCE:
            process.listed.append(self._world.scheduler.steps)
        if process.runs == "merge":
            check(Promise.NO_LISTING, verb != "list_objects_v2", name)
            check(Promise.NO_LISTING, verb != "get_object" or self._is_named(process.run_id, key), name)
        if verb == "get_object" and bucket == SOURCE:
            item = records.of(process.run_id).items.get(key)
            planned = item is not None and (given.get("IfMatch"), given.get("VersionId")) == (item.etag, item.version_id)
            check(Promise.CONDITIONAL, planned, f"{name} with {given}, planned: {item}")
            committed = records.of(process.run_id).committed_at.get(item.shard if item else -1)
            check(Promise.NOT_AGAIN, committed is None or process.began <= committed, name)

    def changed(self, process: Process, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        """A put or a delete took effect."""
        check = self._world.promises.check
        name = f"{process.name}: {bucket}/{key}"
        kind, run_id = kind_of(bucket, key), run_of(bucket, key)
        check(Promise.SOURCE, bucket != SOURCE, name)
        if kind == "output":
            self._output(process, key, before, after, name)
            return
        check(Promise.OTHER_RUNS, run_id == process.run_id, name)
        if kind in ONCE:
            check(Promise.COMMIT_ONCE, before is None, f"{name} was there, and was written or deleted")
        if kind == "partial":
            kept = after is not None and (before is None or before.body == after.body)
            check(Promise.PARTIAL_ONCE, kept, f"{name} was overwritten by another, or deleted")
        complete = self._world.records.of(process.run_id).complete_at is not None
        if complete and (kind == "merged file" or kind in OWN_FILES):
            same = before is not None and after is not None and before.body == after.body
            check(Promise.FINAL, same, f"{name} changed after _SUCCESS")
        if kind == "plan.json":
            self._plan(process)
        if kind == "commit":
            self._commit(process, shard_of(key))
        if kind == "_SUCCESS":
            check(Promise.SUCCESS_LAST, before is None and after is not None, f"{name} was written again, or deleted")
            adding_up.check_complete(self._world, process.run_id, process.percent)
            self._world.records.of(process.run_id).complete_at = self._world.scheduler.steps

    def _is_named(self, run_id: str, key: str) -> bool:
        record = self._world.records.of(run_id)
        named = {run_key(run_id, name) for name in ("plan.json", "_SUCCESS")}
        named |= {run_key(run_id, f"shards/{index:05d}.json") for index in range(len(record.shards))}
        partials = [commit["partial"] for commit in record.commits.values() if commit["partial"]]
        return key in named or any(partial["uri"].endswith(f"/{key}") for partial in partials)

    def _plan(self, process: Process) -> None:
        check, source = self._world.promises.check, self._world.source
        first, last = process.listed[0], process.listed[-1]
        try:
            record = self._world.records.read_plan(process.run_id, (first, last))
        except KeyError as missing:
            check(Promise.PLANNED, kept=False, details=f"plan.json is there, and shard file {missing} is not")
            return
        planned = [item for shard in record.shards for item in shard]
        check(Promise.PLANNED, len(planned) == len(record.items), "an object is planned twice")
        check(Promise.COUNTS, record.plan["items"] == len(planned), f"{len(planned)} items, {record.plan}")
        for item in planned:
            there = any(state.etag == item.etag for state in source.states(item.key, first, last))
            check(Promise.PLANNED, there, f"{item} was not there")
        for key in source.keys():
            always = all(state.etag is not None for state in source.states(key, first, last)) and (
                source.states(key, first, first) != []
            )
            check(Promise.PLANNED, not always or key in record.items, f"{key!r} is not planned")

    def _commit(self, process: Process, index: int) -> None:
        world, check = self._world, self._world.promises.check
        record = world.records.of(process.run_id)
        commit = world.records.document(process.run_id, f"shards/{index:05d}.json")
        items, rows = record.shards[index], commit["outcomes"]
        check(Promise.ONE_ROW, [row["key"] for row in rows] == [item.key for item in items], f"shard {index}: {rows}")
        check(Promise.ONE_ROW, commit["plan_digest"] == record.plan["digest"], f"shard {index} is of another plan")
        statuses = [row["status"] for row in rows]
        counts = (len(rows), statuses.count("SUCCEEDED"), statuses.count("FAILED"))
        said = tuple(commit["counts"][name] for name in ("items", "succeeded", "failed"))
        check(Promise.COUNTS, counts == said == (sum(counts[1:]), *counts[1:]), f"shard {index}: {commit['counts']}")
        for row in rows:
            self._row(process.run_id, row)
        partial = commit["partial"]
        check(Promise.COMMIT_LAST, (partial is not None) == (counts[1] > 0), f"shard {index}: partial {partial}")
        if partial is not None:
            body = world.s3.bodies("result").get(partial["uri"].removeprefix("s3://result/"))
            right = body is not None and hashlib.sha256(body).hexdigest() == partial["sha256"]
            check(Promise.COMMIT_LAST, right, f"shard {index} is committed, its partial is not there")
        record.commits[index] = commit
        record.committed_at[index] = world.scheduler.steps

    def _row(self, run_id: str, row: dict[str, Any]) -> None:
        world, check = self._world, self._world.promises.check
        record = world.records.of(run_id)
        item = record.items[row["key"]]
        body = world.source.bodies[item.etag]
        states = world.source.states(item.key, record.listed[0], world.scheduler.steps)
        code = row.get("error_code")
        usable = not item.key.startswith(f"{SOURCE_PREFIX}_millrace/")
        fault = world.workload.fault(body)
        readable = any(
            state.etag == item.etag and not state.denied and state.storage_class != ARCHIVE for state in states
        )
        if row["status"] == "SUCCEEDED":
            check(Promise.ROW_HAS_CAUSE, readable and fault is None and usable, f"{row}: {states}")
            for uri in row["outputs"]:
                there = world.s3.stored("result", uri.removeprefix("s3://result/")) is not None
                check(Promise.COMMIT_LAST, there or self._is_foreign(run_id, uri), f"{uri} is not there")
            return
        causes = {
            "KEY_NOT_USABLE": not usable,
            "READ_FAILED": (run_id, item.key) in world.faulty_reads,
            fault: readable and usable,
            **{name: any(cause(state, item.etag) for state in states) for name, cause in _CAUSES.items()},
        }
        check(Promise.ROW_HAS_CAUSE, causes.get(code), f"{row}: {states}, {fault}")

    def _is_foreign(self, run_id: str, uri: str) -> bool:
        """Whether another run touched the output last: runs to one destination share their outputs."""
        writer = self.writers.get(uri.removeprefix("s3://result/"))
        return writer is not None and writer[0].run_id != run_id

    def _output(
        self, process: Process, key: str, before: Stored | None, after: Stored | None, name: str
    ) -> None:
        world, check = self._world, self._world.promises.check
        record = world.records.of(process.run_id)
        expected = {}
        for item in record.items.values():
            body = world.source.bodies[item.etag]
            if world.workload.fault(body) is None:
                suffix, made = world.workload.output(body)
                expected[RESULT_PREFIX + item.key.removeprefix(SOURCE_PREFIX) + suffix] = (item, made)
        self.writers[key] = (process, world.scheduler.steps)
        if after is not None:
            right = key in expected and after.body == expected[key][1] and after.metadata[RUN_MARK] == process.run_id
            check(Promise.OUTPUT_RIGHT, right, f"{name}: {after.body!r}, expected {json.dumps(str(expected.get(key)))}")
            return
        own = before is None or before.metadata[RUN_MARK] == process.run_id
        item = expected[key][0] if key in expected else None
        rows = [row for row in record.outcomes if item is not None and row["key"] == item.key]
        failed = bool(rows) and rows[0]["status"] == "FAILED"
        check(Promise.DELETES_OWN, own and failed, f"{name} was deleted: {rows}")


_CAUSES = {
    "NOT_FOUND": lambda state, _etag: state.etag is None,
    "SOURCE_CHANGED": lambda state, etag: state.etag not in {None, etag},
    "ACCESS_DENIED": lambda state, _etag: state.denied,
    "ARCHIVED": lambda state, _etag: state.storage_class == ARCHIVE,
}
"""What has to have been, for a row that says so; given a state of the object and the planned ETag."""


