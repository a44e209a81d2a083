"""How long does `millrace local run` take over many small files, and what is it made of?

    python -m benchmarks.local_run [--files 20000] [--beside CHECKOUT] [--rounds 1]

A generated folder is run through each checkout's own embedded AWS, deployed before: this one and, round by round in
turn, another one (a worktree of an earlier commit, installed), so that before and after are measured side by side.
Beside the elapsed time stand the CPU seconds of the command, the server, the jobs and the functions: on a machine that
is busy with other things, those alone can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.results import Table, add_output_option

HERE = Path(__file__).resolve().parent.parent
STEPS = {
    "files in S3, s": r"new or changed.*\(([^)]+)\)",
    "plan, s": r"(?:Prepare Run|Plan): done after (.+)",
    "migrate, s": r"Migrate: done.* after (.+)",
    "merge, s": r"Merge: done after (.+)",
}
"""What the command says of its steps."""
PROCESSES = ("server", "jobs", "functions")
_TICKS = os.sysconf("SC_CLK_TCK")
_UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 0.001}


def make_files(folder: Path, count: int) -> int:
    """Write files of 200 words each, in fifty folders; returns their bytes."""
    chance = random.Random(1)  # noqa: S311 - the same texts each time
    words = [f"w{number:05d}" for number in range(5000)]
    total = 0
    for number in range(count):
        path = folder / f"d{number % 50:02d}" / f"f{number:06d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        total += path.write_text(" ".join(chance.choices(words, k=200)))
    return total


def seconds_of(words: str) -> float:
    """`1 min 18 s` in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+) (h|min|ms|s)\b", words))


def cpu_seconds(server: int) -> dict[str, float]:
    """What the server and the processes that it started have used, those included that have ended.

    Args:
        server: Its process.

    Returns:
        CPU seconds by the kind of process: "server", "jobs" and "functions", with the templates that they are copies
        of.
    """
    found: dict[int, tuple[int, float, float, bytes]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            line = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        own, ended = (sum(map(int, fields[first : first + 2])) / _TICKS for first in (11, 13))
        found[int(stat.parent.name)] = int(fields[1]), own, ended, line
    used = dict.fromkeys(PROCESSES, 0.0)
    started = {server} | {pid for pid, (parent, *_) in found.items() if parent == server}
    for pid, (parent, own, ended, line) in found.items():
        if pid == server:
            used["server"] += own
            used["functions"] += ended
        elif parent in started:
            used["jobs" if b"batch_jobs" in line else "functions"] += own + ended
    return used


def millrace(checkout: Path, *arguments: str) -> str:
    """Run a checkout's command; returns what it said on standard error."""
    ended = subprocess.run(  # noqa: S603 - the project's own command
        [str(checkout / ".venv/bin/millrace"), "local", *arguments],
        cwd=checkout, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return ended.stderr


def measure(checkout: Path, source: Path, destination: Path, state: Path) -> dict[str, str]:
    """One run on an embedded AWS that is up: a row of the table."""
    server = json.loads((state / "server.json").read_text())["pid"]
    before, own = cpu_seconds(server), resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    arguments = ("run", "--source", str(source), "--destination", str(destination), "--state-dir", str(state))
    said = millrace(checkout, *arguments)
    taken = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    used = cpu_seconds(server)
    steps = {name: re.search(pattern, said) for name, pattern in STEPS.items()}
    return {
        "elapsed, s": f"{taken:.1f}",
        **{name: f"{seconds_of(found[1]):.1f}" if found else "" for name, found in steps.items()},
        "CPU s, command": f"{command:.1f}",
        **{f"CPU s, {kind}": f"{used[kind] - before[kind]:.1f}" for kind in PROCESSES},
        "CPU s, all": f"{command + sum(used.values()) - sum(before.values()):.1f}",
    }


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--beside", type=Path, help="another checkout, installed")
    parser.add_argument("--rounds", type=int, default=1)
    add_output_option(parser)
    given = parser.parse_args()
    checkouts = {"before": given.beside.resolve(), "after": HERE} if given.beside else {"this checkout": HERE}
    columns = ["what", "elapsed, s", *STEPS, *(f"CPU s, {kind}" for kind in ("command", *PROCESSES, "all"))]
    table = Table("local-run", columns)
    with tempfile.TemporaryDirectory(prefix="local-run-") as folder:
        source = Path(folder) / "source"
        total = make_files(source, given.files)
        states = {name: Path(folder) / f"state-{name}" for name in checkouts}
        try:
            for name, checkout in checkouts.items():
                millrace(checkout, "deploy", "--port", "0", "--state-dir", str(states[name]))
            for number in range(given.rounds):
                for name, checkout in checkouts.items():
                    row = measure(checkout, source, Path(folder) / f"{name}-{number}", states[name])
                    table.add({"what": name, **row})
        finally:
            for name, checkout in checkouts.items():
                millrace(checkout, "down", "--state-dir", str(states[name]))
    load = os.getloadavg()[1]
    table.note(f"Measured at a load of {load:.1f} on {os.cpu_count()} cores.")
    table.note(f"{given.files:,} files, {total / 1e6:.0f} MB; the first run over each folder.")
    table.show(given.output)


if __name__ == "__main__":
    main()
