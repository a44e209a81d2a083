"""`millrace local down`."""

from __future__ import annotations

from pathlib import Path

import click

from console.checkout import Checkout
from console.embedded_aws import find, stop
from console.local.deployment import alone
from console.terminal import Terminal
from console.verbs import local_options


@click.command
@local_options
def down(state_dir: Path | None) -> None:
    """Stop the embedded AWS. Everything in it is gone then: buckets, runs, logs."""
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    server = find(checkout.state)
    if server is None:
        terminal.note("The embedded AWS is not up.")
        return
    with alone(checkout.state):
        stop(checkout.state)
        checkout.deployed.unlink(missing_ok=True)
    terminal.note(
        f"The embedded AWS at {server.endpoint_url} is down. Everything in it is gone: buckets, runs and logs. "
        "Files on this machine stay."
    )
