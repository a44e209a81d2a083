"""`millrace report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from console.find.run_lookup import find_run
from console.find.target import Target
from console.terminal import Terminal
from console.transfer.report_files import FILES, PAGE, write_files
from console.verbs import json_option, run_argument, target_options
from millrace.errors import ErrorCode
from millrace.report.run_report import RunReport
from millrace.text import bytes_text, plural, visible


@click.command(short_help="Build the report of any run: rows, failures, a page.")
@run_argument
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go. [default: a folder named as the run]",
)
@click.option("--open", "open_page", is_flag=True, help="Show report.html in the browser.")
@json_option
@target_options
def report(given: str, target: Target, output: Path | None, *, open_page: bool, as_json: bool) -> None:
    """Build report.csv, failures.jsonl and report.html of any run, also of a failed, cancelled or running one.

    There is a row per item, from the plan and the existing commits; items whose shard has no commit are NOT_RUN. For
    a merged run, the first two are the files that merge wrote; report.html links them. Nothing is written to S3.

    RUN is a run id or the beginning of one, an ARN, a run folder's URI (s3://…/_millrace/…/), or - for the latest run
    (also without RUN).

    Exit codes: 0 the report is there, 1 something broke, 2 no such run, or a run that failed before it had a plan.
    """
    terminal = Terminal()
    # A run folder's URI needs no stack: the files are enough.
    by_folder = given.startswith("s3:")
    found = find_run(target.aws, "" if by_folder else target.stack.state_machine_arn, given)
    run = found.run
    directory = output or Path(run.run_id)
    written = write_files(target.aws, found, directory, [] if by_folder else target.stack.job_queue_arns)
    if open_page:
        click.launch(str(directory / PAGE))
    if found.execution.get("status") == "RUNNING":
        terminal.warn("the run is still running: what is not done yet is NOT_RUN in this report")
    if as_json:
        terminal.json(_document(written, directory))
        return
    counts, plan = written.counts, written.plan
    not_run = written.codes.get(ErrorCode.NOT_RUN, 0)
    terminal.print(
        f"{plural(counts.items, 'item')} of {visible(plan.source)} in {plural(plan.shards, 'shard')}: "
        f"{counts.succeeded:,} succeeded ({bytes_text(counts.bytes)}), "
        f"{counts.failed - not_run:,} failed, {not_run:,} not run",
        style="bold" if not counts.failed else "bold yellow",
    )
    terminal.print(f"{written.shards_done:,} of {plural(plan.shards, 'shard')} are committed")
    if written.retries:
        terminal.print(f"Failed items were rerun {plural(written.retries, 'time')}")
    if written.codes:
        terminal.print("")
        rows = sorted(written.codes.items(), key=lambda each: (-each[1], each[0]))
        terminal.table(("error", "items"), [(code, f"{count:,}") for code, count in rows], right=("items",))
    terminal.print("")
    for name in FILES:
        terminal.print(f"{name.ljust(15)} {directory / name}")
    if not_run:
        terminal.note(f"Run what is missing: {target.command('resume', run.run_id)}")


def _document(written: RunReport, directory: Path) -> dict[str, object]:
    return {
        "run_id": written.plan.run_id,
        "counts": {**asdict(written.counts), "not_run": written.codes.get(ErrorCode.NOT_RUN, 0)},
        "failures": dict(sorted(written.codes.items())),
        "shards": {"total": written.plan.shards, "committed": written.shards_done},
        "retries": written.retries,
        "files": {name: str(directory / name) for name in FILES},
    }
