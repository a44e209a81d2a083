"""The report of a run as files: report.csv, failures.jsonl and report.html, as merge makes them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from console.find.aws import Aws
from console.find.run_lookup import FoundRun
from console.transfer.results import read_result
from console.watch.explanation import explain
from console.watch.run_costs import cost_until_now
from millrace.errors import DamagedFileError
from millrace.report.page.document import report_page
from millrace.report.run_page import read_for_page, unmerged
from millrace.report.run_report import RunReport, write_report

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

CONCURRENCY = 16
"""How many files of the run folder are read at once."""

ROWS = ("report.csv", "failures.jsonl")
PAGE = "report.html"
FILES = (*ROWS, PAGE)


def write_files(aws: Aws, found: FoundRun, directory: Path, queues: Sequence[str]) -> RunReport:
    """Write the report beside an older one and put it in its place when it is whole.

    Args:
        aws: Where the run is.
        found: The run.
        directory: The folder; made if missing.
        queues: The ARNs of the stack's queues, for the cost; none where no stack is known.

    Raises:
        RunStateError: The run never had a folder.
        DamagedFileError: It has no plan, or a file is not what Millrace wrote there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = [directory / f".{name}.part" for name in FILES]
    try:
        with ExitStack() as files:
            report, failures = (cast("BinaryIO", files.enter_context(part.open("wb"))) for part in parts[:-1])
            written = write_report(found.run.folder, aws.s3, report, failures, concurrency=CONCURRENCY)
        parts[-1].write_bytes(page_of(aws, found, written, ROWS, queues))
        for name, part in zip(FILES, parts, strict=True):
            part.replace(directory / name)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return written


def page_of(aws: Aws, found: FoundRun, written: RunReport, beside: Sequence[str], queues: Sequence[str]) -> bytes:
    """report.html: of the run's result where it is merged, else of what is committed, with the error that ended it.

    Args:
        aws: Where the run is.
        found: The run.
        written: Its completion report.
        beside: The files that are beside the page.
        queues: As for `write_files`.
    """
    try:
        document = read_result(aws, written.folder)
        damage = ""
    except DamagedFileError as error:
        document, damage = None, str(error)
    if document is None:
        execution = cast("DescribeExecutionOutputTypeDef", found.execution)
        # Found by its folder, a run may have no execution any more.
        status = execution["status"] if execution else ""
        failed = status not in ("", "RUNNING", "SUCCEEDED")
        document = unmerged(written, status, str(explain(aws, execution)) if failed else damage)
    read = read_for_page(aws.s3, document["files"])
    cost = cost_until_now(aws, queues, found.folder, found.execution.get("stopDate")) if queues else None
    return report_page(written.plan, document, written.figures, read, beside=beside, cost=cost)
