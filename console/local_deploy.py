"""`millrace local deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from console.checkout import Checkout
from console.local_stack import bring_up, bring_up_to_date
from console.terminal import Terminal
from console.verbs import local_options, port_option


@click.command(short_help="Deploy this checkout on the embedded AWS, where it is due.")
@port_option
@local_options
def deploy(port: int | None, state_dir: Path | None) -> None:
    """Deploy this checkout on the embedded AWS, with the real sam build and sam deploy, where it is due."""
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    server = bring_up(checkout, port, terminal)
    stack = bring_up_to_date(checkout, server, terminal)
    terminal.note(f"The stack {stack.name} is up to date. Its outputs:")
    width = max(map(len, stack.outputs))
    for name, value in sorted(stack.outputs.items()):
        terminal.print(f"{name.ljust(width)}  {value}")
