"""Command blocks of the documents, run as a reader would: each page's in one shell, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from console.checkout import ROOT
from console.embedded_aws import exports
from tests.workflow.conftest import LocalStack

DOWN = "millrace local down"
"""The one command that is left out: the embedded AWS is the test session's, and others need it."""
EXAMPLES = "examples"
"""The one folder of the checkout that pages use."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """A page's blocks of commands (`sh`), and of what they show (`text`), in their order."""
    return re.findall(r"^```(sh|text)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def follow(page: Path, stack: LocalStack, folder: Path) -> Path:
    """Run a page's commands, and compare what they print with what the page shows of it.

    Args:
        page: The page.
        stack: The session's embedded AWS, which `millrace local` means.
        folder: A folder of the test's own.

    Returns:
        The folder that the commands ran in.

    Raises:
        AssertionError: A command failed, or a line that the page shows was not printed.
    """
    commands = "\n".join(text for kind, text in blocks(page) if kind == "sh")
    # The checkout's own embedded AWS may be at work for somebody: `millrace local` means this session's.
    wrapper, state = folder / "bin/millrace", shlex.quote(str(stack.state_dir))
    wrapper.parent.mkdir()
    console = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m console"
    local = f'verb="$2"; shift 2; exec env {console} local "$verb" --state-dir {state} "$@"'
    any_verb = f'for word; do shift; [ "$word" = --local ] && word=--state-dir={state}; set -- "$@" "$word"; done'
    wrapper.write_text(f'#!/bin/sh\nif [ "$1" = local ]; then {local}; fi\n{any_verb}\nexec env {console} "$@"\n')
    wrapper.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MILLRACE_"))}
    environment |= dict(pair.split("=", 1) for pair in exports(stack.endpoint_url).split(" "))
    places = {"SOURCE": stack.stack.source_bucket, "RESULT": stack.stack.result_bucket}
    path = f"{wrapper.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    work = folder / "work"
    work.mkdir()
    (work / EXAMPLES).symlink_to(ROOT / EXAMPLES)
    done = subprocess.run(
        ["bash", "-e", "-c", commands.replace(DOWN, "true")],
        cwd=work,
        env={**environment, **places, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = _unsized(done.stdout + done.stderr)
    shown = [_unsized(line) for kind, text in blocks(page) if kind == "text" for line in text.splitlines()]
    lines = said.splitlines()
    missing = [line for line in shown if not any(_is_in(line, printed) for printed in lines)]
    assert missing == [], said
    return work


def _is_in(shown: str, printed: str) -> bool:
    """Whether a line was printed; `…` in it stands for what a page leaves out."""
    return re.search(".*".join(map(re.escape, shown.split("…"))), printed) is not None


def _unsized(text: str) -> str:
    """Without sizes and times: how small gzip makes a log, and how long a program takes, is their own business."""
    return re.sub(r" \([0-9.]+ k?B\)|, seconds [0-9.]+", "", text)
