"""`millrace list`."""

from __future__ import annotations

from datetime import UTC
from itertools import islice

import click
from rich.text import Text

from console.find.run_lookup import executions_of
from console.find.target import Target
from console.terminal import Terminal, seconds
from console.verbs import json_option, target_options
from console.watch.display import STATUS_STYLES

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


@click.command("list", short_help="List the runs, the newest first.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many are listed.")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only runs with this status.")
@json_option
@target_options
def list_runs(target: Target, limit: int, status: str | None, *, as_json: bool) -> None:
    """List the runs, the newest first: one line per execution that Step Functions still knows (90 days).

    Exit codes: 0 listed (also where there are none), 1 something broke.
    """
    terminal = Terminal()
    chosen = {} if status is None else {"statusFilter": status.upper()}
    runs = list(islice(executions_of(target.aws, target.stack.state_machine_arn, **chosen), limit))
    if as_json:
        document = [
            {
                "name": run["name"],
                "execution_arn": run["executionArn"],
                "status": run["status"],
                "started_at": run["startDate"].astimezone(UTC).isoformat(timespec="milliseconds"),
                "ended_at": run["stopDate"].astimezone(UTC).isoformat(timespec="milliseconds")
                if run.get("stopDate")
                else None,
                "redrive_count": run.get("redriveCount", 0),
            }
            for run in runs
        ]
        terminal.json(document)
        return
    if not runs:
        terminal.note("There are no runs yet." if status is None else f"No run is {status.upper()}.")
        return
    rows = [
        (
            run["name"],
            Text(run["status"], STATUS_STYLES.get(run["status"], "red")),
            f"{run['startDate'].astimezone():%Y-%m-%d %H:%M:%S}",
            seconds((run["stopDate"] - run["startDate"]).total_seconds()) if run.get("stopDate") else "",
            f"{run['redriveCount']:,}" if run.get("redriveCount") else "",
        )
        for run in runs
    ]
    columns = ("run", "status", "started", "took", "redriven")
    shown = len(columns) if any(run.get("redriveCount") for run in runs) else len(columns) - 1
    terminal.table(columns[:shown], [row[:shown] for row in rows], right=columns[3:], whole=columns[:2])
