"""The merge job: add up what the commits say, write the result and the report, and mark the run as complete.

It follows the plan to its commits and the commits to their partials, never a listing. Everything that it writes
depends on them alone, so a repeated merge writes the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from batch_jobs.committing import read_commit
from batch_jobs.job import Job
from batch_jobs.outputs import HeldFiles, file_digest, temporary_file
from batch_jobs.parallel import in_order
from millrace.commit import Commit, PartialFile
from millrace.errors import (
    DamagedFileError,
    MissingCommitError,
    ObjectNotFoundError,
    RunIdentityError,
    TooManyFailuresError,
)
from millrace.layout import RunFolder, S3Uri
from millrace.plan import Plan, plan_digest
from millrace.report import ReportWriter, result_document

log = logging.getLogger(__name__)

NAMED_SHARDS = 20
"""How many missing shards an error names."""

OWN_FILES = frozenset(
    {"_SUCCESS", "failures.jsonl", "plan.json", "report.csv", "report.html", "result.json", "run.json"}
)
"""Names in the run folder that a workload's file may not have."""


def merge(folder: RunFolder, job: Job, tolerated_failure_percent: float | None = None) -> None:
    """Merge a run, unless it is merged already.

    Args:
        folder: The run's folder.
        job: The job's surroundings.
        tolerated_failure_percent: Instead of the plan's: a run that ended with too many failures can be accepted.

    Raises:
        MissingCommitError: A shard has no commit.
        RunIdentityError: A commit belongs to another plan or code version.
        DamagedFileError: A commit or a partial is not as it was written, or they do not add up to the plan.
        TooManyFailuresError: More items failed than the run tolerates; the report is written all the same.
    """
    plan = job.read_plan(folder)
    if _is_merged(folder, plan, job):
        return
    with TemporaryFile() as report, TemporaryFile() as failures:
        rows = ReportWriter(S3Uri.parse(plan.source).bucket, cast("BinaryIO", report), cast("BinaryIO", failures))
        partials, finished_at = _add_up(folder, plan, rows, job)
        failed = rows.counts.failed
        percent = plan.tolerated_failure_percent if tolerated_failure_percent is None else tolerated_failure_percent
        tolerated = failed * 100 <= percent * plan.items
        files: dict[str, str] = {}
        result: dict[str, Any] | None = None
        if tolerated:
            files, result = _write_result(folder, plan, partials, job)
        job.s3.put(folder.file("failures.jsonl"), cast("BinaryIO", failures), content_type="application/x-ndjson")
        job.s3.put(folder.file("report.csv"), cast("BinaryIO", report), content_type="text/csv; charset=utf-8")
    success = "SUCCEEDED_WITH_FAILURES" if failed else "SUCCEEDED"
    document = result_document(
        plan,
        counts=rows.counts,
        codes=rows.codes,
        status=success if tolerated else "FAILED",
        files=files,
        result=result,
        finished_at=finished_at,
    )
    job.s3.put(folder.file("result.json"), document, content_type="application/json")
    if not tolerated:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(rows.codes.items()))
        raise TooManyFailuresError(
            f"{failed} of {plan.items} items failed ({codes}), {percent:g} % are tolerated; "
            f"each has its row in {folder.file('report.csv')}",
            operation="merge",
            target=str(folder.root),
        )
    mark = f"{plan.digest}\n".encode()
    job.s3.put_if_absent(folder.file("_SUCCESS"), mark, content_type="text/plain")
    log.info("merged", extra={"fields": {"run_id": plan.run_id, "items": plan.items, "failed": failed}})


def _is_merged(folder: RunFolder, plan: Plan, job: Job) -> bool:
    uri = folder.file("_SUCCESS")
    try:
        mark = job.s3.read(uri)
    except ObjectNotFoundError:
        return False
    if mark.decode(errors="replace").strip() != plan.digest:
        raise RunIdentityError("another plan's result is marked as complete here", operation="merge", target=str(uri))
    log.info("the run is merged already", extra={"fields": {"run_id": plan.run_id}})
    return True


def _add_up(folder: RunFolder, plan: Plan, rows: ReportWriter, job: Job) -> tuple[list[PartialFile], str]:
    """Read every commit, write its rows.

    Returns:
        The partials, in shard order, and when the last shard was finished.
    """
    partials: list[PartialFile] = []
    items_digests: list[str] = []
    missing: list[int] = []
    finished_at = plan.planned_at

    def read(index: int) -> tuple[int, Commit | None]:
        job.stop.check()
        return index, read_commit(folder, index, plan, job.s3)

    with closing(in_order(read, range(plan.shards), job.settings.concurrency)) as commits:
        for index, commit in commits:
            if commit is None:
                missing.append(index)
                continue
            rows.add(index, commit.outcomes)
            items_digests.append(commit.items_digest)
            finished_at = max(finished_at, commit.finished_at)
            if commit.partial is not None:
                partials.append(commit.partial)
    if missing:
        named = ", ".join(str(index) for index in missing[:NAMED_SHARDS])
        more = f" and {len(missing) - NAMED_SHARDS} more" if len(missing) > NAMED_SHARDS else ""
        raise MissingCommitError(
            f"{len(missing)} of {plan.shards} shards have no commit: {named}{more}; run migrate for them first",
            operation="merge",
            target=str(folder.root),
        )
    digest = plan_digest(
        source=plan.source,
        destination=plan.destination,
        workload=plan.workload,
        options=plan.options,
        code_version=plan.code_version,
        items_digests=items_digests,
    )
    if digest != plan.digest or rows.counts.items != plan.items:
        raise DamagedFileError(
            f"the commits do not add up to the plan: they hold {rows.counts.items} items with digest {digest}, "
            f"the plan has {plan.items} with digest {plan.digest}",
            operation="merge",
            target=str(folder.plan),
        )
    return partials, finished_at


def _write_result(
    folder: RunFolder, plan: Plan, partials: list[PartialFile], job: Job
) -> tuple[dict[str, str], dict[str, Any]]:
    """Let the workload merge; upload its files.

    Returns:
        The files' URIs by name, and the workload's part of result.json.
    """
    workload = job.load(plan.workload, plan.options)
    with HeldFiles(_refuse) as held_files, closing(_opened(partials, job)) as opened:
        result = workload.merge(opened, held_files)
        files: dict[str, str] = {}
        for held in held_files:
            uri = folder.file(held.name)
            job.s3.put(uri, cast("BinaryIO", held.file), content_type=held.content_type)
            files[held.name] = str(uri)
    return files, result


def _opened(partials: list[PartialFile], job: Job) -> Generator[BinaryIO, None, None]:
    """The partials, each open for reading until the next is asked for; a few are fetched ahead."""
    fetched: list[BinaryIO] = []

    def fetch(partial: PartialFile) -> BinaryIO:
        job.stop.check()
        file = temporary_file()
        fetched.append(file)
        with job.s3.open(S3Uri.parse(partial.uri)) as chunks:
            for chunk in chunks:
                file.write(chunk)
        if (file.tell(), file_digest(file)) != (partial.bytes, partial.sha256):
            raise DamagedFileError("it is not the partial that was committed", operation="merge", target=partial.uri)
        file.seek(0)
        return file

    try:
        with closing(in_order(fetch, partials, job.settings.concurrency)) as files:
            for file in files:
                yield file
                file.close()
                fetched.remove(file)
    finally:
        for file in fetched:
            file.close()


def _refuse(name: str) -> str | None:
    if name in OWN_FILES or "/" in name or not name:
        return "the run folder's own files have such names"
    return None
