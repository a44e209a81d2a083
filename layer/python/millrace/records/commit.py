"""The commit of a shard: that it is done, and what came of each of its items. Written once, never changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from millrace.errors import DamagedFileError
from millrace.json_text import read_json
from millrace.records.outcome import Counts, Outcome


@dataclass(frozen=True, slots=True)
class PartialFile:
    """Where a shard's share of the merged result is; its digest in hex, its size in bytes."""

    uri: str
    sha256: str
    bytes: int


HEAD_BYTES = 8192
"""What is read of a commit by who wants no outcomes: they stand last, behind a URI and a few numbers."""


@dataclass(frozen=True, slots=True)
class CommitHead:
    """What the beginning of a commit says: which shard it is of, who worked it, when, and its items, counted.

    `worked_in` is that of `Commit.reused_from`; None where the shard was not taken over.
    """

    started_at: datetime
    finished_at: datetime
    counts: Counts
    job_id: str = ""
    shard: int = -1
    plan_digest: str = ""
    code_version: str = ""
    items_digest: str = ""
    contributions: PartialFile | None = None
    partial: PartialFile | None = None
    worked_in: str | None = None
    attempt: int = 1

    @classmethod
    def of(cls, text: bytes) -> CommitHead:
        """Read what stands before a commit's outcomes.

        Args:
            text: The commit's first bytes: `Commit.to_json` writes the fields in this order.

        Raises:
            ValueError: They are not there.
        """
        # Inside a JSON string the quotes would be escaped: these bytes are the field.
        before, found, _ = text.partition(b',"outcomes":')
        if not found:
            raise ValueError("the outcomes do not begin in the commit's first bytes")
        return cls.from_fields(read_json(before + b"}"))

    @classmethod
    def from_fields(cls, given: dict[str, Any]) -> CommitHead:
        """From the fields before the outcomes.

        Raises:
            ValueError: They are not those of a commit.
        """
        try:
            return cls(
                datetime.fromisoformat(given["started_at"]),
                datetime.fromisoformat(given["finished_at"]),
                Counts(**given["counts"]),
                str(given["job"]["id"]),
                given["shard"],
                given["plan_digest"],
                given["code_version"],
                given["items_digest"],
                _file(given.get("contributions")),
                _file(given["partial"]),
                None if given.get("reused_from") is None else str(given["reused_from"].get("worked_in", "")),
                int(given["job"].get("attempt") or 1),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not the beginning of a commit: {error!r}") from error

    @property
    def seconds(self) -> float:
        """How long the shard was worked by the attempt that committed it."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Commit:
    """What `shards/00042.json` says.

    Attributes:
        shard: The shard's index.
        plan_digest: The plan that the shard is part of.
        code_version: The version of the code that worked it.
        items_digest: The digest of the shard file that was worked: merge adds the plan's digest up from them.
        partial: The shard's partial; None where no item succeeded.
        counts: The outcomes, counted.
        outcomes: One per item, in the plan's order.
        job: Who worked it: the Batch job's id and attempt.
        started_at: ISO 8601, UTC.
        finished_at: ISO 8601, UTC.
        reused_from: The shard of an earlier run that this one is taken over from: run_id, retry and shard, and
            worked_in, the run that worked it; None where this run worked it. `job` and the times are then those of
            that work. A shard that is put together of several has parts, how many they are; it names the first of
            them, and all their times are added.
        contributions: What each item gave, as far as that was kept; None where nothing was.
        stretches: Where several runs worked the items, and `worked_in` is empty: each such run, and how many items that
            follow each other are its.
    """

    shard: int
    plan_digest: str
    code_version: str
    items_digest: str
    partial: PartialFile | None
    counts: Counts
    outcomes: tuple[Outcome, ...]
    job: dict[str, Any]
    started_at: str
    finished_at: str
    reused_from: dict[str, Any] | None = None
    contributions: PartialFile | None = None
    stretches: tuple[tuple[str, int], ...] = ()

    @property
    def worked_in(self) -> list[str]:
        """The earlier run that worked each item, where the shard was taken over; else an empty text for each."""
        stretches = self.stretches or ((str((self.reused_from or {}).get("worked_in", "")), len(self.outcomes)),)
        return [run for run, items in stretches for _ in range(items)]

    @property
    def content_digest(self) -> str:
        """The digest over all that does not depend on who worked the shard and when: equal for two equal copies."""
        return self._digest_with(self._outcomes())

    def to_json(self) -> bytes:
        """The commit's file."""
        outcomes = self._outcomes()  # once: they are all but a few lines of it
        who: dict[str, Any] = {"job": self.job, "started_at": self.started_at, "finished_at": self.finished_at}
        if self.reused_from is not None:
            who["reused_from"] = self.reused_from
        return _written(self._head(who), outcomes, self.stretches, self._digest_with(outcomes))

    @classmethod
    def from_json(cls, text: bytes, name: str) -> Commit:
        """Read a commit.

        Args:
            text: The file.
            name: Its URI, for the error.

        Raises:
            DamagedFileError: It is not a commit, or not as it was written.
        """
        try:
            given = read_json(text)
            digest = given.pop("content_digest")
            commit = cls(
                **{
                    **given,
                    "partial": _file(given["partial"]),
                    "contributions": _file(given.get("contributions")),
                    "counts": Counts(**given["counts"]),
                    "outcomes": tuple(Outcome.from_json(outcome) for outcome in given["outcomes"]),
                    "stretches": tuple((str(run), int(items)) for run, items in given.get("stretches", ())),
                }
            )
            counted_items = sum(items for _, items in commit.stretches)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedFileError(
                f"this is not a commit: {error!r}", operation="read the commit", target=name
            ) from error
        counted = Counts.of(commit.outcomes)
        # Its items' results are in the partial: without one, none of them succeeded.
        whole = commit.partial is not None or counted.succeeded == 0
        try:
            found = commit.content_digest
        except (RecursionError, TypeError):  # of what is nested too deeply to be written again
            found = ""
        told = counted_items in {0, counted.items}
        if found != digest or counted != commit.counts or not whole or not told:
            raise DamagedFileError(
                "the commit is not as it was written: its digest, counts or partial do not fit its outcomes",
                operation="read the commit",
                target=name,
            )
        return commit

    def _digest_with(self, outcomes: bytes) -> str:
        return _digest_of(self._head({}), outcomes)

    def _head(self, who: dict[str, Any]) -> bytes:
        return _compact(
            {
                "shard": self.shard,
                "plan_digest": self.plan_digest,
                "code_version": self.code_version,
                "items_digest": self.items_digest,
                "partial": None if self.partial is None else asdict(self.partial),
                **({} if self.contributions is None else {"contributions": asdict(self.contributions)}),
                **who,
                "counts": asdict(self.counts),
            }
        )

    def _outcomes(self) -> bytes:
        return _compact([outcome.to_json() for outcome in self.outcomes])


_ORDER = ("shard", "plan_digest", "code_version", "items_digest", "partial", "contributions")
_WHO = ("job", "started_at", "finished_at", "reused_from")
_OPTIONAL = ("contributions", "reused_from")
"""The fields before the outcomes, in their order: what the shard is, who worked it, and what is there sometimes only;
the counts follow."""


@dataclass(frozen=True)
class CommitText:
    """A commit whose outcomes are not read, as they are most of it: who takes a shard over passes them on as they are.

    Attributes:
        head: What stands before the outcomes.
        outcomes: The outcomes, a JSON array.
        stretches: As `Commit` has them.
    """

    head: dict[str, Any]
    outcomes: bytes | memoryview
    stretches: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, text: bytes, name: str) -> CommitText:
        """Read a commit's file.

        Args:
            text: The file.
            name: Its URI, for the error.

        Raises:
            DamagedFileError: It is not a commit, or not as it was written.
        """
        # Inside a JSON string the quotes would be escaped: these bytes are the fields.
        begin, end = text.find(_OUTCOMES), text.rfind(_DIGEST)
        if not 0 <= begin < end:
            raise DamagedFileError("this is not a commit: it has no outcomes", operation="read the commit", target=name)
        told = text.rfind(_STRETCHES, begin, end)
        try:
            head = read_json(text[:begin] + b"}")
            digest = read_json(b"{%b" % text[end + 1 :])["content_digest"]
            stretches = read_json(text[told + len(_STRETCHES) : end]) if told >= 0 else []
            content = {field: head[field] for field in head if field not in _WHO}
            outcomes = memoryview(text)[begin + len(_OUTCOMES) : told if told >= 0 else end]
            made = cls(head, outcomes, tuple((str(run), int(items)) for run, items in stretches))
            CommitHead.from_fields(head)
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFileError(
                f"this is not a commit: {error!r}", operation="read the commit", target=name
            ) from error
        if _digest_of(_compact(content), outcomes) != digest:
            raise DamagedFileError(
                "the commit is not as it was written: its digest does not fit it",
                operation="read the commit",
                target=name,
            )
        return made

    def to_json(self) -> bytes:
        """The commit's file."""
        told = {field: self.head.get(field) for field in (*_ORDER, *_WHO, "counts")}
        for field in _OPTIONAL:
            if told[field] is None:
                del told[field]
        content = _compact({field: told[field] for field in told if field not in _WHO})
        return _written(_compact(told), self.outcomes, self.stretches, _digest_of(content, self.outcomes))

    def each(self) -> list[bytes]:
        """The outcomes, one by one, as `joined` takes them."""
        # An outcome holds no object, and begins with its key; inside a JSON string the quotes would be escaped.
        return bytes(self.outcomes[len(_FIRST) : -2]).split(_BETWEEN) if self.outcomes != b"[]" else []

    @staticmethod
    def joined(outcomes: Sequence[bytes]) -> bytes:
        """Outcomes of `each`, as a JSON array."""
        return b"%b%b}]" % (_FIRST, _BETWEEN.join(outcomes)) if outcomes else b"[]"


_OUTCOMES, _STRETCHES, _DIGEST = b',"outcomes":', b',"stretches":', b',"content_digest":'
_FIRST, _BETWEEN = b'[{"key":', b'},{"key":'


def _written(head: bytes, outcomes: bytes | memoryview, stretches: Sequence[tuple[str, int]], digest: str) -> bytes:
    told = _STRETCHES + _compact(stretches) if stretches else b""
    last = b"%b%b}\n" % (_DIGEST, _compact(digest))
    return b"".join((head[:-1], _OUTCOMES, outcomes, told, last))


def _file(given: dict[str, Any] | None) -> PartialFile | None:
    return None if given is None else PartialFile(**given)


def _digest_of(head: bytes, outcomes: bytes | memoryview) -> str:
    # The outcomes by their digest: so a shard that is taken over, with another head, has them hashed once.
    content = b'%b,"outcomes":"%b"}' % (head[:-1], hashlib.sha256(outcomes).hexdigest().encode())
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _compact(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
