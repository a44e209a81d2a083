"""`millrace local`: the whole pipeline on this machine, on the embedded AWS."""

from __future__ import annotations

import click

from console.verbs import Verbs, debug_option


@click.group(
    cls=Verbs,
    verbs={
        "run": "console.local_run:run",
        "up": "console.local_up:up",
        "deploy": "console.local_deploy:deploy",
        "status": "console.local_status:status",
        "ui": "console.local_ui:ui",
        "down": "console.local_down:down",
    },
)
@debug_option
def local() -> None:
    """The whole pipeline on this machine: no AWS account, no Docker."""
