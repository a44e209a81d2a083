"""Somebody damages or forges what a run left: its result, its report, its mark."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.keys import RESULT, kind_of, number_of, retry_of, run_key

if TYPE_CHECKING:
    from tests.simulation.world import World

DAMAGED = frozenset({"merged file", "report.csv", "failures.jsonl", "report.html", "result.json", "_SUCCESS"})

Edit = Callable[[dict[str, Any]], None]

LIES: dict[str, Edit] = {
    "other counts": lambda result: result["counts"].update(succeeded=999),
    "another total": lambda result: result.update(result={"total": 999}),
    "a retry that never was": lambda result: result.update(retry={"number": 900}),
    "other digests": lambda result: result["digests"].update({"report.csv": "sha256:0"}),
    "a failure": lambda result: result.update(status="FAILED"),
}


def damage(world: World, run_id: str) -> None:
    """Damage one file of a complete run's result, let its result.json tell a lie, or mark it as incomplete as well."""
    place = run_id
    result = world.records.document(run_id, "result.json")
    if result["retry"]:
        place = retry_of(run_id, result["retry"]["number"])
    if world.chance.random() < 0.1:
        mark = run_key(place, "_INCOMPLETE")
        world.s3.store(RESULT, mark, b"sha256:left over\n")
        world.trace("forger", world.faults.note("_INCOMPLETE left beside _SUCCESS"))
        return
    files = world.s3.bodies(RESULT, run_key(place, ""))
    names = [key for key in sorted(files) if kind_of(RESULT, key) in DAMAGED and _is_in(key, place)]
    key = world.chance.choice(names)
    body = files[key]
    if key.endswith("/result.json") and world.chance.random() < 0.8:
        lie = world.chance.choice(sorted(LIES))
        _lie(world, key, LIES[lie])
        world.trace("forger", world.faults.note(f"result.json forged: {lie}"))
        return
    half = body[: len(body) // 2]
    world.s3.store(RESULT, key, half if half != body else b"{}")
    world.forged.add(key)
    world.trace("forger", world.faults.note(f"{kind_of(RESULT, key)} damaged"))


def declare_success(world: World, run_id: str) -> None:
    """Declare a run with too many failures complete."""
    key = run_key(run_id, "result.json")
    if world.s3.stored(RESULT, key) is None:
        return
    _lie(world, key, lambda result: result.update(status="SUCCEEDED_WITH_FAILURES"))
    mark = run_key(run_id, "_SUCCESS")
    if not number_of(run_id) and world.s3.stored(RESULT, mark) is None:
        world.s3.store(RESULT, mark, b"sha256:never\n")
        world.forged.add(mark)
    world.trace("forger", world.faults.note("failed run declared a success"))


def _lie(world: World, key: str, edit: Edit) -> None:
    stored = world.s3.stored(RESULT, key)
    result = json.loads(stored.body) if stored else {}
    edit(result)
    world.s3.store(RESULT, key, json.dumps(result, ensure_ascii=False, indent=2).encode() + b"\n")
    world.forged.add(key)


def _is_in(key: str, run_id: str) -> bool:
    return "/" not in key.removeprefix(run_key(run_id, ""))
