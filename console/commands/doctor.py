"""`millrace doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from console.doctor.checks import checks
from console.errors import DoctorError
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, target_options
from millrace.text import visible

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(short_help="Check that a run would work.")
@click.option("--shards", type=click.IntRange(1), metavar="N", help="Check the quotas for a run of this many shards.")
@json_option
@target_options
def doctor(target: Target, shards: int | None, *, as_json: bool) -> None:
    """Check that a run would work: credentials, the stack and its drift, buckets, queue, image, quotas, waiting jobs.

    It also reports undelivered notifications in the dead-letter queue, alarms that the topic's key rejects, schedules
    that would start nothing, and runs to reuse that are about to expire.

    Each check is ok, warn (a run may be slow, or not what you expect) or fail (a run would fail), with what to do.

    Exit codes: 0 nothing failed, 1 a check failed.
    """
    terminal = Terminal()
    found = []
    for check in checks(target, shards):
        found.append(check)
        if as_json:
            continue
        line = Text(f"{check.outcome:<5}", STYLES[check.outcome]).append(
            f"{check.name:<13} {visible(check.message)}", style="default"
        )
        terminal.out.print(line, soft_wrap=True)
        if check.todo:
            terminal.out.print(Text(f"{'':<19}-> {check.todo}", "bold"), soft_wrap=True)
    if as_json:
        terminal.json([asdict(check) for check in found])
    failed = [check.name for check in found if check.outcome == "fail"]
    if failed:
        raise DoctorError(f"failed: {', '.join(failed)}", operation="doctor", target=target.stack_name)
