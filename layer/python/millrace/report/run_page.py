"""report.html of any run: of its result where there is one, else of what is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from millrace.errors import ErrorCode
from millrace.layout import S3Uri
from millrace.report.run_report import RunReport
from millrace.s3.verbs import S3

PAGE_FILE_BYTES = 4 * 2**20
"""The largest file of a workload's that the page shows something of."""


def read_for_page(s3: S3, files: Mapping[str, str]) -> Callable[[str], bytes | None]:
    """What the page reads the run's merged files with.

    Args:
        s3: Where they are.
        files: Their URIs by name, as result.json has them.
    """

    def read(name: str) -> bytes | None:
        if name not in files:
            return None
        uri = S3Uri.parse(files[name])
        return s3.read(uri) if s3.head(uri).size <= PAGE_FILE_BYTES else None

    return read


def unmerged(report: RunReport, status: str, why: str = "") -> dict[str, Any]:
    """What result.json would say of a run that has none, as far as it is known.

    Args:
        report: Its completion report.
        status: The execution's: RUNNING, ABORTED, TIMED_OUT, FAILED; empty where it is no longer known.
        why: The error that ended it.
    """
    not_run = report.codes.get(ErrorCode.NOT_RUN, 0)
    finished = report.figures.finished
    return {
        "status": {"FAILED": "BROKEN", "SUCCEEDED": "INCOMPLETE", "": "INCOMPLETE"}.get(status, status),
        "why": why,
        "counts": {
            **asdict(report.counts),
            "failed": report.counts.failed - not_run,
            "shards": report.plan.shards,
            "not_run": not_run,
            "committed": report.shards_done,
        },
        "files": {},
        "finished_at": datetime.fromtimestamp(finished, UTC).isoformat() if finished else None,
    }
