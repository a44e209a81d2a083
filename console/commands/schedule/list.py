"""`millrace schedule list`."""

from __future__ import annotations

import click

from console.find.target import Target
from console.operations.schedules import Schedule, schedules
from console.terminal import Terminal
from console.verbs import json_option, target_options
from millrace.text import visible


@click.command("list")
@json_option
@target_options
def list_schedules(target: Target, *, as_json: bool) -> None:
    """List the schedules of the stack, by name. Deleting the stack deletes them all.

    The schedule "stack" is that of the parameter ScheduleExpression.

    Exit codes: 0 listed (even if there are none), 1 something broke.
    """
    terminal = Terminal()
    found = list(schedules(target))
    if as_json:
        terminal.json([_document(each) for each in found])
    elif not found:
        terminal.note("There are no schedules.")
        terminal.note(f"Make one: {target.command('schedule add', 'NAME', 'cron(0 3 * * ? *)')} …")
    else:
        columns = ("schedule", "state", "when", "time zone", "workload", "source", "destination", "overlap")
        terminal.table(columns, map(_row, found), whole=("schedule", "when"))


def _row(each: Schedule) -> tuple[str, ...]:
    asked = each.request
    fields = (asked.get("workload", "word-count"), asked.get("source"), asked.get("destination"))
    state = "paused" if each.paused else "on"
    overlap = str(asked.get("overlap", "run"))
    return (each.name, state, each.expression, each.time_zone, *(visible(str(field)) for field in fields), overlap)


def _document(each: Schedule) -> dict[str, object]:
    return {
        "name": each.name,
        "paused": each.paused,
        "expression": each.expression,
        "time_zone": each.time_zone,
        "request": dict(each.request),
    }
