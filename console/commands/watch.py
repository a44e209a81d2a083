"""`millrace watch`."""

from __future__ import annotations

import click

from console.commands.to_the_end import follow, follow_several
from console.find.run_lookup import LATEST, find_run, with_execution
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, target_options


@click.command(short_help="Follow a run until it ends.")
@click.argument("given", metavar="[RUN]...", nargs=-1)
@json_option
@target_options
def watch(given: tuple[str, ...], target: Target, *, as_json: bool) -> None:
    """Follow a run until it ends: states, shards, items, pace, failures so far, and what it is waiting for.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN). The run
    continues after Ctrl-C. For a run that has ended, the command prints its status and exits with its exit code.
    For several runs, it shows a line each; the exit code is that of the first of them, in their order, that failed.

    Exit codes: 0 the run succeeded, 1 something broke, 2 no such run or bad input of the run, 3 more failures than
    tolerated, 130 Ctrl-C (the run continues).
    """
    machine = target.stack.state_machine_arn
    runs = [with_execution(find_run(target.aws, machine, each), target) for each in given or (LATEST,)]
    runs = list({found.execution_arn: found for found in runs}.values())
    if len(runs) == 1:
        follow(target, runs[0], Terminal(), as_json=as_json)
    else:
        follow_several(target, runs, Terminal(), as_json=as_json)
