"""`millrace list`."""

from __future__ import annotations

from datetime import UTC
from itertools import islice

import click
from rich.text import Text

from console.file_names import shown
from console.find.run_lookup import executions_of, uploaded_keys
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

    For a run that uploads started, the first key and the number of keys are shown.

    Exit codes: 0 listed (even if there are none), 1 something broke.
    """
    terminal = Terminal()
    chosen = {} if status is None else {"statusFilter": status.upper()}
    runs = list(islice(executions_of(target.aws, target.stack.state_machine_arn, **chosen), limit))
    keys = uploaded_keys(target.aws, runs)
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
                "first_key": keys[run["executionArn"]][0] if run["executionArn"] in keys else None,
                "keys": len(keys[run["executionArn"]]) if run["executionArn"] in keys else None,
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
            _first_of(keys.get(run["executionArn"], [])),
        )
        for run in runs
    ]
    columns = ("run", "status", "started", "took", "redriven", "uploads")
    # The last two are there where they say something.
    there = [number for number in range(len(columns)) if number < len(columns) - 2 or any(row[number] for row in rows)]
    terminal.table(
        [columns[number] for number in there],
        [[row[number] for number in there] for row in rows],
        right=columns[3:5],
        whole=columns[:2],
    )


def _first_of(keys: list[str]) -> str:
    """The first of the keys, and how many more there are."""
    if not keys:
        return ""
    return shown(keys[0]) + (f" and {len(keys) - 1:,} more" if len(keys) > 1 else "")
