"""`millrace local status`."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from console.checkout import Checkout
from console.embedded_aws import EmbeddedAws, find
from console.errors import StackNotFoundError
from console.find.aws import Aws
from console.find.stack import LOCAL_STACK, Stack
from console.terminal import Terminal
from console.verbs import json_option, local_options
from millrace.text import duration_text

LAST_RUNS = 10
"""How many executions are listed, the newest first."""


@click.command(short_help="Show whether the embedded AWS is up, and its runs.")
@json_option
@local_options
def status(state_dir: Path | None, *, as_json: bool) -> None:
    """Say whether the embedded AWS is up, what is deployed on it, and what ran.

    Exit codes: 0 shown (also when it is down), 1 something broke.
    """
    terminal, checkout = Terminal(), Checkout.here(state_dir)
    server = find(checkout.state)
    if as_json:
        terminal.json(_document(server))
        return
    if server is None:
        terminal.print("The embedded AWS is down. Start it: millrace local up")
        return
    terminal.print(f"Embedded AWS  {server.endpoint_url} (process {server.pid}, log {server.log_file})")
    aws = Aws.embedded(server.endpoint_url)
    try:
        stack = Stack.find(aws, LOCAL_STACK)
    except StackNotFoundError:
        terminal.print("Stack         not deployed. Deploy it: millrace local deploy")
        return
    terminal.print(f"Stack         {stack.name}")
    terminal.print(f"Source        {', '.join(stack.sources)}")
    terminal.print(f"Results       s3://{stack.result_bucket}/")
    _print_runs(aws, stack, terminal)


def _document(server: EmbeddedAws | None) -> dict[str, Any]:
    """What is up, as JSON; null for what is not there."""
    document: dict[str, Any] = dict.fromkeys(
        ("endpoint_url", "pid", "log_file", "stack", "source", "sources", "results")
    )
    if server is None:
        return document
    document |= {"endpoint_url": server.endpoint_url, "pid": server.pid, "log_file": server.log_file}
    with suppress(StackNotFoundError):
        stack = Stack.find(Aws.embedded(server.endpoint_url), LOCAL_STACK)
        places = {"source": stack.sources[0], "sources": list(stack.sources), "results": f"s3://{stack.result_bucket}/"}
        document |= {"stack": stack.name, **places}
    return document


def _print_runs(aws: Aws, stack: Stack, terminal: Terminal) -> None:
    pages = aws.step_functions.get_paginator("list_executions").paginate(stateMachineArn=stack.state_machine_arn)
    runs = list(islice((run for page in pages for run in page["executions"]), LAST_RUNS))
    if not runs:
        terminal.print("Runs          none yet")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    terminal.print("")
    for name in ("run", "status", "started", "took"):
        table.add_column(name)
    styles = {"SUCCEEDED": "green", "RUNNING": "cyan"}
    for run in runs:
        ended = run.get("stopDate")
        table.add_row(
            Text(run["name"]),
            Text(run["status"], styles.get(run["status"], "red")),
            f"{run['startDate'].astimezone():%Y-%m-%d %H:%M:%S}",
            duration_text((ended - run["startDate"]).total_seconds()) if ended else "",
        )
    terminal.out.print(table)
