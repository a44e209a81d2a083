"""`millrace new-workload`."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

import click

from console.checkout import Checkout
from console.terminal import Terminal
from console.verbs import debug_option

EXAMPLE = "examples/own_workload"
"""What a new workload is a copy of, under its own name: so it is tested with the project."""

TAKEN = frozenset({"millrace", "batch_jobs", "console", "test", "tests", *sys.stdlib_module_names})
"""Modules that one of such a name would hide, or be hidden by."""


@click.command("new-workload")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go; a folder that is not there yet. [default: NAME, with underscores]",
)
@debug_option
def new_workload(name: str, directory: Path | None) -> None:
    """Create your own workload.

    Writes a small working function, which counts lines, with its test and its Dockerfile. Change it as you
    need; docs/workloads/your-own.md says what it may take and give.

    \b
    Example:
      millrace new-workload find-links
      cd find_links && python -m pytest
      millrace local run --source DIR --destination DIR --workload find_links:find_links
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    module = _module(name)
    folder = Path(module) if directory is None else directory
    write(_example(), folder, module)
    terminal = Terminal()
    terminal.print(f"{folder}: the workload {module}:{module}, with its test and its Dockerfile.")
    terminal.print(f"  test it  cd {folder} && python -m pytest")
    terminal.print(f"  run it   millrace local run --workload {module}:{module} --source DIR --destination DIR")


def _example() -> Path:
    """The example's folder: the checkout's, or the one that the installed package brings."""
    packaged = Path(__file__).parents[2] / "own_workload"
    return packaged if packaged.is_dir() else Checkout.here().root / EXAMPLE


def write(example: Path, folder: Path, module: str) -> None:
    """Copy the example into a new folder, under another name.

    Args:
        example: The example's folder.
        folder: The new one.
        module: The name of the Python module and of its function: `find_links`.

    Raises:
        click.BadParameter: The folder is there already.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.BadParameter(f"{folder} already exists; nothing was written.") from None
    dashed = module.replace("_", "-")
    names = {
        "acme-line-count": f"{dashed}-workload",
        "acme.line-count": f"my.{dashed}",
        "line_count": module,
        "my-millrace": f"millrace-{dashed}",
        EXAMPLE: ".",
    }
    pattern = re.compile("|".join(map(re.escape, names)))
    for path in sorted(example.iterdir()):
        if path.is_file():
            text = pattern.sub(lambda found: names[found[0]], path.read_text(encoding="utf-8"))
            (folder / path.name.replace("line_count", module)).write_text(text, encoding="utf-8")


def _module(name: str) -> str:
    """The module of a workload: `find_links` of `find-links`, `find_links` or `FindLinks`.

    Raises:
        click.BadParameter: It cannot be a module's name.
    """
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    if len(module) > 60 or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", module):
        raise click.BadParameter(
            f"{name!r} is not a valid name for a workload: letters, digits and '-', like find-links."
        )
    if keyword.iskeyword(module) or module in TAKEN:
        raise click.BadParameter(f"{module!r} is a name of Python's or of Millrace's own; choose another.")
    return module
