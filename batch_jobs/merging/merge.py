"""The merge job: add up what the commits say, write the result and the report, and mark the run as complete.

It follows the plan to its commits and the commits to their partials, never a listing. Everything that it writes
depends on them alone, so a repeated merge writes the same bytes.

A retry of failed items is merged in its own folder: the rows that count are the newest ones, the partials of all its
generations add up, as a failed item put nothing into one. Only then does the run's result.json name the new files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from batch_jobs.job import Job
from batch_jobs.merging.merge_parts import partials_to_merge
from batch_jobs.merging.merged_files import write_file, write_merged_files
from batch_jobs.merging.mirroring import mirror
from batch_jobs.merging.publishing import is_of_retry, publish
from batch_jobs.merging.report_file import NAME as PAGE
from batch_jobs.merging.report_file import page_of, write_failed_page, write_page
from millrace.cost.known_pace import record_pace
from millrace.errors import ObjectNotFoundError, StorageError, TooManyFailuresError
from millrace.layout import RunFolder, S3Uri
from millrace.records.figures import RunFigures
from millrace.records.files import is_marked, mark_of
from millrace.records.generations import Generation, RowReader, read_generations
from millrace.records.latest import LatestRun, note_latest, options_digest
from millrace.records.plan import Plan
from millrace.records.result import Result, rank_of
from millrace.records.reused import RunReuse
from millrace.report.completion import ReportWriter
from millrace.request.tolerance import Tolerance
from millrace.workload.pace import WorkedShard, fitted

log = logging.getLogger(__name__)

ALL_TOLERATED = Tolerance(100, 0)


def merge(
    folder: RunFolder,
    job: Job,
    tolerated_failure_percent: float | None = None,
    tolerated_failure_count: int | None = None,
) -> None:
    """Merge a run, or a retry of its failed items. What an earlier merge left is compared, never believed.

    Args:
        folder: The run's folder, or the retry's.
        job: The job's surroundings.
        tolerated_failure_percent: Instead of the plan's: a run that ended with too many failures can be accepted.
        tolerated_failure_count: Instead of the plan's.

    Raises:
        MissingCommitError: A shard has no commit.
        RunIdentityError: A commit belongs to another plan or code version.
        DamagedFileError: A commit or a partial is not as it was written, or they do not add up to the plan.
        TooManyFailuresError: More items failed than the run tolerates. What succeeded is merged and the report is
            written all the same, marked `_INCOMPLETE`.
    """
    plan = job.read_plan(folder)
    tolerance = Tolerance(
        plan.tolerated_failure_percent if tolerated_failure_percent is None else tolerated_failure_percent,
        plan.tolerated_failure_count if tolerated_failure_count is None else tolerated_failure_count,
    )
    published, marked = folder.file("result.json"), is_marked(folder, plan, job.s3)
    merged = _merged(folder, plan, tolerance, job)
    result = merged.result
    accepted = cache(lambda: _merged(folder, plan, ALL_TOLERATED, job))

    def outranks(rank: tuple[int, bool], there: bytes) -> bool:
        """Whether it is a later retry's result, or this one's, accepted by a merge that tolerated more."""
        if rank[0] == plan.retry:
            return accepted().result.to_json() == there
        return rank[0] > plan.retry and is_of_retry(folder, rank[0], there, job.s3)

    if result.status != "FAILED":
        write_page(folder, merged.page, job.s3)
    elif marked and outranks(rank_of(there := _read(published, job)), there):
        if rank_of(there)[0] == plan.retry:
            write_page(folder, accepted().page, job.s3)
        _remove_incomplete(folder, job)  # the merge that accepted it may have died right after it wrote the mark
        log.info("the run is already complete", extra={"fields": {"run_id": plan.run_id}})
        return
    else:
        write_failed_page(folder, merged.page, lambda: accepted().page, job.s3)
    publish(published, result, job.s3, outranks)
    if result.status == "FAILED":
        _mark_incomplete(folder, plan, outranks, job)
        counts = result.counts
        accepting = Tolerance.accepting(counts.failed, counts.items)
        codes = ", ".join(f"{code} {count}" for code, count in sorted(result.codes.items()))
        raise TooManyFailuresError(
            f"{counts.failed} of {counts.items} items failed ({codes}), {tolerance} are tolerated; "
            f"each has its row in {result.report}; what succeeded is merged, marked _INCOMPLETE. "
            f"To accept it, resume the run with --tolerated-failure-percent {accepting}",
            operation="merge",
            target=str(folder.root),
        )
    if folder.retry:
        publish(folder.base.file("result.json"), result, job.s3, outranks)
        _mark(folder.base, merged.first_plan, job)
    _mark(folder, plan, job)
    # Before the run can be another one's base: what is gone is known from this one's alone.
    mirror(folder, plan, merged.first_plan, job)
    _note(merged.latest, S3Uri.parse(plan.destination), job)
    fields = {"run_id": plan.run_id, "retry": plan.retry, "items": result.counts.items, "failed": result.counts.failed}
    log.info("merged", extra={"fields": fields})


def _read(uri: S3Uri, job: Job) -> bytes:
    """What is there; nothing where there is none."""
    try:
        return job.s3.read(uri)
    except ObjectNotFoundError:
        return b""


def _mark(folder: RunFolder, plan: Plan, job: Job) -> None:
    """Mark a result as complete. What marked it as incomplete goes then, also after a merge that died in between."""
    _write_mark(folder.file("_SUCCESS"), plan, job)
    _remove_incomplete(folder, job)


def _note(run: LatestRun, destination: S3Uri, job: Job) -> None:
    """Keep the run among the destination's last ones. It is complete, whether that succeeds or not."""
    try:
        note_latest(destination, run, job.s3)
    except StorageError as error:
        log.warning("latest.json does not name the run", extra={"fields": {"run_id": run.run_id, "why": str(error)}})


def _mark_incomplete(
    folder: RunFolder, plan: Plan, outranks: Callable[[tuple[int, bool], bytes], bool], job: Job
) -> None:
    """Mark a result that more items are missing from than the run tolerates, unless it has been accepted meanwhile.

    A merge that accepts it writes `_SUCCESS` first and then removes this mark; here the mark is written first and
    `_SUCCESS` looked for then. However the two interleave, one of them sees the other. Where it is accepted already,
    nothing is written that a reader could see in between.
    """

    def is_accepted() -> bool:
        if not is_marked(folder, plan, job.s3):
            return False
        there = _read(folder.file("result.json"), job)
        return outranks(rank_of(there), there)  # else no merge accepted it, although _SUCCESS is there

    if not is_accepted():
        _write_mark(folder.file("_INCOMPLETE"), plan, job)
        if not is_accepted():
            return
    _remove_incomplete(folder, job)


def _write_mark(uri: S3Uri, plan: Plan, job: Job) -> None:
    """Leave the plan's mark, once: two merges that find a forged one do not both replace it."""
    mark = mark_of(plan)
    while not job.s3.put_if_absent(uri, mark, content_type="text/plain"):
        try:
            with job.s3.open(uri) as chunks:
                there = b"".join(chunks)
            if there == mark:
                return
            log.warning("the mark did not name the plan; replacing it", extra={"fields": {"uri": str(uri)}})
            if job.s3.put_if_same(uri, mark, chunks.etag, content_type="text/plain"):
                return
        except ObjectNotFoundError:  # it was taken away meanwhile
            continue


def _remove_incomplete(folder: RunFolder, job: Job) -> None:
    uri = folder.file("_INCOMPLETE")
    try:
        job.s3.head(uri)
    except ObjectNotFoundError:
        return
    job.s3.delete(uri)


@dataclass(frozen=True, slots=True)
class _Merged:
    """The outcome of a merge.

    Attributes:
        result: What result.json is to say; its files are written.
        page: What report.html is to be.
        first_plan: The plan of the run itself, where this is a retry.
        latest: What is kept of the run if it is complete, its pace among it.
    """

    result: Result
    page: bytes
    first_plan: Plan
    latest: LatestRun


def _merged(folder: RunFolder, plan: Plan, tolerance: Tolerance, job: Job) -> _Merged:
    """Add up, and write all files of the result but report.html and result.json."""
    generations = read_generations(folder, plan, job.s3)
    first, last = generations[0], generations[-1]
    with TemporaryFile() as report_file, TemporaryFile() as failures_file:
        report, failures = cast("BinaryIO", report_file), cast("BinaryIO", failures_file)
        figures = RunFigures()
        rows = ReportWriter(S3Uri.parse(first.plan.source).bucket, report, failures)
        reader = RowReader(job.s3, job.settings.concurrency, job.stop.check)
        with closing(reader.shards(generations)) as shards:
            for index, found in shards:
                rows.add(
                    index,
                    [row.outcome for row in found],
                    [row.retry for row in found],
                    [row.reused_from for row in found],
                )
                figures.add_outcomes(index, (row.outcome for row in found))
        for generation in generations:
            generation.check_sum()
            figures.shards += generation.shards
            figures.taken_over += generation.taken_over
        tolerated = tolerance.allows(rows.counts.failed, rows.counts.items)
        # However many items failed: what succeeded was paid for, and may be all that is needed.
        partials = [partial for generation in generations for partial in partials_to_merge(generation, job)]
        files, result = write_merged_files(folder, last.plan, partials, job)
        failure_rows = write_file(folder, "failures.jsonl", failures, "application/x-ndjson", job)
        report_csv = write_file(folder, "report.csv", report, "text/csv; charset=utf-8", job)
    success = "SUCCEEDED_WITH_FAILURES" if rows.counts.failed else "SUCCEEDED"
    retry = {
        "number": last.plan.retry,
        "items": last.rows,
        "succeeded": last.succeeded,
        "failed": last.rows - last.succeeded,
    }
    added_up = Result(
        plan=first.plan,
        status=success if tolerated else "FAILED",
        counts=rows.counts,
        codes=rows.codes,
        files={file.name: file.uri for file in files},
        report=report_csv.uri,
        failure_rows=failure_rows.uri,
        digests={file.name: file.digest for file in (*files, failure_rows, report_csv)},
        retry=retry if last.plan.retry else None,
        worked_by=_worked_by(generations),
        result=result,
        finished_at=max(generation.finished_at or generation.plan.planned_at for generation in generations),
        page=str(folder.file(PAGE)),
        reuse=_reuse(first),
    )
    return _Merged(added_up, page_of(added_up, figures, job.s3), first.plan, _latest(added_up, figures, job))


def _latest(result: Result, figures: RunFigures, job: Job) -> LatestRun:
    plan = result.plan
    # Those of an earlier run tell of the pace as well, and of most days they are nearly all.
    whole = [shard for shard in (*figures.taken_over, *figures.shards) if shard.whole]
    # In seconds of a whole vCPU: a small job takes four times as long, and says as little in ten seconds as in two.
    speed = min(1.0, job.settings.vcpus)
    worked = (WorkedShard(shard.items, shard.bytes, shard.seconds * speed) for shard in whole)
    pace = fitted(worked, record_pace(plan.workload))
    return LatestRun(
        run_id=plan.run_id,
        retry=result.rank[0],
        source=plan.source,
        workload=plan.workload,
        options_digest=options_digest(plan.options),
        code_version=plan.code_version,
        plan_digest=plan.digest,
        started_at=plan.planned_at,
        finished_at=result.finished_at,
        pace=pace.known() if pace else None,
        over_keys=plan.over_keys,
    )


def _reuse(first: Generation) -> RunReuse | None:
    """What came of the plan's reuse."""
    planned, taken = first.plan.reuse, first.taken_over
    if planned is None:
        return None
    items, size = sum(shard.items for shard in taken), sum(shard.bytes for shard in taken)
    return RunReuse.of(planned, shards=len(taken), items=items, size=size)


def _worked_by(generations: list[Generation]) -> dict[str, dict[str, int]]:
    added: dict[str, dict[str, int]] = {}
    for generation in generations:
        for job_id, worked in generation.worked_by.items():
            mine = added.setdefault(job_id, {"shards": 0, "items": 0})
            for name, count in worked.items():
                mine[name] += count
    return dict(sorted(added.items()))
