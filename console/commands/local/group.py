"""`millrace local`: the whole pipeline on this machine, on the embedded AWS."""

from __future__ import annotations

import click

from console.verbs import Verbs, debug_option


@click.group(
    cls=Verbs,
    verbs={
        "run": "console.commands.local.run:run",
        "up": "console.commands.local.up:up",
        "deploy": "console.commands.local.deploy:deploy",
        "status": "console.commands.local.status:status",
        "ui": "console.commands.local.ui:ui",
        "down": "console.commands.local.down:down",
    },
)
@debug_option
def local() -> None:
    """The whole pipeline on this machine: no AWS account, no Docker."""
