"""`_millrace/at-work-{digest}.json` of a destination: which execution works one source into it now.

Only starts that mind another one write it: those whose request has `"overlap": "skip"` or `"queue"`. The file changes
hands by conditional writes, so of two executions that start at once one has the turn, and the other sees it. Nobody
gives a turn back: it ends with its execution, whatever became of that, and the next one takes it over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from millrace.errors import ChangedError, DamagedFileError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.s3.verbs import S3

MOST_BYTES = 65_536
"""A file larger than this is none that Prepare Run wrote."""

TRIES = 10
"""Each lost race is one that another start has won."""

LEAST_WAIT_SECONDS, MOST_WAIT_SECONDS = 60, 1800
"""How long a queued start waits before it looks again: a tenth of what it has waited, within these.
23 days, the longest that an execution takes, are then about 1,200 looks: half of the events that a history holds."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An execution that has the turn.

    Attributes:
        run_id: Its run.
        execution_arn: The execution.
        started_at: When it was started, ISO 8601, UTC.
    """

    run_id: str
    execution_arn: str
    started_at: str


def turn_uri(destination: S3Uri, source: str, workload: str) -> S3Uri:
    """Where the turn of one source and workload is kept in a destination; no run can have this id."""
    digest = hashlib.sha256(json.dumps([source, workload]).encode()).hexdigest()[:16]
    return destination.join(f"{RESERVED_FOLDER}at-work-{digest}.json")


def take_turn(uri: S3Uri, mine: Turn, is_at_work: Callable[[str], bool], s3: S3) -> Turn | None:
    """Take the turn, unless another execution that is at work has it.

    Args:
        uri: `turn_uri`.
        mine: The execution that asks; one that has the turn already may ask again.
        is_at_work: Whether the execution of an ARN is at work.
        s3: Where the turn is kept.

    Returns:
        None where the turn is taken; else whose it is.

    Raises:
        ChangedError: Others keep taking it.
        StorageError: The file could not be read or written.
    """
    for _ in range(TRIES):
        etag, other = _read(uri, s3)
        if other is not None:
            if other.execution_arn == mine.execution_arn:
                return None
            if is_at_work(other.execution_arn):
                return other
        body = json.dumps(asdict(mine), indent=2).encode() + b"\n"
        if s3.put_if_unchanged(uri, body, etag, content_type="application/json"):
            return None
    raise ChangedError("other starts keep taking the turn", operation="take the turn", target=str(uri))


def wait_seconds(started_at: str, now: datetime) -> int:
    """How long a queued start waits before it looks again.

    Args:
        started_at: When its execution was started, ISO 8601 with an offset.
        now: The time.
    """
    waited = (now - datetime.fromisoformat(started_at)).total_seconds()
    return int(min(max(waited / 10, LEAST_WAIT_SECONDS), MOST_WAIT_SECONDS))


def _read(uri: S3Uri, s3: S3) -> tuple[str | None, Turn | None]:
    """The file's ETag and the turn in it; a damaged file gives nobody the turn.

    Raises:
        DamagedFileError: It is too large to be read.
    """
    try:
        with s3.open(uri) as chunks:
            if chunks.length > MOST_BYTES:
                raise DamagedFileError(
                    f"it has {chunks.length:,} bytes; delete it", operation="read whose turn it is", target=str(uri)
                )
            etag, text = chunks.etag, b"".join(chunks)
    except ObjectNotFoundError:
        return None, None
    try:
        found: Any = read_json(text)
        turn = Turn(**found)
        if not all(isinstance(value, str) for value in asdict(turn).values()):
            return etag, None
    except (ValueError, TypeError):
        return etag, None
    return etag, turn
