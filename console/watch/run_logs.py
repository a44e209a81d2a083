"""Which jobs' logs of a run are shown, and a line of a log for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rich.text import Text

from console.errors import RunStateError
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.watch.progress import RunProgress, was_cancelled
from console.watch.shard_counts import jobs_with_failed_items
from console.watch.steps import TOGETHER
from millrace.aws.run_jobs import children_in, described, unended
from millrace.errors import ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder
from millrace.records.commit import CommitHead
from millrace.records.files import read_commit_head
from millrace.records.folders import newest_folder
from millrace.text import visible

SHOWN_CHILDREN = 10
"""How many children's logs are shown where no shard is named."""

LEVELS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "DEBUG": "dim"}


def jobs_to_show(
    target: Target,
    found: FoundRun,
    progress: RunProgress,
    shard: int | None,
    *,
    failed: bool,
    waits: bool,
    note: Callable[[str], None],
    heads: Collection[CommitHead] = (),
) -> list[tuple[str, Mapping[str, Any]]]:
    """The jobs and children whose logs are shown, each with its step's name.

    Args:
        target: Where the run is.
        found: The run.
        progress: The look at it.
        shard: The shard whose child's log alone is wanted.
        failed: Only jobs that failed, or whose items did.
        waits: Whether a shard that is not there yet may come.
        note: Gets a line where not all are shown.
        heads: The commits that were read, where `failed`: they say whose items failed.
    """
    steps = {step.name: step.job_id for step in progress.steps if step.job_id is not None}
    jobs = {job["jobId"]: job for job in described(target.aws.batch, steps.values())}
    if shard is not None:
        return job_of_shard(target, found, progress, shard, failed=failed, waits=waits)
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    with_failed_items = jobs_with_failed_items(heads) if failed else []
    for step, job_id in steps.items():
        job = jobs.get(job_id)
        if job is None:
            continue  # Batch keeps jobs for a week or so
        if "size" in job.get("arrayProperties", {}):
            wanted = _children(target, job, note, failed=failed)
            chosen += [(step, child) for child in described(target.aws.batch, wanted)]
        else:
            chosen.append((step, job))
    if not failed:
        return chosen
    at = progress.execution.get("stopDate") if progress.status == "ABORTED" else None
    failing = [
        (step, job)
        for step, job in chosen
        if job["status"] == "FAILED" and not (at is not None and was_cancelled(job, at))
    ]
    there = {job["jobId"] for _, job in failing}
    others = [job_id for job_id in with_failed_items if job_id not in there]
    step_of = {job_id: step for step, job_id in steps.items()}
    return [
        *failing,
        *(
            (step_of.get(job["jobId"].partition(":")[0], "Migrate"), job)
            for job in described(target.aws.batch, others[:SHOWN_CHILDREN])
        ),
    ]


def job_of_shard(
    target: Target, found: FoundRun, progress: RunProgress, shard: int, *, failed: bool, waits: bool
) -> list[tuple[str, Mapping[str, Any]]]:
    """The job or child that committed a shard, else the one that claimed it, else the one whose own it is.

    Raises:
        RunStateError: There is no such shard, or Batch has forgotten the job.
    """
    steps = {step.job_id: step.name for step in progress.steps if step.job_id is not None}
    migrate = next((job_id for job_id, name in reversed(steps.items()) if name in {"Migrate", TOGETHER}), None)
    planned = progress.planned["shards"] if progress.planned else None
    chosen: list[Mapping[str, Any]] = []
    if found.folder is not None and (planned is None or shard < planned):
        who = _who_worked(target, newest_folder(found.folder, target.aws.s3), shard)
        if who is None and migrate is not None:
            jobs = list(described(target.aws.batch, [migrate]))
            size = jobs[0].get("arrayProperties", {}).get("size") if jobs else None
            who = f"{migrate}:{shard % size}" if size else migrate
        chosen = [] if who is None else list(described(target.aws.batch, [who]))
    if not chosen and not waits:
        raise RunStateError(f"it has no shard {shard}, or Batch has forgotten it", operation="logs", target="Migrate")
    return [
        (steps.get(job["jobId"].partition(":")[0], "Migrate"), job)
        for job in chosen
        if not failed or job["status"] == "FAILED"
    ]


def _who_worked(target: Target, folder: RunFolder, shard: int) -> str | None:
    """The id of the job, or child, that committed a shard, or has claimed it; None where none has."""
    try:
        return read_commit_head(folder.commit(shard), target.aws.s3).job_id or None
    except (ObjectNotFoundError, ValueError):
        pass
    try:
        claim = read_json(target.aws.s3.read(folder.claim(shard)))
        return str(claim["job"])
    except (ObjectNotFoundError, ValueError, KeyError, TypeError):
        return None


def _children(target: Target, array: Mapping[str, Any], note: Callable[[str], None], *, failed: bool) -> list[str]:
    job_id = array["jobId"]
    found = children_in(target.aws.batch, job_id, "FAILED")
    if not found and not failed:
        states = ("RUNNING", "SUCCEEDED") if unended(array) else ("SUCCEEDED",)
        found = next((some for state in states if (some := children_in(target.aws.batch, job_id, state))), [])[:1]
    if len(found) > SHOWN_CHILDREN:
        note(
            f"{len(found):,} children failed; the first {SHOWN_CHILDREN} are shown, --shard N shows the one of shard N"
        )
    return found[:SHOWN_CHILDREN]


def readable(line: str) -> Text:
    """`09:12:31 INFO  shard committed  shard=3 succeeded=12`: a job's JSON line for people, any other as it is."""
    given = parsed_line(line)
    if given is None:
        return Text(visible(line))
    level = str(given.pop("level", ""))
    time = str(given.pop("time", "")).partition("T")[2][:8]
    text = (
        Text(f"{time} " if time else "")
        .append(f"{level:<7} ", LEVELS.get(level, ""))
        .append(visible(str(given.pop("message", ""))))
    )
    for name, value in given.items():
        text_value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text.append(f"  {visible(name)}=", "dim").append(visible(text_value))
    return text


def parsed_line(line: str) -> dict[str, Any] | None:
    """The object that a line of a log is; None where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
