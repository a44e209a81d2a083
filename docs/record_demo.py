"""Record docs/screenshots/demo.svg, the moving picture of the README: `make picture`. Takes a minute or two.

A real run: the README's function over logs that this script makes, on an embedded AWS of this script's own. The
command runs in a terminal; pyte says what that shows at each moment, and each moment that differs is a picture of an
animated SVG, which has no script and loads nothing. Whoever asked for less motion sees the last one.
"""

from __future__ import annotations

import fcntl
import gzip
import html
import json
import os
import pty
import random
import re
import select
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
MILLRACE = str(ROOT / ".venv/bin/millrace")
PICTURE = ROOT / "docs/screenshots/demo.svg"
COLUMNS, LINES = 92, 26
COMMAND = "millrace local run --source logs --destination result --code jobs/latency.py"
CELL, LINE, EDGE = 8.4, 18, 14
"""A character's width, a line's height, and the room around them, in pixels."""
LONGEST_PAUSE, LAST = 1.2, 6.0
"""Seconds: waiting is cut to the first; the last moment stays for the second before it all begins anew."""
COLOURS = {
    "default": "#d6d9dc", "black": "#5b6268", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#ffffff",
}  # fmt: skip
END = "\nFiles "
"""How the part of the command's output begins that is not shown."""
SHORTEST = 0.12
"""Seconds that a moment stays at least; a shorter one is left out."""
Row = tuple[tuple[str, str, bool], ...]
"""A line of the terminal: texts with their colour, and whether they are bold."""
Moment = tuple[float, tuple[Row, ...]]


def logs(folder: Path) -> None:
    """Write four days of requests as JSON lines, packed by gzip, always the same."""
    chance = random.Random(7)  # noqa: S311 - no secret
    for day in range(1, 5):
        lines = [json.dumps({"path": "/cart", "seconds": round(chance.lognormvariate(-1, 1), 3)}) for _ in range(10000)]
        (folder / f"2026-03-{day:02}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def rows(screen: pyte.Screen) -> tuple[Row, ...]:
    """What a terminal shows, without the empty lines at its end."""
    shown: list[Row] = []
    for number in range(screen.lines):
        cells = [screen.buffer[number][column] for column in range(screen.columns)]
        parts: list[tuple[str, str, bool]] = []
        for cell in cells:
            colour = (
                cell.fg
                if cell.fg in COLOURS
                else ("default" if not re.fullmatch("[0-9a-f]{6}", cell.fg) else f"#{cell.fg}")
            )
            if parts and parts[-1][1:] == (colour, cell.bold):
                parts[-1] = (parts[-1][0] + cell.data, colour, cell.bold)
            else:
                parts.append((cell.data, colour, cell.bold))
        while parts and not parts[-1][0].strip():
            parts.pop()
        shown.append(tuple(parts))
    while shown and not shown[-1]:
        shown.pop()
    return tuple(shown)


def typed(screen: pyte.Screen, stream: pyte.Stream, at: float, line: str) -> Iterator[Moment]:
    """A line as somebody types it, five letters at a time."""
    stream.feed("\x1b[32m$\x1b[0m ")
    for begin in range(0, len(line), 5):
        stream.feed(line[begin : begin + 5])
        at += 0.12
        yield at, rows(screen)
    stream.feed("\r\n")


def ran(screen: pyte.Screen, stream: pyte.Stream, at: float, command: list[str], folder: Path) -> Iterator[Moment]:
    """What a command shows in a terminal, from moment to moment; pauses are cut."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    last, ended = time.monotonic(), False
    while True:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            written = os.read(ours, 1 << 16)
        except OSError:  # the terminal is closed: the command has ended
            break
        now = time.monotonic()
        at += min(now - last, LONGEST_PAUSE)
        last = now
        # What is told behind the result, addresses and keys of an embedded AWS that is gone, is no use to a reader.
        told, found, _ = written.decode(errors="replace").partition(END)
        if not ended:
            stream.feed(told)
            yield at, rows(screen)
        ended = ended or bool(found)
    os.close(ours)
    if process.wait(30):
        raise SystemExit(f"{command} ended with exit code {process.returncode}")


def animated(moments: list[Moment]) -> str:
    """The moments as one SVG that goes through them again and again."""
    ids: dict[Row, str] = {}
    pictures: list[str] = []
    styles: list[str] = []
    length = moments[-1][0] + LAST
    for number, (at, shown) in enumerate(moments):
        until = moments[number + 1][0] if number + 1 < len(moments) else length
        begin, end = at / length * 100, until / length * 100
        begin = 0 if number == 0 else begin
        hidden = "" if number == 0 else "0%{opacity:0}"
        after = "" if number + 1 == len(moments) else f"{end:.2f}%{{opacity:0}}"
        styles.append(f"@keyframes m{number}{{{hidden}{begin:.2f}%{{opacity:1}}{after}}}")
        uses = "".join(
            f'<use href="#{ids.setdefault(row, f"r{len(ids)}")}" y="{EDGE + 24 + LINE * (place + 1)}"/>'
            for place, row in enumerate(shown)
            if row
        )
        pictures.append(f'<g class="m" style="animation-name:m{number}">{uses}</g>')
    width, height = COLUMNS * CELL + 2 * EDGE, LINES * LINE + 2 * EDGE + 24
    dots = "".join(f'<circle cx="{20 + 18 * n}" cy="18" r="5" fill="#5b6268"/>' for n in range(3))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img"><title>{html.escape(COMMAND)}, and what it shows</title><style>'
        f"text{{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}"
        f".m{{opacity:0;animation:{length:.2f}s step-end infinite}}"
        f"{''.join(styles)}"
        "@media (prefers-reduced-motion:reduce){.m{animation:none}.m:last-of-type{opacity:1}}"
        f'</style><rect width="100%" height="100%" rx="8" fill="#1f2328"/>{dots}'
        f"<defs>{''.join(_row(row, name) for row, name in ids.items())}</defs>{''.join(pictures)}</svg>\n"
    )


def _row(row: Row, name: str) -> str:
    column, parts = 0, []
    for text, colour, bold in row:
        # Blanks at an end would be dropped by some programs, and the rest be stretched over their room.
        word = text.strip()
        if word:
            begin = column + len(text) - len(text.lstrip())
            weight = ' font-weight="bold"' if bold else ""
            parts.append(
                f'<tspan x="{EDGE + begin * CELL:.1f}" textLength="{len(word) * CELL:.1f}" '
                f'fill="{COLOURS.get(colour, colour)}"{weight}>{html.escape(word)}</tspan>'
            )
        column += len(text)
    return f'<text id="{name}" xml:space="preserve">{"".join(parts)}</text>'


def main() -> None:
    """Make the folders, run, and draw."""
    function = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    if function is None:
        raise SystemExit("README.md shows no function")
    with tempfile.TemporaryDirectory() as scratch:
        folder, state = Path(scratch, "demo"), ["--state-dir", f"{scratch}/state"]
        for place in ("logs", "jobs"):
            (folder / place).mkdir(parents=True)
        logs(folder / "logs")
        (folder / "jobs/latency.py").write_text(function[1], "utf-8")
        # What the first run on a machine does besides, the deployment and the download of wheels, is left out.
        warm = [MILLRACE, *COMMAND.split()[1:], "--port", "0", *state]
        subprocess.run(warm, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own command
        screen = pyte.Screen(COLUMNS, LINES)
        stream = pyte.Stream(screen)
        try:
            moments = list(typed(screen, stream, 0.5, "cat jobs/latency.py"))
            moments += ran(screen, stream, moments[-1][0] + 0.4, ["cat", "jobs/latency.py"], folder)
            moments += typed(screen, stream, moments[-1][0] + 2.5, COMMAND)
            command = [MILLRACE, *COMMAND.split()[1:], *state]
            moments += ran(screen, stream, moments[-1][0] + 0.4, command, folder)
        finally:
            subprocess.run([MILLRACE, "local", "down", *state], check=True, capture_output=True)  # noqa: S603
    kept = [
        (at, shown)
        for number, (at, shown) in enumerate(moments)
        if number + 1 == len(moments) or moments[number + 1][0] - at >= SHORTEST
    ]
    changed = [each for number, each in enumerate(kept) if number == 0 or each[1] != kept[number - 1][1]]
    PICTURE.write_text(animated(changed), "utf-8")


if __name__ == "__main__":
    main()
