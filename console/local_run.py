"""`millrace local run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.checkout import Checkout
from console.local_pipeline import run_locally
from console.run_order import RunOrder, workload_options
from console.terminal import Terminal
from console.verbs import Invocation, local_options, port_option


@click.command(context_settings={"show_default": False})
@click.option("--source", required=True, metavar="DIR|S3-URI", help="What to work: a folder of files, or s3://…")
@click.option("--destination", required=True, metavar="DIR|S3-URI", help="Where outputs and results go.")
@click.option("--workload", default="word-count", metavar="W", help="The program to run. [default: word-count]")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the workload. [several times]")
@click.option("--include", multiple=True, metavar="P", help="Work only what matches: '*.txt'. [several times]")
@click.option("--exclude", multiple=True, metavar="P", help="Leave out what matches. [several times]")
@click.option("--run-id", metavar="ID", help="Go on with an earlier run to this destination.")
@click.option("--target-bytes", type=int, metavar="N", help="Close a shard at so many bytes. [default: 268435456]")
@click.option("--max-items", type=int, metavar="N", help="Close a shard at so many items. [default: 1000]")
@click.option("--max-shards", type=int, metavar="N", help="At most so many shards. [default: 10000]")
@click.option(
    "--tolerated-failure-percent", type=float, metavar="P", help="Fail when more items failed than this. [default: 0]"
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json alone on standard output.")
@port_option
@local_options
def run(
    source: str,
    destination: str,
    workload: str,
    port: int,
    state_dir: Path | None,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    """Run the whole pipeline on this machine.

    Starts the embedded AWS when it is down and deploys this checkout on it when that is due. A folder's files are
    put into the stack's source bucket as they are, and the results are brought back into the destination folder.

    \b
    Examples:
      millrace local run --source examples/documents --destination build/demo
      millrace local run --source ~/texts --destination /tmp/words --option top=10 --include '*.txt'

    Exit codes: 0 done, 1 something broke, 2 a bad request, 3 more failures than tolerated, 130 Ctrl-C.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    invocation: Invocation = click.get_current_context().ensure_object(Invocation)
    order = RunOrder.check(source, destination, request_fields(workload, given))
    run_locally(order, Checkout.here(state_dir), port, Terminal(), as_json=as_json, again=invocation.again)


def request_fields(workload: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the execution input that the options stand for; what the user did not give is left to its default.

    Args:
        workload: The workload's name.
        given: The command's options by name, None or empty where the user gave none.

    Raises:
        InvalidRunRequest: A workload's option cannot be read.
    """
    shard = {name: given[name] for name in ("target_bytes", "max_items", "max_shards") if given[name] is not None}
    fields = {
        "workload": workload,
        "options": workload_options(workload, given["options"]),
        "include": list(given["include"]),
        "exclude": list(given["exclude"]),
        "shard": shard,
        "tolerated_failure_percent": given["tolerated_failure_percent"],
        "run_id": given["run_id"],
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}
