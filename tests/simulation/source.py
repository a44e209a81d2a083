"""The source's objects, what happens to them while a run is under way, and the record of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.in_memory_s3 import InMemoryS3Client
from tests.simulation.keys import SOURCE, SOURCE_PREFIX
from tests.simulation.workloads import ModelledWorkload

NAMES = ("a", "b c", "d/e", "d//f", "=g", "h.txt", "é", "e\u0301", "i\nj", "k%20l", "m+n", "o", "p", "q", "r")
HAPPENINGS = (
    *("changed", "deleted", "denied", "allowed", "archived", "restored", "added", "written anew"),
    "without its KMS key",
)
ARCHIVE = "GLACIER"


@dataclass(frozen=True)
class State:
    """What a key was, from a step on; an etag of None: not there."""

    step: int
    etag: str | None
    denied: bool
    storage_class: str
    without_key: bool = False

    @property
    def readable(self) -> bool:
        """Whether it can be read, where it is there."""
        return not self.denied and not self.without_key and self.storage_class != ARCHIVE


class SourceObjects:
    """The source's objects.

    Args:
        s3: Where they are.
        chance: Decides.
        workload: Makes bodies.

    Attributes:
        bodies: Every body that an object ever had, by ETag.
    """

    def __init__(self, s3: InMemoryS3Client, chance: random.Random, workload: ModelledWorkload) -> None:
        self.bodies: dict[str, bytes] = {}
        self._s3 = s3
        self._chance = chance
        self._workload = workload
        self._history: dict[str, list[State]] = {}

    def fill(self, count: int) -> None:
        """Put the first objects in."""
        names = list(NAMES) + [f"n{number:03d}" for number in range(max(0, count - len(NAMES)))]
        for name in sorted(self._chance.sample(names, count)):
            self.put(0, name, "GLACIER" if self._chance.random() < 0.05 else "STANDARD")
        if self._chance.random() < 0.1:
            self.put(0, "_millrace/x", "STANDARD")  # its output would be among the run folders
        if self._chance.random() < 0.2:
            self._s3.store(SOURCE, f"{SOURCE_PREFIX}d/", b"")  # a folder marker is no item

    def put(self, step: int, name: str, storage_class: str, body: bytes | None = None) -> None:
        """Write an object below the source folder."""
        self.write(step, SOURCE_PREFIX + name, storage_class, body)

    def write(self, step: int, key: str, storage_class: str = "STANDARD", body: bytes | None = None) -> None:
        """Write an object, given its whole key."""
        given = self._workload.make(self._chance) if body is None else body
        self.bodies[_etag(given)] = given
        self._s3.store(SOURCE, key, given, storage_class)
        self._note(step, key)

    def every_key(self) -> list[str]:
        """Every key that ever was an item's."""
        return sorted(self._history)

    def happen(self, step: int, keys: Sequence[str] = ()) -> str | None:
        """Let something happen to one of the objects, or of the given ones; returns what did."""
        if not self._history:
            return None
        kind = self._chance.choice(HAPPENINGS)
        key = self._chance.choice(keys or self.every_key())
        stored = self._s3.stored(SOURCE, key)
        name = key.removeprefix(SOURCE_PREFIX)
        if kind in {"denied", "allowed"}:
            change = self._s3.denied.add if kind == "denied" else self._s3.denied.discard
            change((SOURCE, key))
        elif kind == "without its KMS key":
            self._s3.without_key.add((SOURCE, key))
        elif kind == "added" or stored is None:
            kind = "added"
            self.put(step, name + "+" if stored is not None else name, "STANDARD")
        elif kind == "deleted":
            self._s3.remove(SOURCE, key)
        else:
            archived = kind == "archived" or (kind != "restored" and stored.storage_class == ARCHIVE)
            body = None if kind == "changed" else stored.body
            self.put(step, name, ARCHIVE if archived else "STANDARD", body)
        self._note(step, key)
        return kind

    def deny_all(self, step: int) -> None:
        """Take the right to read away."""
        for key in self.every_key():
            self._s3.denied.add((SOURCE, key))
            self._note(step, key)

    def disable_keys(self, step: int) -> None:
        """Disable the KMS keys of all objects, for good."""
        for key in self.every_key():
            self._s3.without_key.add((SOURCE, key))
            self._note(step, key)

    def allow_all(self, step: int) -> None:
        """Give every right back."""
        for key in self.every_key():
            self._s3.denied.discard((SOURCE, key))
            self._note(step, key)

    def states(self, key: str, first: int, last: int) -> list[State]:
        """What a key was from one step to another."""
        history = self._history.get(key, [])
        ends = [state.step for state in history[1:]] + [last + 1]
        return [state for state, end in zip(history, ends, strict=True) if state.step <= last and end >= first]

    def _note(self, step: int, key: str) -> None:
        stored = self._s3.stored(SOURCE, key)
        denied = (SOURCE, key) in self._s3.denied
        storage_class, without_key = stored.storage_class if stored else "", (SOURCE, key) in self._s3.without_key
        state = State(step, stored.etag if stored else None, denied, storage_class, without_key)
        self._history.setdefault(key, []).append(state)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'
