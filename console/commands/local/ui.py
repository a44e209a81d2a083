"""`millrace local ui`: `millrace ui` for the embedded AWS of this checkout."""

from __future__ import annotations

import click

from console.commands.ui import serve
from console.find.target import Target
from console.verbs import local_target_options, page_options


@click.command(short_help="Show the runs on a page in your browser: `millrace ui` for the embedded AWS.")
@page_options
@local_target_options
def ui(target: Target, port: int, *, open_page: bool, read_only: bool) -> None:
    """Show the runs of the embedded AWS of this checkout on a page in your browser: `millrace ui --local`.

    --profile, --region, --stack or --config-env select AWS, as for `millrace ui`.

    Exit codes: 0 ended by Ctrl-C, 1 something broke.
    """
    serve(target, port, open_page=open_page, read_only=read_only)
