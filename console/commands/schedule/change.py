"""`millrace schedule pause`, `resume` and `remove`."""

from __future__ import annotations

import click

from console.find.target import Target
from console.operations.schedules import remove, set_paused
from console.terminal import Terminal
from console.verbs import target_options

_schedule = click.argument("schedule", metavar="NAME")


@click.command
@_schedule
@target_options
def pause(target: Target, schedule: str) -> None:
    """Pause a schedule until it is resumed. A run that it started continues.

    Exit codes: 0 paused, 1 something broke, 2 no such schedule.
    """
    set_paused(target, schedule, paused=True)
    Terminal().print(f"{schedule} is paused")
    Terminal().note(f"Resume  {target.command('schedule resume', schedule)}")


@click.command
@_schedule
@target_options
def resume(target: Target, schedule: str) -> None:
    """Resume a paused schedule. The starts that it missed are not made up for.

    Exit codes: 0 resumed, 1 something broke, 2 no such schedule.
    """
    set_paused(target, schedule, paused=False)
    Terminal().print(f"{schedule} is on")


@click.command("remove")
@_schedule
@target_options
def remove_schedule(target: Target, schedule: str) -> None:
    """Delete a schedule. A run that it started continues.

    Exit codes: 0 deleted, 1 something broke, 2 no such schedule.
    """
    remove(target, schedule)
    Terminal().print(f"{schedule} is removed")
