"""`millrace list`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from console.find.run_filter import FAILED, RunFacts, RunFilter, RunIndex, matching
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import filter_options, json_option, target_options
from console.watch.display import STATUS_STYLES
from millrace.request.labels import tags_text
from millrace.text import duration_text, visible

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


@click.command("list", short_help="List the runs, the newest first.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many are listed.")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only runs with this status.")
@click.option("--failed", is_flag=True, help="Only runs that failed or timed out.")
@filter_options
@json_option
@target_options
def list_runs(target: Target, asked: RunFilter, limit: int, status: str | None, *, failed: bool, as_json: bool) -> None:
    """List the runs, the newest first: one line per execution that Step Functions still knows (90 days).

    For a run that uploads started, the first key and the number of keys are shown.

    \b
    Examples:
      millrace list --failed --since 2d
      millrace list --workload word-count --tag team=search

    Exit codes: 0 listed (even if there are none), 1 something broke, 2 a wrong --since.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if failed and status is not None:
        raise click.UsageError("--failed and --status name states both; give one.")
    terminal = Terminal()
    asked = replace(asked, statuses=FAILED if failed else () if status is None else (status.upper(),))
    runs = list(islice(matching(target.aws, target.stack.state_machine_arn, asked, RunIndex(target.aws)), limit))
    if as_json:
        terminal.json([_document(execution, facts) for execution, facts in runs])
        return
    if not runs:
        terminal.note("There are no runs yet." if asked == RunFilter() else "No run is like this.")
        return
    columns = ("run", "status", "started", "took", "redriven", "name", "workload", "tags", "uploads")
    rows = [_row(execution, facts) for execution, facts in runs]
    # Those from the fifth on are there where they say something.
    there = [number for number in range(len(columns)) if number < 4 or any(row[number] for row in rows)]
    terminal.table(
        [columns[number] for number in there],
        [[row[number] for number in there] for row in rows],
        right=columns[3:5],
        whole=columns[:2],
    )


def _row(run: ExecutionListItemTypeDef, facts: RunFacts) -> tuple[str | Text, ...]:
    more = f" and {facts.keys - 1:,} more" if facts.keys > 1 else ""
    return (
        run["name"],
        Text(run["status"], STATUS_STYLES.get(run["status"], "red")),
        f"{run['startDate'].astimezone():%Y-%m-%d %H:%M:%S}",
        duration_text((run["stopDate"] - run["startDate"]).total_seconds()) if run.get("stopDate") else "",
        f"{run['redriveCount']:,}" if run.get("redriveCount") else "",
        visible(facts.name),
        visible(facts.workload),
        visible(tags_text(facts.tags)),
        visible(facts.first_key) + more if facts.keys else "",
    )


def _document(run: ExecutionListItemTypeDef, facts: RunFacts) -> dict[str, Any]:
    return {
        "name": run["name"],
        "execution_arn": run["executionArn"],
        "status": run["status"],
        "started_at": run["startDate"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "ended_at": run["stopDate"].astimezone(UTC).isoformat(timespec="milliseconds") if run.get("stopDate") else None,
        "redrive_count": run.get("redriveCount", 0),
        "run_id": facts.run_id,
        "run_name": facts.name or None,
        "tags": dict(facts.tags),
        "workload": facts.workload or None,
        "source": facts.source or None,
        "started_by": facts.started_by(run["name"]),
        "first_key": facts.first_key if facts.keys else None,
        "keys": facts.keys or None,
    }
