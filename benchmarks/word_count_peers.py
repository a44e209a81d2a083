"""How fast is word-count beside what people would use instead? Each way counts the same file, round by round.

    python -m benchmarks.word_count_peers [--megabytes 64] [--rounds 3] [--kinds english multilingual] [FILE ...]

Figures are CPU seconds, of this process and of the programs it starts, as a ratio to `re.findall` in the same round;
the order of the ways alternates, and the median over the rounds counts. Polars and DuckDB (requirements-bench.txt)
are held to one thread, and left out where they are not installed; so is the compiled counter without a C compiler. It
has word-count's own rules, and its counts are compared with word-count's, word by word; the others split at ASCII and
know less: what they would need to be exact is not in their figure. `cat` and `wc -w` are the limits.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.compiled_counter import compiled, counted
from benchmarks.word_count import with_columns, with_findall, with_split
from benchmarks.zipf_text import KINDS, text

Way = Callable[[Path], float | None]
"""Counts a file; returns its CPU seconds where it measures them itself."""


def with_polars(path: Path) -> None:
    """Split by a regular expression, explode, count."""
    import polars as pl  # noqa: PLC0415 - a peer that need not be there

    column = pl.Series([path.read_text(encoding="utf-8").lower()])
    column.str.extract_all(r"[\p{L}\p{M}\p{N}]+").explode().value_counts()


def with_duckdb(path: Path) -> None:
    """The same in SQL, a line at a time."""
    import duckdb  # noqa: PLC0415 - as above

    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(
            "SELECT word, count(*) FROM (SELECT unnest(regexp_extract_all(lower(line), '[\\p{L}\\p{M}\\p{N}]+')) AS "
            "word FROM (SELECT unnest(string_split(content, chr(10))) AS line FROM read_text(?))) GROUP BY word",
            [str(path)],
        ).fetchall()


def shell(command: str) -> Way:
    """A pipeline of GNU coreutils; $1 is the file."""

    def way(path: Path) -> None:
        environment = {**os.environ, "LC_ALL": "C"}
        arguments = ["bash", "-o", "pipefail", "-c", command, "bench", str(path)]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603 - ours

    return way


def ways() -> dict[str, Way]:
    """Those that this machine has."""
    found: dict[str, Way] = {
        "re.findall": lambda path: _nothing(with_findall(path.read_bytes())),
        "str.split": lambda path: _nothing(with_split(path.read_bytes())),
        "word-count": lambda path: _nothing(with_columns(path.read_bytes())),
    }
    if compiled():
        found["C"] = counted
    found |= {
        name: way for name, way in (("polars", with_polars), ("duckdb", with_duckdb)) if importlib.util.find_spec(name)
    }
    if shutil.which("uniq"):
        found["tr, sort, uniq"] = shell("tr A-Z a-z < \"$1\" | tr -cs 'a-z0-9\\200-\\377' '\\n' | sort | uniq -c")
        found["cat"] = shell('cat "$1"')
        found["wc -w"] = shell('wc -w "$1"')
    return found


def cpu_seconds(way: Way, path: Path) -> float:
    """CPU seconds of this process and its children for a file."""
    before = _spent()
    own = way(path)
    return _spent() - before if own is None else own


def check_exact(path: Path, folder: Path) -> None:
    """Compare word-count's counts with those of the compiled counter.

    Raises:
        SystemExit: They differ.
    """
    counted(path, folder / "dump")
    theirs = {}
    for line in (folder / "dump").read_bytes().split(b"\n")[:-1]:
        word, _, count = line.partition(b"\t")
        theirs[word] = int(count)
    if theirs != dict(with_columns(path.read_bytes()).rows()):
        raise SystemExit(f"{path}: the counts differ")


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64, help="size of a made-up text")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="made-up texts")
    parser.add_argument("file", type=Path, nargs="*", help="texts to measure with instead")
    given = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = "1"
    found = ways()
    sys.stdout.write(f"| text | MB | {' | '.join(found)} |\n|---|---|{'---|' * len(found)}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = list(given.file)
        for kind in given.kinds if not texts else ():
            texts.append(folder / kind)
            texts[-1].write_bytes(text(kind, given.megabytes << 20))
        for path in texts:
            if compiled():
                check_exact(path, folder)
            rounds = [
                {name: cpu_seconds(found[name], path) for name in list(found)[:: 1 if number % 2 else -1]}
                for number in range(given.rounds)
            ]
            megabytes = path.stat().st_size / 1e6
            cells = []
            for way in found:
                ratio = statistics.median(one["re.findall"] / max(one[way], 1e-6) for one in rounds)
                speed = megabytes / max(statistics.median(one[way] for one in rounds), 1e-6)
                cells.append(f"{ratio:.2f} ({speed:.0f} MB/s)")
            sys.stdout.write(f"| {path.name} | {megabytes:.0f} | {' | '.join(cells)} |\n")


def _spent() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _nothing(_counts: object) -> None:
    """The counts are let go, and the way is measured from outside."""


if __name__ == "__main__":
    main()
