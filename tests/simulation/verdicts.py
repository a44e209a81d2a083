"""What is said of an execution that has ended, and of all that is there once nothing runs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import adding_up
from tests.simulation.keys import RESULT, RESULT_PREFIX, SOURCE_PREFIX, first_of, kind_of, run_of_uri
from tests.simulation.promises import Promise

if TYPE_CHECKING:
    from tests.simulation.execution import Execution
    from tests.simulation.world import World


def add_up(world: World) -> None:
    """Nothing runs any more: see what is there.

    Raises:
        Violation: A promise was broken.
    """
    for run_id, record in list(world.records.runs.items()):
        if record.complete_at is not None:
            adding_up.check_complete(world, run_id)
        if run_id == first_of(run_id):
            adding_up.check_outputs(world, run_id)


def check_output(world: World, execution: Execution) -> None:
    """It succeeded: it says what result.json says, and the run is complete.

    Raises:
        Violation: It is not so.
    """
    output, check = execution.output or {}, world.promises.check
    place = run_of_uri(output["result"])
    result = world.records.document(place, "result.json")
    said = {name: result[name] for name in ("run_id", "status", "counts", "failures", "retry", "files")}
    check(Promise.OUTPUT_OF_RUN, {name: output.get(name) for name in said} == said, f"{output} is not {said}")
    complete = world.records.of(place).complete_at is not None
    check(Promise.SUCCESS_LAST, complete, "the execution succeeded without _SUCCESS")
    left = world.records.file(place, "_INCOMPLETE")
    check(Promise.ONE_MARK, left is None, "the execution succeeded, and _INCOMPLETE is still there")


def check_failed(world: World, execution: Execution, percent: int) -> None:
    """Exit code 3: more failures than tolerated, and a complete report all the same.

    Raises:
        Violation: It is not so.
    """
    check, run_id = world.promises.check, execution.folder
    rows = world.records.rows(run_id)
    failed = sum(row["status"] == "FAILED" for row, _record in rows)
    beyond = failed * 100 > percent * len(rows)
    check(Promise.NOT_COMPLETE, beyond, f"{failed} of {len(rows)} failed, {percent} % are tolerated")
    complete = world.records.of(run_id).complete_at is not None
    check(Promise.NOT_COMPLETE, not complete, "it is marked as complete")
    check(Promise.ONE_MARK, world.records.file(run_id, "_INCOMPLETE") is not None, "it is not marked _INCOMPLETE")
    result = world.records.document(run_id, "result.json")
    check(Promise.NOT_COMPLETE, result["status"] == "FAILED", f"result.json says {result['status']}")
    adding_up.check_report(world, run_id, result)
    adding_up.check_counts(world, run_id, result)
    adding_up.check_merged(world, run_id, result)


def kept(world: World, run_id: str) -> dict[str, bytes]:
    """What a repeated run has to leave as it is.

    It may add parts of the merge: Migrate And Merge, which worked it, merged in one piece. That none is ever written
    over, COMMIT_ONCE and PARTIAL_ONCE see.
    """
    records = [record for record in world.records.runs.values() if first_of(record.run_id) == run_id]
    failed = {row["key"] for record in records for row in record.outcomes if row["status"] == "FAILED"}
    swept = tuple(RESULT_PREFIX + key.removeprefix(SOURCE_PREFIX) + "." for key in failed)
    found = world.s3.bodies(RESULT)
    return {
        key: body
        for key, body in found.items()
        if kind_of(RESULT, key) not in {"progress", "part", "part commit"}
        and not (kind_of(RESULT, key) == "output" and key.startswith(swept))
    }
