"""The commit of a shard: that it is done, and what came of each of its items. Written once, never changed."""

from __future__ import annotations

import hashlib
import json
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
    """What the beginning of a commit says: which shard it is of, who worked it, when, and its items, counted."""

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
    worked_in: str = ""
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
        given = read_json(before + b"}")
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
                str((given.get("reused_from") or {}).get("worked_in", "")),
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
            that work.
        contributions: What each item gave, as far as that was kept; None where nothing was.
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

    @property
    def worked_in(self) -> str:
        """The run that worked the shard, where it was taken over; else empty."""
        return str((self.reused_from or {}).get("worked_in", ""))

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
        digest = {"content_digest": self._digest_with(outcomes)}
        return b'%b,"outcomes":%b,%b\n' % (self._head(who)[:-1], outcomes, _compact(digest)[1:])

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
                }
            )
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
        if found != digest or counted != commit.counts or not whole:
            raise DamagedFileError(
                "the commit is not as it was written: its digest, counts or partial do not fit its outcomes",
                operation="read the commit",
                target=name,
            )
        return commit

    @staticmethod
    def retold(text: bytes, name: str, **changes: Any) -> bytes:
        """A commit's file with other fields before its outcomes, which are not read: they are most of it.

        Args:
            text: The file.
            name: Its URI, for the error.
            changes: The fields that change, as JSON; `reused_from` among them.

        Raises:
            DamagedFileError: It is not a commit, or not as it was written.
        """
        # Inside a JSON string the quotes would be escaped: these bytes are the fields.
        before, found, rest = text.partition(b',"outcomes":')
        outcomes, closed, after = rest.rpartition(b',"content_digest":')
        try:
            given = read_json(before + b"}")
            digest = read_json(b'{"content_digest":%b' % after)["content_digest"]
            content = {field: given[field] for field in given if field not in _WHO}
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFileError(
                f"this is not a commit: {error!r}", operation="read the commit", target=name
            ) from error
        if not found or not closed or _content_digest(content, outcomes) != digest:
            raise DamagedFileError(
                "the commit is not as it was written: its digest does not fit it",
                operation="read the commit",
                target=name,
            )
        told = {field: changes.get(field, given.get(field)) for field in (*_BEFORE, *_WHO, "counts")}
        for field in _OPTIONAL:
            if told[field] is None:
                del told[field]
        digest = _content_digest({field: told[field] for field in told if field not in _WHO}, outcomes)
        last = _compact({"content_digest": digest})[1:]
        return b'%b,"outcomes":%b,%b\n' % (_compact(told)[:-1], outcomes, last)

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


_BEFORE = ("shard", "plan_digest", "code_version", "items_digest", "partial", "contributions")
_WHO = ("job", "started_at", "finished_at", "reused_from")
_OPTIONAL = ("contributions", "reused_from")
"""The fields before the outcomes, in their order: what the shard is, who worked it, and what is there sometimes only;
the counts follow."""


def _file(given: dict[str, Any] | None) -> PartialFile | None:
    return None if given is None else PartialFile(**given)


def _content_digest(content: dict[str, Any], outcomes: bytes) -> str:
    return _digest_of(_compact(content), outcomes)


def _digest_of(head: bytes, outcomes: bytes) -> str:
    content = b'%b,"outcomes":%b}' % (head[:-1], outcomes)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _compact(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
