"""One process's S3 client: every call offers the baton, may meet a fault, is traced and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.simulation.faults import BODIES, CONDITIONAL, LISTINGS, LOST_ANSWERS, REFUSALS, WRITES, refusal
from tests.simulation.keys import OWN_FILES, SOURCE, SOURCE_PREFIX, kind_of
from tests.simulation.process import PLANNING, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

MERGED = frozenset({"merged file", *OWN_FILES, "latest.json"}) - {"run.json", "plan.json"}
"""What a child of an array writes only as it merges."""

VERBS = frozenset({"get_object", "head_object", "put_object", "copy_object", "delete_object", "list_objects_v2"})
"""What Millrace calls for small objects. Multipart uploads take 8 MiB and more, which no simulated object has."""


class SimulatedClient:
    """A boto3 S3 client of a process.

    Args:
        world: What it is part of.
        process: Whose it is.
    """

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._listed: list[dict[str, Any]] = []

    def __getattr__(self, verb: str) -> Callable[..., dict[str, Any]]:
        if verb not in VERBS:
            raise AttributeError(f"the simulator does not know the call {verb}")
        return lambda **given: self._call(verb, given)

    def _call(self, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        world, process = self._world, self._process
        bucket, key = given["Bucket"], given.get("Key", given.get("Prefix", ""))
        world.pass_time()
        process.live(world.scheduler.now)
        kind = kind_of(bucket, key)
        read = given["CopySource"]["Key"] if verb == "copy_object" else key if kind == "source" else None
        conditional = verb == "put_object" and "IfNoneMatch" in given
        fault = world.faults.draw(verb, kind, process.runs, conditional=conditional)
        self._befall(fault)
        said = f"{verb} {bucket}/{key}{_conditions(given)}"
        if fault == "crash before":
            world.trace(process, f"{said} -> killed before")
            world.disturb(process)
            process.die()
        if fault in REFUSALS or fault == "409 on a conditional write":
            world.faulty_reads.add((process.run_id, read))
            world.trace(process, f"{said} -> {fault}")
            raise refusal(fault)
        answer = self._take_effect(verb, given, said)
        if verb in WRITES and process.runs == "migrate-and-merge" and process.in_array:
            self._disturb_merge(bucket, key, kind)
        if fault == "crash after":
            world.trace(process, "killed after")
            world.disturb(process)
            process.die()
        if fault in LOST_ANSWERS or fault in CONDITIONAL:
            world.trace(process, f"-> {fault}")
            world.faulty_reads.add((process.run_id, read))
            raise refusal(fault)
        if fault == "slow answer":
            world.scheduler.pause(steps=world.chance.randrange(1, 40), seconds=20)
            process.live(world.scheduler.now)
        if verb == "list_objects_v2" and (bucket, key) == (SOURCE, SOURCE_PREFIX) and process.runs in PLANNING:
            self._list_wrong(answer["Contents"])
        if verb == "get_object":
            if fault in BODIES:
                world.faulty_reads.add((process.run_id, read))
            answer["Body"] = SimulatedBody(world, process, answer["Body"].read(), fault if fault in BODIES else None)
        return answer

    def _take_effect(self, verb: str, given: dict[str, Any], said: str) -> dict[str, Any]:
        world, process = self._world, self._process
        bucket, key = given["Bucket"], given.get("Key", given.get("Prefix", ""))
        world.online.asked(process, verb, given)
        before = world.s3.stored(bucket, key) if "Key" in given else None
        try:
            answer: dict[str, Any] = getattr(world.s3, verb)(**given)
        except ClientError as refused:
            world.trace(process, f"{said} -> {refused.response['Error']['Code']}")
            raise
        after = world.s3.stored(bucket, key) if "Key" in given else None
        world.trace(process, f"{said} -> {after.etag if after and verb != 'list_objects_v2' else 'done'}")
        if verb in WRITES:
            world.online.changed(process, bucket, key, before, after)
        return answer

    def _disturb_merge(self, bucket: str, key: str, kind: str) -> None:
        """The child of an array that merges dies, or its claim is lost: another merges as well."""
        world, process = self._world, self._process
        if kind == "claim" and key.endswith("/merge"):
            if world.faults.happens("claim of the merge lost", 0.4, world.merges):
                world.s3.remove(bucket, key)
                world.trace(process, "the claim of the merge is lost")
        elif kind in MERGED and world.faults.happens(f"child dies as it merges, at {kind}", 0.04, world.merges):
            world.trace(process, "killed as it merges")
            process.die()

    def _list_wrong(self, page: list[dict[str, Any]]) -> None:
        """Name a key twice, or keys that were named before, or keys in no order."""
        world = self._world
        before, self._listed = self._listed, list(page)
        kind = world.listings.choice(LISTINGS)
        again = {"key listed twice": page[:1], "page listed again": before}.get(kind, page[:-1])
        if not page or not again or not world.faults.happens(kind, 1 / 30, world.listings):
            return
        if kind == "keys listed in no order":
            page.reverse()
        else:
            page[:0] = again
        world.trace(self._process, kind)

    def _befall(self, fault: str | None) -> None:
        """SIGTERM, or being taken for dead."""
        world, process = self._world, self._process
        if fault is None:
            return
        if fault.startswith("SIGTERM"):
            world.trace(process, fault)
            process.stop.request("SIGTERM")
            if fault != "SIGTERM":
                process.calls_left = world.chance.randrange(1, 12)
        if fault == "zombie":
            world.trace(process, "taken for dead, and paused")
            process.lost = True
            world.disturb(process)
            process.on_lost(process)
            world.scheduler.pause(ready=world.release(process))
            world.trace(process, "the zombie continues")


class SimulatedBody:
    """An object's bytes on their way.

    Args:
        world: What it is part of.
        process: Who reads.
        content: The bytes.
        fault: What is wrong with it, one of `BODIES`.
    """

    def __init__(self, world: World, process: Process, content: bytes, fault: str | None) -> None:
        self._world = world
        self._process = process
        self._content = content
        self._fault = fault
        self._position = 0
        self._end = len(content)
        self._piece = len(content)
        if fault is not None:
            self._piece = 1 + world.chance.randrange(max(len(content), 1))
            if fault != "slow body":
                self._end = world.chance.randrange(len(content) + 1)

    def read(self, amount: int) -> bytes:
        """Some more bytes."""
        if self._fault is not None:
            self._world.pass_time()
            self._process.live(self._world.scheduler.now)
        if self._position == self._end < len(self._content) and self._fault is not None:
            self._world.trace(self._process, f"{self._fault} at {self._position} of {len(self._content)}")
            raise refusal(self._fault)
        start = self._position
        self._position = min(start + min(amount, self._piece), self._end)
        return self._content[start : self._position]

    def close(self) -> None:
        """Let go."""


def _conditions(given: dict[str, Any]) -> str:
    names = ("IfNoneMatch", "IfMatch", "CopySourceIfMatch", "Range")
    said = ", ".join(f"{name} {given[name]}" for name in names if name in given)
    return f" ({said})" if said else ""
