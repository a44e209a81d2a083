"""`millrace local up`."""

from __future__ import annotations

from pathlib import Path

import click

from console.checkout import Checkout
from console.embedded_aws import exports, find
from console.local.stack import bring_up
from console.terminal import Terminal
from console.verbs import local_options, port_option


@click.command
@port_option
@local_options
def up(port: int | None, state_dir: Path | None) -> None:
    """Start the embedded AWS of this checkout."""
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    server = find(checkout.state)
    if server is not None:
        terminal.note(f"The embedded AWS is already up at {server.endpoint_url}.")
    else:
        server = bring_up(checkout, port, terminal)
    terminal.print(f"export {exports(server.endpoint_url)}")
