"""`millrace local up`."""

from __future__ import annotations

from pathlib import Path

import click

from console.checkout import Checkout
from console.embedded_aws import exports, find
from console.errors import ServerRunsError
from console.local.stack import bring_up
from console.terminal import Terminal
from console.verbs import local_options, port_option


@click.command
@click.option("--enforce-iam", is_flag=True, help="Check IAM policies; jobs and functions act under their own roles.")
@port_option
@local_options
def up(port: int | None, state_dir: Path | None, *, enforce_iam: bool) -> None:
    """Start the embedded AWS of this checkout."""
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    server = find(checkout.state)
    if server is not None and enforce_iam:
        raise ServerRunsError(
            "it is up already, and --enforce-iam is for its start; run `millrace local down` first",
            operation="start the embedded AWS",
            target=server.endpoint_url,
        )
    if server is not None:
        terminal.note(f"The embedded AWS is already up at {server.endpoint_url}.")
    else:
        server = bring_up(checkout, port, terminal, enforce_iam=enforce_iam)
    terminal.print(f"export {exports(server.endpoint_url)}")
