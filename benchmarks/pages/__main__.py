"""How long do the pages of `millrace ui` take with many runs, and on a run of many shards with many failures?

    python -m benchmarks.pages [--runs 10000] [--shards 10000] [--failures 5000] [--output FOLDER]

The real command over the real stack, on an embedded AWS of its own, asked over HTTP as a browser does, one request
after the other. The runs of the list are executions of the stack's state machine with real requests, but without their
work: while they are started, its states do nothing. The run of many shards is a real one, of `cp`, and fails for some
items. Its last item waits, so that its pages are asked while it is at work, and again when it is merged. Everything is
on this machine: requests to AWS over a network add their time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pages.filling import Size
from benchmarks.pages.measuring import measure, table
from benchmarks.results import add_output_option
from console import embedded_aws
from console.checkout import ROOT, Checkout
from console.find.aws import Aws
from console.find.target import Target
from console.local.deployment import deploy


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="how many runs the list has")
    parser.add_argument("--shards", type=int, default=10_000, help="how many shards the one run has")
    parser.add_argument("--failures", type=int, default=5_000, help="how many of its items fail")
    add_output_option(parser)
    given = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="millrace-pages-") as folder:
        state = Path(folder, "state")
        with embedded_aws.running(0, state_dir=state) as server:
            stack, _ = deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, lambda _line: None)
            target = Target(Aws.embedded(server.endpoint_url), stack.name)
            size = Size(given.runs, given.shards, given.failures)
            table(*measure(target, state, size, Path(folder, "hold"))).show(given.output)


if __name__ == "__main__":
    main()
