"""`millrace schedule add`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.find.target import Target
from console.operations.request_options import schedule_options
from console.operations.schedules import add
from console.operations.starting import asked_request
from console.terminal import Terminal
from console.verbs import target_options


@click.command("add", short_help="Create a schedule.")
@click.argument("schedule", metavar="NAME")
@click.argument("expression", metavar="EXPRESSION")
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="The time zone of a cron(…).")
@click.option("--paused", is_flag=True, help="Create it paused.")
@schedule_options
@target_options
def add_schedule(
    target: Target,
    schedule: str,
    expression: str,
    time_zone: str,
    input_file: Path | None,
    *,
    paused: bool,
    **given: Any,
) -> None:
    """Create a schedule that starts a run with this request. The request is checked now, as `start` checks it.

    EXPRESSION is rate(12 hours), rate(1 day), or cron(minutes hours day month weekday year). The runs have the
    schedule's name unless you give them another, and are skipped while the last one is at work unless you say
    --overlap.

    \b
    Examples:
      millrace schedule add nightly 'cron(0 3 * * ? *)' --time-zone Europe/Berlin \\
        --source s3://letters/in/ --destination s3://results/nightly/ --reuse latest
      millrace schedule add hourly 'rate(1 hour)' --input request.json --overlap queue

    Exit codes: 0 made, 1 something broke, 2 a bad request or schedule.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    request, named = asked_request(input_file, given)
    made = add(target, schedule, expression, time_zone, request, given, named, paused=paused)
    terminal = Terminal()
    terminal.print(f"{made.name}: {made.expression}, {made.time_zone}{', paused' if made.paused else ''}")
    change = "resume" if made.paused else "pause"
    terminal.note(f"{change.capitalize():<7} {target.command(f'schedule {change}', made.name)}")
    terminal.note(f"Remove  {target.command('schedule remove', made.name)}")
