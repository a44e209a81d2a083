"""How long is it from Enter to StartExecution where the command packs and sends the user's code, and what takes it?

    python -m benchmarks.code_start [--rounds 3]

The real `millrace start --code` over a folder whose packages make a zip of some 20 MB, on an embedded AWS of its own,
which is on this machine: an upload over a network adds its time. uv's cache has the wheels, as after the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Table, add_output_option

REQUIREMENTS = "datasketches\n"
"""With numpy, which it needs, some 20 MB packed."""
MODULE = (
    "from millrace import workload\n\n\n@workload()\ndef size(item):\n    return {{'bytes': item.size + {number}}}\n"
)
PHASES = {
    "files": ("console.packing.package", "packed_files"),
    "uv: versions and wheels": ("console.packing.package", "install"),
    "zip": ("console.packing.package", "reproducible_zip"),
    "upload": ("console.operations.request_options", "upload"),
    "StartExecution": ("console.operations.starting", "start"),
}
"""What is timed of the command, by the name that its caller knows it by."""
GOAL_SECONDS = 5


def child(report: Path, arguments: list[str]) -> None:
    """The command in this process, with a clock around each of its phases; everything else is start and requests."""
    phases = dict.fromkeys(PHASES, 0.0)
    for phase, (module, name) in PHASES.items():
        __import__(module)
        setattr(sys.modules[module], name, _timed(getattr(sys.modules[module], name), phase, phases))
    from console.__main__ import main as run  # noqa: PLC0415 - the clock of the imports has run until here

    try:
        run(arguments)
    finally:
        report.write_text(json.dumps(phases), "utf-8")


def _timed(function: Callable[..., Any], phase: str, phases: dict[str, float]) -> Callable[..., Any]:
    def called(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            phases[phase] += time.perf_counter() - began

    return called


def measure(report: Path, arguments: list[str]) -> dict[str, float]:
    """Start a run: seconds by phase, with `elapsed`, and `CPU` of the command and of what it starts."""
    before, began = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.code_start", "--child", str(report), *arguments]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - this file
    elapsed, after = time.perf_counter() - began, os.times()
    phases: dict[str, float] = json.loads(report.read_text("utf-8"))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    rest = elapsed - sum(phases.values())
    return {**phases, "Python's start, imports, requests": rest, "elapsed": elapsed, "CPU": cpu}


def main() -> None:
    """Print a table in Markdown."""
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    add_output_option(parser)
    given = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {"the code changed": [], "nothing changed": []}
    with tempfile.TemporaryDirectory(prefix="code-start-") as scratch:
        folder, state = Path(scratch, "code"), Path(scratch, "state")
        folder.mkdir()
        (folder / "requirements.txt").write_text(REQUIREMENTS)
        local = [sys.executable, "-m", "console", "local"]
        asked = ["--state-dir", str(state)]
        try:
            subprocess.run([*local, "deploy", "--port", "0", *asked], check=True, capture_output=True)  # noqa: S603
            said = subprocess.run([*local, "status", "--json", *asked], check=True, capture_output=True)  # noqa: S603
            places = json.loads(said.stdout)
            source, results = (places[name].rstrip("/") for name in ("source", "results"))
            start = ["start", "--source", f"{source}/none/", "--destination", f"{results}/out/", *asked]
            for number in range(given.rounds + 1):
                (folder / "sizes.py").write_text(MODULE.format(number=number))
                for row in rows.values():
                    measured = measure(Path(scratch, "phases"), [*start, "--code", str(folder / "sizes.py")])
                    if number:  # the first brings the wheels into uv's cache
                        row.append(measured)
            command = [sys.executable, "-m", "console", "package", str(folder), "--output", f"{scratch}/code.zip"]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the project's own command
            megabytes = Path(scratch, "code.zip").stat().st_size / 1e6
        finally:
            subprocess.run([*local, "down", *asked], check=True, capture_output=True)  # noqa: S603 - likewise
    # Other work on the machine only adds to it: the quickest round says most.
    least = {what: min(row, key=lambda each: each["elapsed"]) for what, row in rows.items()}
    changed = least["the code changed"]
    table = Table("code-start", ["phase, s", *least])
    for phase in changed:
        table.add({"phase, s": phase, **{what: f"{each[phase]:.2f}" for what, each in least.items()}})
    load = f"{os.cpu_count()} cores, on average {os.getloadavg()[0]:.0f} processes at work"
    table.note(f"A zip of {megabytes:.1f} MB; the quickest of {given.rounds} rounds; {load}.")
    table.goal("From Enter to StartExecution, 20 MB of code, s", changed["elapsed"], at_most=GOAL_SECONDS)
    table.show(given.output)


if __name__ == "__main__":
    main()
