"""The installed program `millrace`: it makes the package `console` importable, and calls it.

Nothing else belongs here: what the program does is in `console/__main__.py`.

A wheel holds `console` inside `millrace/_launch/`, because an index has another project of that name; a checkout has it
at its root.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """The entry point of the program `millrace`."""
    root = HERE if (HERE / "console").is_dir() else HERE.parents[1]
    sys.path.insert(0, str(root))
    from console.__main__ import main as run  # noqa: PLC0415 - only now it can be found

    run()
