"""What each kept shard is taken over from: the file that plan.json names by its digest."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder
from millrace.records.files import copy_file
from millrace.records.plan import Plan
from millrace.s3.verbs import S3


@dataclass(frozen=True, slots=True)
class TakenPart:
    """A shard of the base that a kept shard is taken over from.

    Attributes:
        retry: Which rerun of the base it is a shard of; 0 for the base's own.
        shard: Its index there.
        rebuilt_of: Which of its items are kept, as `bounds` of their places (`millrace.reuse.places`), where it is
            rebuilt from contributions; None where it is taken over with all that succeeded.
    """

    retry: int
    shard: int
    rebuilt_of: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class TakenShard:
    """What a kept shard is taken over from.

    Attributes:
        items_digest: `sha256:…` of the shard file that this run has of it.
        parts: The shards of the base that it is of: several where small ones are put together.
    """

    items_digest: str
    parts: tuple[TakenPart, ...]

    def to_line(self) -> bytes:
        """Its line in the file that says what each kept shard is taken over from."""
        parts = [
            {
                "retry": each.retry,
                "shard": each.shard,
                "rebuilt_of": None if each.rebuilt_of is None else list(each.rebuilt_of),
            }
            for each in self.parts
        ]
        document = {"items_digest": self.items_digest, "parts": parts}
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> TakenShard:
        """Read such a line.

        Raises:
            ValueError: It is not JSON.
            TypeError: It is something else.
            KeyError: It lacks something.
            OverflowError: It has a number that is no place of an item.
        """
        given = read_json(line)
        parts = (
            TakenPart(**{**part, "rebuilt_of": None if part["rebuilt_of"] is None else array("I", part["rebuilt_of"])})
            for part in given["parts"]
        )
        return cls(given["items_digest"], tuple(parts))


def takeover_lines(shards: Iterable[TakenShard]) -> bytes:
    """The file that says what each kept shard is taken over from: a JSON line each, from shard 0 on."""
    return b"".join(shard.to_line() for shard in shards)


def read_takeover(plan: Plan, folder: RunFolder, s3: S3) -> Sequence[TakenShard]:
    """What each of a plan's kept shards is taken over from, from shard 0 on.

    Raises:
        DamagedFileError: The file is not the one that the plan names.
    """
    reuse = plan.reuse
    if reuse is None:
        return []
    uri = folder.takeover(reuse.takeover_digest)
    try:
        text = s3.read(uri)
        sources = list(map(TakenShard.from_line, text.split(b"\n")[:-1]))
    except (ObjectNotFoundError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise DamagedFileError(
            f"this does not say what is taken over: {error}", operation="reuse", target=str(uri)
        ) from error
    if f"sha256:{hashlib.sha256(text).hexdigest()}" != reuse.takeover_digest or len(sources) != reuse.kept_shards:
        raise DamagedFileError("it is not the file that plan.json names", operation="reuse", target=str(uri))
    return sources


def name_removed(plan: Plan, folder: RunFolder, s3: S3) -> None:
    """Write `removed.jsonl`, once plan.json is there: the list of what is gone that this plan names."""
    if plan.reuse is not None and plan.reuse.removed:
        copy_file(folder.planned_removed(plan.reuse.removed_digest), folder.file("removed.jsonl"), s3)
