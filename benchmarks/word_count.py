"""How fast are the ways to count words, each as a ratio to `re.findall`, side by side in one process?

    python -m benchmarks.word_count [--megabytes 16] [--rounds 5] [FILE ...]

Rounds alternate the order of the ways; a figure is the median over the rounds of CPU seconds of `re.findall` in that
round by CPU seconds of the way. Texts are made with a fixed seed, or taken from the files named.

glibc gives freed blocks of some 100 kB back to the kernel and has each page zeroed anew, which costs NumPy up to a
third: measure as the jobs should run, with MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ at 67108864.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from batch_jobs.workloads.word_blocks import word_blocks
from batch_jobs.workloads.word_columns import ColumnCounter
from batch_jobs.workloads.word_counter import WordCounter
from benchmarks.zipf_text import KINDS, text

SMALL = (4, 8, 16, 32, 64, 128, 256)
"""Sizes in kB at which the engines are compared to find where the one overtakes the other."""


def with_findall(raw: bytes) -> object:
    """What comes to mind first; its words are not quite ours: `_` joins, a Hindi vowel sign separates."""
    return Counter(re.findall(r"\w+", raw.decode().lower()))


def with_split(raw: bytes) -> object:
    """As the seed does it: split at white space, strip punctuation, lower-case."""
    return Counter(word.strip(".,;:!?\"'()").lower() for word in raw.decode().split())


def with_standard_library(raw: bytes) -> object:
    """The engine for small items, validation included."""
    return _counted(raw, WordCounter())


def with_columns(raw: bytes) -> object:
    """The engine for the others, validation included."""
    return _counted(raw, ColumnCounter())


WAYS: dict[str, Callable[[bytes], object]] = {
    "re.findall": with_findall,
    "str.split": with_split,
    "standard library": with_standard_library,
    "NumPy columns": with_columns,
}


def _counted(raw: bytes, counter: WordCounter | ColumnCounter) -> object:
    for block in word_blocks([raw], counter.block_bytes):
        counter.feed(block)
    return counter.totals()


def cpu_seconds(way: Callable[[bytes], object], raw: bytes, times: int = 1) -> float:
    """CPU seconds of this process for one call, over so many calls."""
    begin = time.process_time()
    for _ in range(times):
        way(raw)
    return (time.process_time() - begin) / times


def compare(raw: bytes, rounds: int) -> dict[str, tuple[float, float]]:
    """By way: the median ratio to `re.findall`, and the median MB per CPU second."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name in list(WAYS)[:: 1 if number % 2 else -1]:
            seconds[name].append(cpu_seconds(WAYS[name], raw))
    base = seconds["re.findall"]
    return {
        name: (
            statistics.median(first / own for first, own in zip(base, taken, strict=True)),
            len(raw) / 1e6 / statistics.median(taken),
        )
        for name, taken in seconds.items()
    }


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=16, help="size of a made-up text")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured")
    parser.add_argument("file", type=Path, nargs="*", help="texts to measure with instead")
    given = parser.parse_args()
    texts = {path.name: path.read_bytes() for path in given.file}
    texts = texts or {kind: text(kind, given.megabytes << 20) for kind in KINDS}

    sys.stdout.write(f"| text | MB | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}\n")
    for name, raw in texts.items():
        cells = [f"{ratio:.2f} ({speed:.0f} MB/s)" for ratio, speed in compare(raw, given.rounds).values()]
        sys.stdout.write(f"| {name} | {len(raw) / 1e6:.0f} | {' | '.join(cells)} |\n")

    sys.stdout.write(
        f"\nNumPy columns by standard library, by kB of text:\n\n| text | {' | '.join(map(str, SMALL))} |\n"
    )
    sys.stdout.write(f"|---|{'---|' * len(SMALL)}\n")
    for name, raw in texts.items():
        ratios = []
        for size in SMALL:
            part = raw[: size * 1000].decode("utf-8", "ignore").encode()
            pairs = [
                cpu_seconds(with_standard_library, part, 20) / cpu_seconds(with_columns, part, 20)
                for _ in range(given.rounds)
            ]
            ratios.append(statistics.median(pairs))
        sys.stdout.write(f"| {name} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |\n")


if __name__ == "__main__":
    main()
