"""`millrace watch`."""

from __future__ import annotations

import click

from console.commands.status import with_execution
from console.commands.to_the_end import follow
from console.find.run_lookup import find_run
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options


@click.command(short_help="Follow a run until it ends.")
@run_argument
@json_option
@target_options
def watch(given: str, target: Target, *, as_json: bool) -> None:
    """Follow a run until it ends: states, shards, items, pace, failures so far, and what it is waiting for.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN). The run
    continues after Ctrl-C. For a run that has ended, the command prints its status and exits with its exit code.

    Exit codes: 0 the run succeeded, 1 something broke, 2 no such run or bad input of the run, 3 more failures than
    tolerated, 130 Ctrl-C (the run continues).
    """
    found = with_execution(find_run(target.aws, target.stack.state_machine_arn, given), target)
    follow(target, found, Terminal(), as_json=as_json)
