"""Which folder of this machine the results of a local run belong into: kept in the embedded AWS's state folder."""

from __future__ import annotations

import json
from pathlib import Path
from secrets import token_hex

FOLDER = "folders"


def remember(state: Path, run_id: str, directory: Path) -> None:
    """Record where a run's results go, for a later resume.

    Args:
        state: The state folder of the embedded AWS that it runs on.
        run_id: The run.
        directory: The destination folder, absolute.
    """
    file = state / FOLDER / f"{run_id}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{token_hex(8)}.part")
    part.write_text(json.dumps({"directory": str(directory)}))
    part.replace(file)


def remembered(state: Path, run_id: str) -> Path | None:
    """The folder that a run's results go into; None where it was not started by `millrace local run` into a folder."""
    try:
        return Path(json.loads((state / FOLDER / f"{run_id}.json").read_text())["directory"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
