"""Which kinds of runs have written outputs at a destination, and when last: those that failed among them.

The outputs of what is kept of a base lie at the destination. A run of other options, or by other code, replaces them as
it works the same items, and `latest.json` names it only once it has succeeded. So each child notes its kind of run
before its first shard, and every minute while it works: `_millrace/writing-{source}-{kind}.json`, one for each source
and workload, options and code. Who looks for a base lists those of its source and workload.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from millrace.errors import StorageError
from millrace.json_text import read_json
from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.records.latest import options_digest
from millrace.records.plan import Plan
from millrace.s3.verbs import S3

NOTED_SECONDS = 60.0
"""A child notes its kind so often: so long after its note it may have written."""

MOST_BYTES = 65_536
"""A file larger than this is none that a child wrote."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A run that has written outputs.

    Attributes:
        run_id: Its id.
        at: When it last said so, ISO 8601, UTC.
    """

    run_id: str
    at: str


def note_writing(plan: Plan, at: str, s3: S3) -> None:
    """Say that a run writes outputs from now on.

    Args:
        plan: Its plan.
        at: Now, ISO 8601, UTC.
        s3: Where.

    Raises:
        StorageError: It could not be written.
    """
    body = json.dumps(asdict(Writer(plan.run_id, at))).encode() + b"\n"
    s3.put(_uri(plan), body, content_type="application/json")


def replaced_by(plan: Plan, s3: S3) -> str:
    """Which run of the same source and workload, but another kind, may have written outputs since a run was planned.

    Args:
        plan: The run's plan.
        s3: Where its destination is read.

    Returns:
        Its id, or the URI of a file that does not say; empty where there is none.

    Raises:
        StorageError: The destination cannot be listed.
    """
    mine = _uri(plan)
    planned_at = datetime.fromisoformat(plan.planned_at)
    for found in s3.list(mine.bucket, mine.key.rpartition("-")[0] + "-"):
        uri = S3Uri(mine.bucket, found.key)
        if uri == mine:
            continue
        try:
            writer = Writer(**read_json(s3.read_small(uri, MOST_BYTES) or b""))
            last = datetime.fromisoformat(writer.at) + timedelta(seconds=NOTED_SECONDS)
            if last > planned_at:
                return f"run {writer.run_id}"
        except (StorageError, ValueError, TypeError):  # as good as one of today
            return str(uri)
    return ""


def _uri(plan: Plan) -> S3Uri:
    about = _digest(plan.source, plan.workload)
    kind = _digest(options_digest(plan.options), plan.code_version)
    return S3Uri.parse(plan.destination).join(f"{RESERVED_FOLDER}writing-{about}-{kind}.json")


def _digest(*words: str) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]
