"""What a wheel's files need before they run here: the embedded AWS's packages and the SAM CLI, in the user's cache.

A checkout has both from `make install`. Each goes into an environment of its own, from a requirement file with hashes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from console.checkout import Checkout
from console.errors import InstallationError, ToolMissingError

SHOWN_LINES = 15
"""How many of uv's last lines a failure shows."""


def install_server(checkout: Checkout, say: Callable[[str], None]) -> None:
    """Install what the embedded AWS runs on, where the project is a wheel's and it is not there yet.

    Args:
        checkout: The project.
        say: Takes a line on what is being done.

    Raises:
        InstallationError: A package cannot be had.
        ToolMissingError: uv is not installed.
    """
    if checkout.is_carried:
        install(checkout, "local_aws", "local_aws/requirements.txt", "the embedded AWS", say)
        _compile(checkout, say)


def _compile(checkout: Checkout, say: Callable[[str], None]) -> None:
    """Compile the library of word-count, unless it is there, or say that Python counts."""
    native = checkout.root / "batch_jobs" / "native"
    if any(native.glob("*.so")):
        return
    paths = os.pathsep.join([str(checkout.root), str(checkout.root / "layer/python")])
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "batch_jobs.native.compiling"],
        cwd=native, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["the compiler failed"])[-1]
        say(
            f"word-count counts in Python here, some six times slower: {last.rpartition('Error: ')[2]}. Install gcc or "
            "clang, or pip install 'millrace[compiler]', and start again"
        )


def find_uv() -> str:
    """The path of the `uv` command: beside this interpreter, or on the PATH.

    Raises:
        ToolMissingError: It is in neither place.
    """
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        raise ToolMissingError(
            "uv is not installed here; run: make install, or pip install uv", operation="find the command", target="uv"
        )
    return found


def find_sam(checkout: Checkout, say: Callable[[str], None]) -> str:
    """The path of the `sam` command: beside this interpreter or on the PATH; for a wheel, the pinned one in the cache.

    A wheel's comes with a Python that has pip, which `sam build` needs and not every environment has.

    Args:
        checkout: The project.
        say: Takes a line on what is being done.

    Raises:
        ToolMissingError: It is in neither place, and this is a checkout.
        InstallationError: It cannot be installed.
    """
    if checkout.is_carried:
        return str(install(checkout, "sam", "console/requirements-sam.txt", "the AWS SAM CLI", say) / "bin/sam")
    found = shutil.which("sam", path=str(Path(sys.executable).parent)) or shutil.which("sam")
    if found is None:
        raise ToolMissingError(
            "the AWS SAM CLI is not installed here; run: make install", operation="find the command", target="sam"
        )
    return found


def install(checkout: Checkout, name: str, requirements: str, what: str, say: Callable[[str], None]) -> Path:
    """Make an environment of the project from a requirement file, unless it is complete.

    Args:
        checkout: The project.
        name: The environment's, a folder of `.venv`.
        requirements: The file, by its path in the project.
        what: What is installed, for people.
        say: Takes a line on what is being done.

    Returns:
        The environment's folder.

    Raises:
        InstallationError: A package cannot be had.
        ToolMissingError: uv is not installed.
    """
    folder = checkout.root / ".venv" / name
    complete = folder / "installed"
    if complete.is_file():
        return folder
    say(f"installing {what} into {folder}, once")
    shutil.rmtree(folder, ignore_errors=True)
    uv = find_uv()
    # --seed: with pip, which `sam build` needs.
    _run([uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(folder)], what)
    where = ["--python", str(folder / "bin/python"), "--no-deps", "--require-hashes"]
    _run([uv, "pip", "install", "--quiet", *where, "--requirement", str(checkout.root / requirements)], what)
    complete.touch()
    return folder


def _run(command: list[str], what: str) -> None:
    """Run a step of an installation.

    Raises:
        InstallationError: It ended with another code than 0.
    """
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - ours
    if ended.returncode:
        lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()][-SHOWN_LINES:]
        raise InstallationError(
            f"uv ended with exit code {ended.returncode}; it needs an index of packages (uv's settings apply)",
            operation="install",
            target=what,
            details="\n".join(f"  {line}" for line in lines),
        )
