"""`millrace start`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.find.target import Target
from console.operations.request_options import start_options
from console.operations.starting import begin
from console.terminal import Terminal
from console.verbs import json_option, target_options


@click.command
@start_options
@json_option
@target_options
def start(target: Target, input_file: Path | None, given_id: str | None, *, as_json: bool, **given: Any) -> None:
    """Start a run and do not wait for it; print its id.

    \b
    Examples:
      millrace start --source s3://letters/in/ --destination s3://results/out/ --include '*.txt'
      millrace start --input examples/movies.json --local

    Exit codes: 0 started, 1 something broke, 2 a bad request.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    found = begin(target, input_file, given_id, given)
    if as_json:
        folder = str(found.run.folder.root)
        Terminal().json({"run_id": found.run_id, "execution_arn": found.execution_arn, "run_folder": folder})
        return
    Terminal().print(found.run_id)
    Terminal().note(f"Watch it: {target.command('watch', found.run_id)}")
