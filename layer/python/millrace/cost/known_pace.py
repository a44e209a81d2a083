"""What is known of a run's pace: first by the request, the last run like it, or the record; then by its commits."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.records.commit import CommitHead
from millrace.records.latest import LatestRun, options_digest, read_latest
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace, WorkedShard, checked_pace, fitted
from millrace.workload.record import UNKNOWN_PACE
from millrace.workload.registry import workload_records

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownPace:
    """A pace, and where it is from.

    Attributes:
        pace: How fast one child of one vCPU works, or of more.
        origin: "the request", "run …", or "the workload's record".
        measured: Whether it was given or measured; a user's own workload without either has a guess.
    """

    pace: Pace
    origin: str
    measured: bool


def record_pace(workload: str) -> Pace:
    """The pace that a workload's record gives."""
    record = workload_records().get(workload)
    return record.pace if record else UNKNOWN_PACE


def record_memory(workload: str) -> int | None:
    """The most memory that a workload takes, in MiB, as its record has it; None where that is not known."""
    record = workload_records().get(workload)
    return record.memory_mib if record else None


def known_pace(request: RunRequest, s3: S3 | None, *, code_version: str | None = None) -> KnownPace:
    """The pace to estimate a run with.

    Args:
        request: The checked request.
        s3: Where the destination's last runs are read; None where the destination is not to be looked at.
        code_version: The code that is to work it, as plans name it; None where that is not known: any will do.
    """
    expected, said = record_pace(request.workload), request.pace or {}
    if s3 is not None and set(said) != set(expected.known()):
        wanted = (request.workload, options_digest(request.options))
        for run in read_latest(S3Uri.parse(request.destination), s3):
            alike = (run.workload, run.options_digest) == wanted and code_version in {None, run.code_version}
            shown = _checked(run) if alike else None
            if shown:
                origin = "the request" if said else f"run {run.run_id}"
                return KnownPace(expected.given({**shown, **said}), origin, measured=True)
    if said:
        return KnownPace(expected.given(said), "the request", measured=True)
    return KnownPace(expected, "the workload's record", measured=expected != UNKNOWN_PACE)


def pace_so_far(planned: Mapping[str, float] | None, commits: Iterable[CommitHead]) -> Pace | None:
    """The pace of a run at work: what some of its commits show, else what its plan was made with.

    Args:
        planned: The plan's pace; None where it has none.
        commits: The commits, or a sample of them.

    Returns:
        The pace of one child; None where the plan has none and the commits show too little.
    """
    expected = UNKNOWN_PACE.given(planned)
    worked = [WorkedShard(each.counts.items, each.counts.bytes, each.seconds) for each in commits]
    return fitted(worked, expected) or (expected if planned is not None else None)


def _checked(run: LatestRun) -> Mapping[str, Any] | None:
    try:
        shown = checked_pace(run.pace)
    except InvalidRunRequest as error:
        log.warning("a pace in latest.json is passed over", extra={"fields": {"run": run.run_id, "why": str(error)}})
        return None
    return shown if shown and set(shown) == set(UNKNOWN_PACE.known()) else None
