"""`millrace run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.commands.to_the_end import follow
from console.find.target import Target
from console.operations.request_options import allow_empty_option, start_options
from console.operations.starting import begin
from console.terminal import Terminal
from console.verbs import json_option, target_options


@click.command
@start_options
@allow_empty_option
@json_option
@target_options
def run(
    target: Target, input_file: Path | None, given_id: str | None, *, allow_empty: bool, as_json: bool, **given: Any
) -> None:
    """Start a run and watch it until it ends. Ctrl-C leaves it running.

    \b
    Examples:
      millrace run --source s3://letters/in/ --destination s3://results/out/ --include '*.txt'
      millrace run --source s3://logs/2026/ --destination s3://results/slow/ --code jobs.py:slow_requests
      millrace run --input examples/movies.json --local

    Exit codes: 0 done, 1 something broke, 2 a bad request or nothing to work, 3 more failures than tolerated, 130
    Ctrl-C (the run continues in the background).
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    found = begin(target, input_file, given_id, given)
    terminal = Terminal()
    terminal.note(f"Run {found.run_id}")
    follow(target, found, terminal, as_json=as_json, allow_empty=allow_empty)
