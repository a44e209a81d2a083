"""The Amazon States Language itself: asl-validator and amazon-states-language-service, from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from checks.faults import Fault, ToolError
from checks.sources import Sources

SCRIPT = Path(__file__).with_name("asl_linters.mjs")


def check(sources: Sources) -> Iterator[Fault]:
    """Every error and warning of the two linters: transitions, unknown fields, paths, intrinsic functions.

    Raises:
        ToolError: Node.js or the npm packages are missing.
    """
    node = shutil.which("node")
    if node is None:
        raise ToolError("Node.js 18 or newer is needed for the linters of the state machine: no `node` on the PATH")
    files = {str(sources.root / machine.path): machine.path for machine in sources.machines}
    done = subprocess.run([node, str(SCRIPT), *files], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  # our own script
    if done.returncode != 0:
        raise ToolError(
            f"checks/statemachine/asl_linters.mjs broke; does `npm ci` bring its packages back?\n{done.stderr.strip()}"
        )
    for fault in json.loads(done.stdout):
        yield Fault(files[fault["file"]], fault["message"])
