"""A run as JSON: the one shape that `status`, `run`, `watch` and `resume` print with --json. docs/cli.md has it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from console.errors import RunFailedError
from console.find.run_lookup import FoundRun
from console.watch.progress import RunProgress
from console.watch.steps import Step
from millrace.request.labels import labels_of


def run_document(found: FoundRun, progress: RunProgress, failure: RunFailedError | None) -> dict[str, Any]:
    """The run at one moment.

    Args:
        found: The run.
        progress: The look at it.
        failure: Its error where it failed.
    """
    execution = progress.execution
    name, tags = labels_of(found.request)
    children = next((step.children for step in progress.steps if step.children is not None), None)
    return {
        "run_id": found.run_id,
        "execution_arn": execution["executionArn"],
        "status": progress.status,
        "started_at": _time(execution["startDate"]),
        "ended_at": _time(execution.get("stopDate")),
        "redrive_count": execution.get("redriveCount", 0),
        "name": name,
        "tags": tags,
        **{each: found.request.get(each) for each in ("source", "destination", "workload", "keys")},
        "run_folder": None if found.folder is None else str(found.folder.root),
        "steps": [_step(step) for step in progress.steps],
        "planned": None if progress.planned is None else {name: progress.planned[name] for name in PLANNED},
        "children": None if children is None else asdict(children),
        "committed": _committed(progress),
        "reuse": None if progress.reuse is None else dict(progress.reuse),
        "waiting": progress.waiting or None,
        "error": None
        if failure is None
        else {
            "state": failure.state or None,
            "error": failure.error,
            "message": failure.message,
            "exit_code": failure.exit_code,
        },
        "output": json.loads(execution["output"]) if execution.get("output") else None,
    }


PLANNED = ("shards", "items", "bytes")


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "status": step.status,
        "started_at": _time(step.started),
        "ended_at": _time(step.ended),
        "job_id": step.job_id,
    }


def _committed(progress: RunProgress) -> dict[str, Any] | None:
    work = progress.work
    if work is None:
        return None
    return {
        "shards": work.committed.shards,
        **asdict(work.committed.counts),
        "reused_shards": work.committed.reused,
        "unread_shards": work.committed.unread,
        "items_per_second": work.items_per_second,
        "bytes_per_second": work.bytes_per_second,
        "seconds_left": None if progress.ended else work.seconds_left,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
