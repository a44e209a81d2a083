"""The installed program `millrace`, and what `millrace.run` calls: they make the package `console` importable.

Nothing else belongs here: what the program does is in `console/__main__.py`.

A wheel holds `console` inside `millrace/_launch/`, because an index has another project of that name; a checkout has it
at its root.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.client import Start, StartedRun

HERE = Path(__file__).resolve().parent


def main() -> None:
    """The entry point of the program `millrace`."""
    sys.path.insert(0, _root())
    from console.__main__ import main as run  # noqa: PLC0415 - only now it can be found

    run()


def start(asked: Start) -> StartedRun:
    """The entry point `start` of the group `millrace.client`: start a run.

    Args:
        asked: What `millrace.run` was given.
    """
    # Only for this import: the program that calls has modules of its own, and the checkout has a folder `tests`.
    sys.path.insert(0, _root())
    try:
        from console.client import start as begin  # noqa: PLC0415 - as above
    finally:
        sys.path.remove(_root())
    return begin(asked)


def _root() -> str:
    """The folder that holds `console`."""
    return str(HERE if (HERE / "console").is_dir() else HERE.parents[1])
