"""docs/tutorial.md, as a reader would follow it: every command as it is written, in one shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from console.checkout import ROOT
from console.embedded_aws import exports
from tests.workflow.conftest import LocalStack

pytestmark = pytest.mark.long

TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
DOWN = "millrace local down"
"""The one command that is left out: the embedded AWS is this session's, and others need it."""


def test_every_command_of_the_tutorial(stack: LocalStack, tmp_path: Path) -> None:
    """In an empty folder, each block does what the text below it shows."""
    blocks = re.findall(r"```(sh|text)\n(.*?)```", TUTORIAL, re.DOTALL)
    commands = "\n".join(text for kind, text in blocks if kind == "sh")
    assert commands.count(DOWN) == 1
    # The checkout's own embedded AWS may be at work for somebody: `millrace local` means this session's.
    wrapper = tmp_path / "bin/millrace"
    wrapper.parent.mkdir()
    console = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m console"
    state = shlex.quote(str(stack.state_dir))
    local = f'verb="$2"; shift 2; exec env {console} local "$verb" --state-dir {state} "$@"'
    wrapper.write_text(f'#!/bin/sh\nif [ "$1" = local ]; then {local}; fi\nexec env {console} "$@"\n')
    wrapper.chmod(0o755)
    (wrapper.parent / "python").symlink_to(sys.executable)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MILLRACE_"))}
    environment |= dict(pair.split("=", 1) for pair in exports(stack.endpoint_url).split(" "))
    places = {"SOURCE": stack.stack.source_bucket, "RESULT": stack.stack.result_bucket}
    path = f"{wrapper.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-e", "-c", commands.replace(DOWN, "true")],
        cwd=work,
        env={**environment, **places, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = [_unsized(line) for kind, text in blocks if kind == "text" for line in text.splitlines()]
    said = _unsized(done.stdout + done.stderr)
    assert [line for line in shown if line not in said] == []
    assert (work / "tutorial/report/report.html").is_file()


def _unsized(text: str) -> str:
    """Without sizes: how small gzip makes a log is the library's business."""
    return re.sub(r" \([0-9.]+ k?B\)", "", text)
