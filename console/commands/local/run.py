"""`millrace local run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.checkout import Checkout
from console.local.pipeline import run_locally
from console.operations.request_options import allow_empty_option, request_fields, request_options, send_code
from console.run_order import RunOrder
from console.terminal import Terminal
from console.verbs import Invocation, local_options, port_option


@click.command(context_settings={"show_default": False})
@click.option(
    "--source", required=True, metavar="DIR|S3-URI", help="The objects to process: a folder of files, or s3://…"
)
@click.option("--destination", required=True, metavar="DIR|S3-URI", help="Where outputs and results go.")
@request_options
@click.option("--run-id", metavar="ID", help="Resume an earlier run to this destination.")
@allow_empty_option
@click.option("--json", "as_json", is_flag=True, help="Print result.json alone on standard output.")
@port_option
@local_options
def run(
    source: str,
    destination: str,
    workload: str,
    port: int | None,
    state_dir: Path | None,
    *,
    allow_empty: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run the whole pipeline on this machine.

    Starts the embedded AWS if it is down, and deploys this checkout to it if the checkout changed. A folder's files are
    read in place, as objects of the stack's source bucket, and the results are downloaded into the destination
    folder. Only files that a local run wrote there are overwritten.

    \b
    Examples:
      millrace local run --source examples/documents --destination build/demo
      millrace local run --source ~/texts --destination /tmp/words --option top=10 --include '*.txt'
      millrace local run --source ~/logs --destination /tmp/slow --code jobs.py:slow_requests

    Exit codes: 0 done, 1 something broke, 2 a bad request or nothing to work, 3 more failures than tolerated, 130
    Ctrl-C.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    invocation: Invocation = click.get_current_context().ensure_object(Invocation)
    terminal = Terminal()
    order = RunOrder.check(source, destination, request_fields({"workload": workload, **given}))
    run_locally(
        order,
        Checkout.here(state_dir),
        port,
        terminal,
        as_json=as_json,
        allow_empty=allow_empty,
        again=invocation.again,
        send=lambda aws, stack: send_code(given, aws, stack, terminal, workload),
    )
