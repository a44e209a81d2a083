"""`millrace package`."""

from __future__ import annotations

from pathlib import Path

import click

from console.operations.request_options import code_machine_options
from console.packing.dependencies import IMAGE_PYTHON, JobMachine
from console.packing.package import pack, workload_of
from console.terminal import Terminal
from console.verbs import debug_option


@click.command("package")
@click.argument("code", metavar="PATH[:NAME]")
@click.option("--workload", metavar="MODULE:NAME", help="The workload, where PATH has several.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the zip goes. [default: NAME.zip]",
)
@code_machine_options
@click.option("--here", is_flag=True, help="For the embedded AWS on this machine, with this Python.")
@debug_option
def package(
    code: str,
    workload: str | None,
    output: Path | None,
    code_python: str | None,
    code_platform: str | None,
    *,
    here: bool,
) -> None:
    """Pack a workload of your own and what it needs into a zip, as `millrace run --code` does.

    PATH is a module or a folder; its folder is packed, with the wheels that its requirements.txt, or the module's
    inline metadata, asks for. Prints the zip's SHA-256. `millrace run --code FILE.zip` runs it.

    \b
    Examples:
      millrace package examples/log_analysis/slow_requests.py:latencies
      millrace package examples/scoring --output build/scoring.zip --code-platform aarch64

    Exit codes: 0 packed, 1 something broke, 2 it cannot be packed.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    usual = JobMachine.this() if here else JobMachine(IMAGE_PYTHON, "x86_64")
    path = output or Path(f"{workload_of(code, workload).rpartition(':')[2]}.zip")
    made = pack(code, workload, usual.chosen(code_python, code_platform), output=path)
    path.write_bytes(made.body)
    terminal = Terminal()
    terminal.note(f"{path}: {made.described}")
    terminal.print(made.sha256)
