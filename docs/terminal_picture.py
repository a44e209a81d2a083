"""A command in a terminal of its own, and a picture of what it shows, as rich draws a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

COLUMNS, LINES = 110, 40

_ERASED = re.compile(r"(?:\r?\x1b\[2K(?:\x1b\[1A)?)+")
"""How rich's live display goes back to its first line: what was shown since then is shown anew."""

_CONTROL = re.compile(r"\x1b\[\?25[hl]")
"""Hiding and showing the cursor."""


def recorded(command: Sequence[str], cwd: Path, enough: Callable[[str], bool], seconds: float = 60) -> str:
    """Run a command in a terminal, press Ctrl-C once it shows enough, and return the screen it leaves behind.

    Args:
        command: The command.
        cwd: Where it runs.
        enough: Asked with the screen whenever that has changed.
        seconds: How long it may take until then.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        cwd=cwd,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is started here
    )
    os.close(theirs)
    written, pressed, until = b"", False, time.monotonic() + seconds
    while time.monotonic() < until:
        if not select.select([ours], [], [], 0.5)[0]:
            continue
        try:
            written += os.read(ours, 1 << 16)
        except OSError:  # the terminal is closed: the command has ended
            break
        if not pressed and enough(screen(written)):
            process.send_signal(signal.SIGINT)
            pressed = True
    os.close(ours)
    process.wait(30)
    return screen(written)


def screen(written: bytes) -> str:
    """What a terminal shows after these bytes, with its colours as they were written."""
    text = _CONTROL.sub("", written.decode(errors="replace")).replace("\r\n", "\n")
    kept = ""
    for frame in _ERASED.split(text):
        # A frame is drawn over the one before it, which began behind the last line that stays.
        kept = frame if frame.strip() else kept
    return kept


def window(title: str, shown: str) -> str:
    """A page with a terminal window that shows this; nothing is loaded by it."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(shown.rstrip()), soft_wrap=True)
        drawn = console.export_svg(title=title, theme=DIMMED_MONOKAI)
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("Fira Code", "monospace")
    return f'<!doctype html><meta charset="utf-8"><style>body {{ margin: 0 }} svg {{ display: block }}</style>{drawn}'
