"""What a run takes over of an earlier one, as plan.json and result.json say it in their section `reuse`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class PlannedReuse:
    """The section `reuse` of plan.json. The numbers are of items; kept, changed and new add up to the plan's items.

    Attributes:
        asked: What the request asked for: "latest", or a run id.
        base: The id of the run that is reused; empty where none could be.
        base_retry: Which rerun of the base's failed items its result is of; 0 for its first try.
        kept: Items whose results are taken over.
        changed: Items that the base has, and that are worked again: their object changed, they failed, or what the
            base has of them cannot be taken over.
        new: Items of objects that the base does not have.
        removed: Items of the base whose objects are gone.
        kept_shards: How many shards are taken over: those from 0 on.
        kept_bytes: What the kept items cover, in bytes.
        takeover_digest: `sha256:…` of the file that says what each kept shard is taken over from.
        removed_digest: `sha256:…` of `removed.jsonl`, which names the items that are gone.
        why_not: Why there is no base, in plain English; empty where there is one.
    """

    asked: str
    base: str
    base_retry: int
    kept: int
    changed: int
    new: int
    removed: int
    kept_shards: int
    kept_bytes: int
    takeover_digest: str
    removed_digest: str
    why_not: str

    @classmethod
    def without_base(cls, asked: str, why_not: str, items: int) -> PlannedReuse:
        """For a run that works all its items, as there is nothing to reuse."""
        return cls(asked, "", 0, 0, 0, items, 0, 0, 0, "", "", why_not)

    @classmethod
    def from_json(cls, given: Any) -> PlannedReuse:
        """Read the section.

        Raises:
            ValueError: It is not what a plan says.
        """
        if not isinstance(given, dict) or set(given) != _PLANNED:
            raise ValueError("reuse is not what a plan says of it")
        for name, value in given.items():
            if not (type(value) is str if name in _TEXTS else type(value) is int and value >= 0):
                raise ValueError(f"reuse.{name} is {str(value)[:80]}")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class RunReuse:
    """The section `reuse` of result.json: as `PlannedReuse`, but as it came.

    A shard that could not be taken over was worked, and counts as changed.

    Attributes:
        base: The id of the run that was reused; empty where none could be.
        base_retry: Which rerun of the base's failed items its result is of; 0 for its first try.
        kept: Items whose results were taken over.
        changed: Items that the base has, and that were worked again.
        new: Items of objects that the base does not have.
        removed: Items of the base whose objects are gone; `removed.jsonl` in the run folder names them.
        kept_shards: How many shards were taken over.
        kept_bytes: What the kept items cover, in bytes.
        why_not: Why there is no base, in plain English; empty where there is one.
    """

    base: str
    base_retry: int
    kept: int
    changed: int
    new: int
    removed: int
    kept_shards: int
    kept_bytes: int
    why_not: str

    @classmethod
    def of(cls, planned: PlannedReuse, *, shards: int, items: int, size: int) -> RunReuse:
        """What came of a plan.

        Args:
            planned: What the plan says.
            shards: How many shards were taken over.
            items: How many items they have.
            size: What these cover, in bytes.
        """
        changed = planned.changed + planned.kept - items
        return cls(
            planned.base,
            planned.base_retry,
            items,
            changed,
            planned.new,
            planned.removed,
            shards,
            size,
            planned.why_not,
        )


_PLANNED = frozenset(each.name for each in fields(PlannedReuse))
_TEXTS = frozenset({"asked", "base", "takeover_digest", "removed_digest", "why_not"})
