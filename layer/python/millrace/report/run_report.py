"""The completion report of any run, whatever became of it: of what is committed, and what was not run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from millrace.layout import MAX_RETRIES, RunFolder, S3Uri
from millrace.records.figures import RunFigures
from millrace.records.files import plan_if_there, read_plan
from millrace.records.generations import RowReader, read_generations
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.report.completion import ReportWriter
from millrace.s3.verbs import S3


@dataclass(frozen=True)
class RunReport:
    """What a completion report holds.

    Attributes:
        plan: The run's first plan.
        counts: The rows, counted: an item that was not run is a failed one.
        codes: The failed rows by error code, NOT_RUN among them.
        shards_done: How many shards of the plan have their commit.
        retries: How many retries of failed items were planned.
        folder: The folder of the newest retry, else the run's: where merge writes, or would.
        figures: What the commits add up to, for the page.
    """

    plan: Plan
    counts: Counts
    codes: dict[str, int]
    shards_done: int
    retries: int
    folder: RunFolder
    figures: RunFigures


def write_report(
    folder: RunFolder, s3: S3, report: BinaryIO, failures: BinaryIO, *, concurrency: int = 16
) -> RunReport:
    """Write the completion report of a run that is complete, has failed, or is under way.

    It is made from the plan, the commits that are there and the shard files of those that are not, and only some
    shards are in memory at once. Of a merged run it has the bytes that merge wrote.

    Args:
        folder: The run's folder.
        s3: Where to read.
        report: Takes report.csv.
        failures: Takes failures.jsonl.
        concurrency: How many commits are fetched ahead.

    Raises:
        DamagedFileError: There is no plan, or a file is not what Millrace wrote there.
        RunIdentityError: A commit or a retry belongs to another plan.
        StorageError: S3 failed.
    """
    generations = read_generations(*_newest(folder.base, s3), s3)
    rows = RowReader(s3, concurrency, incomplete=True)
    plan = generations[0].plan
    figures = RunFigures()
    writer = ReportWriter(S3Uri.parse(plan.source).bucket, report, failures)
    with closing(rows.shards(generations)) as shards:
        for index, found in shards:
            writer.add(index, [row.outcome for row in found], [row.retry for row in found])
            figures.add_outcomes(index, (row.outcome for row in found))
    for generation in generations:
        figures.shards += generation.shards
        figures.taken_over += generation.taken_over
    return RunReport(
        plan,
        writer.counts,
        dict(writer.codes),
        shards_done=generations[0].commits,
        retries=len(generations) - 1,
        folder=generations[-1].folder,
        figures=figures,
    )


def _newest(folder: RunFolder, s3: S3) -> tuple[RunFolder, Plan]:
    """The newest retry that was planned, or the run itself."""
    newest = folder, read_plan(folder, s3)
    for number in range(1, MAX_RETRIES + 1):
        place = folder.of_retry(number)
        plan = plan_if_there(place, s3)
        if plan is None:
            break
        newest = place, plan
    return newest
