"""`_millrace/latest.json` of a destination: which runs last succeeded there, and the pace that they were worked at.

It is a hint. Nothing that a run computes depends on it, so one that is damaged, foreign or denied is as good as none;
and merge, which writes it, has its result marked as complete before.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from millrace.errors import ChangedError, ObjectNotFoundError, StorageError
from millrace.json_text import read_json
from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)

FORMAT = 1
"""The form of the file. One of another form is left alone: a later version of Millrace wrote it."""

KEPT = 64
"""So many runs are kept, one for each source, workload, options and code; those that ended first go."""

MOST_BYTES = 262_144
"""A file larger than this is none that a merge wrote."""

TRIES = 10
"""Each lost race is one that another merge has won."""


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The last successful run of one source, workload, options and code.

    Attributes:
        run_id: The run.
        retry: Which retry of its failed items ended it; 0 for its first try.
        source: The source folder's URI.
        workload: The workload's name.
        options_digest: `options_digest` of its options.
        code_version: The code that worked it.
        plan_digest: The digest of the run's first plan.
        started_at: When it was planned, ISO 8601, UTC.
        finished_at: When its last shard was finished, likewise.
        pace: seconds_per_item and bytes_per_second of a child; None where no run was long enough to measure.
        over_keys: Whether its request named single objects: such a run is kept beside one over the whole source, so
            that uploads do not hide the run that the next one over the source reuses.
    """

    run_id: str
    retry: int
    source: str
    workload: str
    options_digest: str
    code_version: str
    plan_digest: str
    started_at: str
    finished_at: str
    pace: Mapping[str, float] | None
    over_keys: bool = False

    @property
    def name(self) -> str:
        """What it is kept under: what it was a run of."""
        kind = [self.source, self.workload, self.options_digest, self.code_version]
        return _digest([*kind, "keys"] if self.over_keys else kind)[:16]

    @property
    def ended(self) -> tuple[datetime, int]:
        """Which of two runs is the later one."""
        return datetime.fromisoformat(self.finished_at), self.retry

    @classmethod
    def from_json(cls, given: Any) -> LatestRun:
        """Read what is kept of a run.

        Raises:
            ValueError: It is not what a merge wrote.
        """
        if isinstance(given, dict):
            given = {"over_keys": False, **given}
        whole = (
            isinstance(given, dict)
            and set(given) == _NAMES
            and type(given["over_keys"]) is bool
            and type(given["retry"]) is int
            and isinstance(given["pace"], dict | None)
            and all(isinstance(given[name], str) for name in _NAMES - {"retry", "pace", "over_keys"})
            and all(datetime.fromisoformat(given[name]).tzinfo is not None for name in ("started_at", "finished_at"))
        )
        if not whole:
            raise ValueError("it is not a run")
        return cls(**given)


_NAMES = frozenset(each.name for each in fields(LatestRun))


def options_digest(options: Mapping[str, Any]) -> str:
    """The digest of a workload's options, defaults filled in: they may be long."""
    return f"sha256:{_digest(options)}"


def latest_uri(destination: S3Uri) -> S3Uri:
    """Where a destination's last runs are named; no run can have this id."""
    return destination.join(f"{RESERVED_FOLDER}latest.json")


def read_latest(destination: S3Uri, s3: S3) -> list[LatestRun]:
    """The last successful runs of a destination, the latest first; none where the file names none.

    A fault of the file, or of S3, is logged: the run continues without a hint.
    """
    uri = latest_uri(destination)
    try:
        kept = _parsed(s3.read_small(uri, MOST_BYTES))
    except ObjectNotFoundError:
        return []
    except (StorageError, ValueError) as error:
        log.warning("latest.json is not read", extra={"fields": {"uri": str(uri), "why": str(error)}})
        return []
    return sorted(kept.values(), key=lambda run: run.ended, reverse=True)


def note_latest(destination: S3Uri, run: LatestRun, s3: S3) -> None:
    """Keep a run that has succeeded, unless a later one of its kind is kept.

    If the run was too short to measure a pace, that of the run before it stays.

    Args:
        destination: The destination folder.
        run: The run.
        s3: Where.

    Raises:
        StorageError: The file could not be read or written.
    """
    uri = latest_uri(destination)
    for _ in range(TRIES):
        etag, kept = _read_to_replace(uri, s3)
        before = kept.get(run.name)
        if before is not None and before.ended >= run.ended:
            return
        kept[run.name] = _with_pace(run, before)
        if s3.put_if_unchanged(uri, _written(kept), etag, content_type="application/json"):
            return
    raise ChangedError("other merges keep writing it", operation="note the run", target=str(uri))


def _read_to_replace(uri: S3Uri, s3: S3) -> tuple[str | None, dict[str, LatestRun]]:
    """The file's ETag, None where there is none, and its runs.

    Raises:
        ChangedError: It has a form that this version does not know.
    """
    try:
        with s3.open(uri) as chunks:
            etag, text = chunks.etag, b"".join(chunks) if chunks.length <= MOST_BYTES else None
    except ObjectNotFoundError:
        return None, {}
    try:
        return etag, _parsed(text)
    except ValueError as error:
        log.warning("latest.json is replaced", extra={"fields": {"uri": str(uri), "why": str(error)}})
        return etag, {}


def _with_pace(run: LatestRun, before: LatestRun | None) -> LatestRun:
    if run.pace is not None or before is None:
        return run
    return replace(run, pace=before.pace)


def _written(kept: Mapping[str, LatestRun]) -> bytes:
    newest = sorted(kept.values(), key=lambda run: (run.ended, run.name), reverse=True)[:KEPT]
    document = {"format": FORMAT, "runs": {run.name: asdict(run) for run in newest}}
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def _parsed(text: bytes | None) -> dict[str, LatestRun]:
    """The runs in the file, by name; what is damaged is passed over.

    Raises:
        ChangedError: It has a form that this version does not know.
        ValueError: It is not what a merge wrote.
    """
    if text is None:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    found = read_json(text)
    runs = found.get("runs") if isinstance(found, dict) else None
    if not isinstance(runs, dict):
        raise ValueError("it does not name runs")  # noqa: TRY004 - of a file, not of a caller
    if type(found.get("format")) is int and found["format"] > FORMAT:
        raise ChangedError(f"it has form {found['format']}, of a later version", operation="read", target="latest.json")
    kept = {}
    for name, given in runs.items():
        try:
            run = LatestRun.from_json(given)
        except ValueError as error:
            log.warning("a run in latest.json is passed over", extra={"fields": {"name": name, "why": str(error)}})
            continue
        kept[run.name] = run
    return kept


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
