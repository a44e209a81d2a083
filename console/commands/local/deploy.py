"""`millrace local deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from console.checkout import Checkout
from console.deploy.parameters import parameters_of
from console.local.stack import bring_up, bring_up_to_date
from console.terminal import Terminal
from console.verbs import local_options, port_option


@click.command(short_help="Deploy this checkout to the embedded AWS if it changed.")
@click.option(
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template; it stays until the embedded AWS is stopped. [several times]",
)
@port_option
@local_options
def deploy(given: tuple[str, ...], port: int | None, state_dir: Path | None) -> None:
    """Deploy this checkout to the embedded AWS with the real sam build and sam deploy, if it changed.

    \b
    Example:
      millrace local deploy --parameter MaxvCpus=4 --parameter 'WorkloadEnvironment={"A": "b"}'
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    parameters = parameters_of(given)
    server = bring_up(checkout, port, terminal)
    stack = bring_up_to_date(checkout, server, terminal, parameters)
    terminal.note(f"The stack {stack.name} is up to date. Its outputs:")
    width = max(map(len, stack.outputs))
    for name, value in sorted(stack.outputs.items()):
        terminal.print(f"{name.ljust(width)}  {value}")
