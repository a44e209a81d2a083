"""`millrace schedule`: runs by the clock."""

from __future__ import annotations

import click

from console.verbs import Verbs, debug_option


@click.group(
    cls=Verbs,
    verbs={
        "list": "console.commands.schedule.list:list_schedules",
        "add": "console.commands.schedule.add:add_schedule",
        "pause": "console.commands.schedule.change:pause",
        "resume": "console.commands.schedule.change:resume",
        "remove": "console.commands.schedule.change:remove_schedule",
    },
)
@debug_option
def schedule() -> None:
    """Start runs on a schedule: any number of schedules, each with a request of its own."""
