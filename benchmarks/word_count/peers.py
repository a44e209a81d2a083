"""How fast is word-count beside what people would use instead? Each way counts the same file, round by round.

    python -m benchmarks.word_count.peers [--megabytes 64] [--rounds 3] [--kinds english multilingual] [--texts FOLDER]

Figures are CPU seconds, child processes included, each way in a process of its own; as a ratio to `re.findall` in the
same round; the order of the ways alternates, and the median over the rounds counts. All are held to one core. What is
not installed is left out; so is the compiled peer without a C compiler. That one has word-count's own rules, and its
counts are compared with word-count's, word by word; the others split at ASCII and know less: what they would need to
be exact is not in their figure. `cat` and `wc -w` are the limits. Texts are made with a fixed seed, or are the files of
a folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import Table, add_output_option
from benchmarks.word_count.compiled_peer import compiled, counted
from benchmarks.word_count.ways import IMPORTED, WAYS, spent, with_compiled_table
from benchmarks.zipf_text import KINDS, text

Way = Callable[[Path], float]
"""Counts a file; returns the CPU seconds."""

SHELL = {
    "tr, sort, uniq": "tr A-Z a-z < \"$1\" | tr -cs 'a-z0-9\\200-\\377' '\\n' | sort | uniq -c",
    "cat": 'cat "$1"',
    "wc -w": 'wc -w "$1"',
}
"""Pipelines of GNU coreutils; $1 is the file."""

SLOW = {"CountVectorizer": 16, "Dask bag": 32, "Lithops": 32, "DuckDB": 32}
"""What takes some ten seconds for 64 MB: of a made-up text it gets only so many MB, and the figure is in MB/s."""


def ways() -> dict[str, Way]:
    """Those that this machine has."""
    there = [name for name in WAYS if name not in IMPORTED or importlib.util.find_spec(IMPORTED[name][0].split(".")[0])]
    found: dict[str, Way] = {name: _in_process(name) for name in there}
    if compiled():
        found["C"] = counted
    if shutil.which("uniq"):
        found |= {name: _in_shell(command) for name, command in SHELL.items()}
    return found


def check_exact(path: Path, folder: Path) -> None:
    """Compare word-count's counts with those of the compiled peer.

    Raises:
        SystemExit: They differ.
    """
    counted(path, folder / "dump")
    theirs = {}
    for line in (folder / "dump").read_bytes().split(b"\n")[:-1]:
        word, _, count = line.partition(b"\t")
        theirs[word] = int(count)
    if theirs != dict(with_compiled_table(path).rows()):
        raise SystemExit(f"{path}: the counts differ")


def measured(path: Path, found: dict[str, Way], rounds: int, folder: Path) -> dict[str, tuple[float, float]]:
    """By way: the median ratio to `re.findall` in MB per CPU second, and the median MB per CPU second."""
    speeds: dict[str, list[float]] = {name: [] for name in found}
    short = {name: _beginning(path, megabytes, folder) for name, megabytes in SLOW.items()}
    for number in range(rounds):
        for name in list(found)[:: 1 if number % 2 else -1]:
            file = short.get(name, path)
            speeds[name].append(file.stat().st_size / 1e6 / max(found[name](file), 1e-3))
    base = speeds["re.findall"]
    return {
        name: (
            statistics.median(own / first for first, own in zip(base, of_way, strict=True)),
            statistics.median(of_way),
        )
        for name, of_way in speeds.items()
    }


def main() -> None:
    """Print a table, and keep it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64, help="size of a made-up text")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="made-up texts")
    parser.add_argument("--texts", type=Path, help="a folder whose files are measured with instead")
    add_output_option(parser)
    given = parser.parse_args()
    found = ways()
    by_text: dict[str, dict[str, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = sorted(path for path in given.texts.iterdir() if path.is_file()) if given.texts else []
        for kind in given.kinds if not texts else ():
            texts.append(folder / kind)
            texts[-1].write_bytes(text(kind, given.megabytes << 20))
        for path in texts:
            if compiled():
                check_exact(path, folder)
            by_text[f"{path.name}, {path.stat().st_size / 1e6:.0f} MB"] = measured(path, found, given.rounds, folder)
    table = Table("word-count-peers", ["way", *by_text])
    for way in found:
        cells = {name: "{:.2f} ({:.0f} MB/s)".format(*figures[way]) for name, figures in by_text.items()}
        table.add({"way": way} | cells)
    for name, figures in by_text.items():
        _hold_against_goals(table, name, figures)
    table.show(given.output)


def _hold_against_goals(table: Table, text_name: str, figures: dict[str, tuple[float, float]]) -> None:
    """What word-count does, as ratios to others of the same rounds."""
    mine = figures["word-count"][1]
    table.goal(f"{text_name}: word-count by re.findall", figures["word-count"][0], at_least=7)
    if peers := [way for way in IMPORTED if way in figures]:
        best = max(peers, key=lambda way: figures[way][1])
        table.goal(f"{text_name}: word-count by {best}, the best peer from PyPI", mine / figures[best][1], at_least=3.5)
    if "C" in figures:
        table.goal(f"{text_name}: word-count by the C counter", mine / figures["C"][1], at_least=1, digits=2)


def _in_process(name: str) -> Way:
    def way(path: Path) -> float:
        command = [sys.executable, "-m", "benchmarks.word_count.ways", name, str(path)]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603 - ours

    return way


def _in_shell(command: str) -> Way:
    def way(path: Path) -> float:
        arguments = ["bash", "-o", "pipefail", "-c", command, "bench", str(path)]
        begin = spent()
        environment = {**os.environ, "LC_ALL": "C"}
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603 - ours
        return spent() - begin

    return way


def _beginning(path: Path, megabytes: int, folder: Path) -> Path:
    """The file, or its first megabytes where it is larger."""
    size = megabytes << 20
    if path.stat().st_size <= size:
        return path
    short = folder / f"{megabytes} of {path.name}"
    with path.open("rb") as file:
        short.write_bytes(file.read(size).decode("utf-8", "ignore").encode())
    return short


if __name__ == "__main__":
    main()
