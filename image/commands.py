"""Running docker and git."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class ImageError(Exception):
    """Raised when a command or a stack failed; its text says which, why, and what to do."""


def answer(command: Sequence[str], given: str | None = None) -> str:
    """What a command writes to its standard output, without the blanks around it.

    Args:
        command: The program and its arguments.
        given: Its standard input; None: nothing.

    Raises:
        ImageError: It is not installed, or failed.
    """
    done = _run(command, given, quiet=True)
    if done.returncode:
        raise ImageError(f"`{' '.join(command[:3])}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def show(command: Sequence[str]) -> None:
    """Run a command whose output is for the user.

    Raises:
        ImageError: It is not installed, or failed.
    """
    done = _run(command, None, quiet=False)
    if done.returncode:
        raise ImageError(f"`{' '.join(command[:2])}` ended with {done.returncode}; its output is above")


def _run(command: Sequence[str], given: str | None, *, quiet: bool) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0])
    if program is None:
        raise ImageError(f"{command[0]} is not installed here")
    return subprocess.run(  # noqa: S603 - our own commands, without a shell
        [program, *command[1:]], cwd=ROOT, input=given or "", capture_output=quiet, text=True, check=False
    )
