"""What is checked at each call, while the run is under way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.in_memory_s3 import Stored
from tests.simulation import adding_up, written
from tests.simulation.keys import (
    OWN_FILES,
    RESULT,
    RESULT_PREFIX,
    SOURCE,
    SOURCE_PREFIX,
    first_of,
    kind_of,
    run_key,
    run_of,
    shard_of,
)
from tests.simulation.process import FIRST_CODE, MERGING, MIGRATING, Process
from tests.simulation.promises import Promise

if TYPE_CHECKING:
    from tests.simulation.world import World

ONCE = frozenset({"commit", "part commit", "plan.json", "run.json"})
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
        kind = kind_of(bucket, key)
        mine = run_of(bucket, key) == process.run_id
        if process.runs in MIGRATING and kind == "commit" and "Key" in given and mine:
            process.looked[shard_of(key)] = self._world.scheduler.steps
        if process.runs in MIGRATING and kind == "shard file":
            process.shard = shard_of(key)
        if process.runs == "merge":
            check(Promise.NO_LISTING, verb != "list_objects_v2", name)
            check(Promise.NO_LISTING, verb != "get_object" or self._is_named(process.run_id, key), name)
        place = given.get("CopySource", given)
        if verb in {"get_object", "copy_object"} and place["Bucket"] == SOURCE:
            etag = given.get("CopySourceIfMatch", given.get("IfMatch"))
            item = records.of(process.run_id).items.get(place["Key"])
            planned = item is not None and (etag, place.get("VersionId")) == (item.etag, item.version_id)
            check(Promise.CONDITIONAL, planned, f"{name} with {given}, planned: {item}")
            shard = item.shard if item else -1
            committed = records.of(process.run_id).committed_at.get(shard)
            looked = process.looked.get(shard, self._world.scheduler.steps)
            check(Promise.NOT_AGAIN, committed is None or looked <= committed, name)

    def changed(self, process: Process, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        """A put or a delete took effect."""
        check = self._world.promises.check
        name = f"{process.name}: {bucket}/{key}"
        kind, run_id = kind_of(bucket, key), run_of(bucket, key)
        check(Promise.SOURCE, bucket != SOURCE, name)
        check(Promise.ONE_CODE, process.code == FIRST_CODE, f"{name} was written by other code")
        if kind == "output":
            self._output(process, key, before, after, name)
            return
        check(Promise.OTHER_RUNS, _may_write(process, run_id or "", kind), name)
        if kind in ONCE:
            check(Promise.COMMIT_ONCE, before is None, f"{name} was there, and was written or deleted")
        if kind in {"partial", "part"}:
            kept = after is not None and (before is None or before.body == after.body)
            check(Promise.PARTIAL_ONCE, kept, f"{name} was overwritten by another, or deleted")
        complete = self._world.records.of(run_id or "").complete_at is not None
        forged = key in self._world.forged
        self._world.forged.discard(key)
        if kind == "result.json" and not forged:
            check(Promise.FINAL, _rank(before) <= _rank(after), f"{name} was replaced by what it outranks")
        if complete and not forged and kind != "_INCOMPLETE" and (kind == "merged file" or kind in OWN_FILES):
            same = before is not None and after is not None and before.body == after.body
            newer = kind == "result.json" and _rank(before) < _rank(after)  # a retry's
            check(Promise.FINAL, same or newer, f"{name} changed after _SUCCESS")
        if kind == "plan.json":
            written.check_plan(self._world, process)
        if kind == "commit":
            written.check_commit(self._world, process, shard_of(key))
        if kind == "part commit":
            written.check_part(self._world, process, shard_of(key))
        if kind == "_SUCCESS":
            first = (before is None or forged) and after is not None
            check(Promise.SUCCESS_LAST, first, f"{name} was written again, or deleted")
            adding_up.check_complete(self._world, run_id or "", process.percent)
            self._world.records.of(run_id or "").complete_at = self._world.scheduler.steps

    def _is_named(self, run_id: str, key: str) -> bool:
        kind, place = kind_of(RESULT, key), run_of(RESULT, key) or ""
        if kind == "latest.json":
            return True
        if kind == "result.json" and first_of(place) == first_of(run_id):
            return True  # a later retry's may be there
        for record in self._world.records.chain(run_id):
            if (kind == "merged file" or kind in OWN_FILES) and place == record.run_id:
                return True
            named = {run_key(record.run_id, f"shards/{index:05d}.json") for index in range(len(record.shards))}
            named |= {run_key(record.run_id, f"parts/{part:05d}.json") for part in range(record.plan["merge_parts"])}
            if record.plan.get("reuse") and (base := record.plan["reuse"]["base"]):
                named |= {run_key(base, f"parts/{part:05d}.json") for part in range(record.plan["merge_parts"])}
            commits = (*record.commits.values(), *record.parts.values())
            partials = [commit["partial"] for commit in commits if commit["partial"]]
            if key in named or any(partial["uri"].endswith(f"/{key}") for partial in partials):
                return True
        return False

    def _output(self, process: Process, key: str, before: Stored | None, after: Stored | None, name: str) -> None:
        world, check = self._world, self._world.promises.check
        record = world.records.of(process.run_id)
        expected = {}
        for item in record.items.values():
            body = world.source.bodies[item.etag]
            if world.workload.fault(body) is None:
                for suffix, made in world.workload.outputs(item.key, body).items():
                    name = world.workload.renamed(item.key.removeprefix(SOURCE_PREFIX))
                    expected[RESULT_PREFIX + name + suffix] = (item, made)
        self.writers[key] = (process, world.scheduler.steps)
        if after is not None:
            marked = after.metadata.get(RUN_MARK) == (process.run_id if world.workload.marked else None)
            right = key in expected and after.body == expected[key][1] and marked
            check(Promise.OUTPUT_RIGHT, right, f"{name}: {after.body!r}, expected {json.dumps(str(expected.get(key)))}")
            return
        own = before is None or before.metadata.get(RUN_MARK) == process.run_id
        made_of = expected[key][0].key if key in expected else None
        rows = [row for row in record.outcomes if row["key"] == made_of]
        failed = bool(rows) and rows[0]["status"] == "FAILED"
        check(Promise.DELETES_OWN, own and failed, f"{name} was deleted: {rows}")


def _may_write(process: Process, run_id: str, kind: str) -> bool:
    """Its own folder; a merge latest.json; a child the note that its kind writes; Prepare Run a retry's run.json,
    and a retry's merge the run's result.
    """
    if kind == "latest.json":
        return process.runs in MERGING
    if kind == "writing":
        return process.runs in MIGRATING
    if run_id == process.run_id or first_of(run_id) != first_of(process.run_id):
        return run_id == process.run_id
    if process.runs == "prepare_run":
        return kind == "run.json"
    return process.runs in MERGING and kind in {"result.json", "_SUCCESS", "_INCOMPLETE"} and run_id == first_of(run_id)


def _rank(stored: Stored | None) -> tuple[int, bool]:
    """Which retry a result.json is from, and whether it is a good one."""
    if stored is None:
        return -1, False
    result = json.loads(stored.body)
    return (result["retry"]["number"] if result["retry"] else 0), result["status"] != "FAILED"
