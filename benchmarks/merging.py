"""How long does the merge of a word-count run take, and how much memory, by the number of partials?

    python -m benchmarks.merging [--partials 100 1000] [--words 100000]

Partials are made with a fixed seed: each holds so many words, drawn from a vocabulary four times as large. A few are
made and merged over and over, as making ten thousand would take longer than merging them. Beside it, in the same
process: the words added up in a `dict`.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, cast

from batch_jobs.outputs import HeldFiles
from batch_jobs.workloads import load_workload
from batch_jobs.workloads.word_totals import read_rows, write_rows
from benchmarks.zipf_text import SCRIPTS
from millrace.known_workloads import checked_options

DIFFERENT = 8
"""How many partials are made."""


def made_partials(words: int) -> list[bytes]:
    """Some partials of so many words each."""
    dice = random.Random(9)  # noqa: S311 - the same partials every time is the point
    vocabulary: dict[bytes, None] = {}
    scripts = [scripts for scripts in SCRIPTS.values() if scripts[1]]
    while len(vocabulary) < 4 * words:
        consonants, vowels = dice.choice(scripts)
        word = "".join(dice.choice(consonants) + dice.choice(vowels) for _ in range(dice.randint(1, 6)))
        vocabulary[word.encode()] = None
    made = []
    for _ in range(DIFFERENT):
        file = io.BytesIO()
        chosen = sorted(dice.sample(list(vocabulary), words))
        write_rows([(word, int(dice.paretovariate(0.8))) for word in chosen], file)
        made.append(file.getvalue())
    return made


def repeated(partials: list[bytes], count: int) -> Iterator[BinaryIO]:
    """So many files, the given ones over and over."""
    for number in range(count):
        yield io.BytesIO(partials[number % len(partials)])


def with_workload(partials: list[bytes], count: int) -> int:
    """CPU seconds of the workload's merge are what the job takes; returns how many words there were."""
    workload = load_workload("word-count", checked_options("word-count", {}))
    with HeldFiles(lambda _name: None) as results:
        merged = workload.merge(repeated(partials, count), results)
    return int(merged["total_words"])


def with_dict(partials: list[bytes], count: int) -> int:
    """What comes to mind first: every row into one dictionary, which is then sorted and written."""
    counts: dict[bytes, int] = {}
    for file in repeated(partials, count):
        for word, number in read_rows(file):
            counts[word] = counts.get(word, 0) + number
    with tempfile.TemporaryFile() as file:
        ranked = iter(sorted(counts.items(), key=lambda row: (-row[1], row[0])))
        while batch := list(islice(ranked, 8192)):
            cast("BinaryIO", file).write(b"".join([b"%b,%d\r\n" % row for row in batch]))
    return sum(counts.values())


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partials", type=int, nargs="+", default=[100, 1000], help="how many partials are merged")
    parser.add_argument("--words", type=int, default=100_000, help="words of a partial")
    given = parser.parse_args()
    partials = made_partials(given.words)
    sample = min(100, *given.partials)
    begin = time.process_time()
    total = with_dict(partials, sample)
    each = (time.process_time() - begin) / sample
    sys.stdout.write("| partials | rows | CPU s | ns a row | in a dict, ratio | peak memory MB |\n")
    sys.stdout.write(f"{'|---' * 6}|\n")
    for count in given.partials:
        begin = time.process_time()
        found = with_workload(partials, count)
        taken = time.process_time() - begin
        if count == sample and found != total:
            raise SystemExit(f"the ways disagree: {found} words and {total}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows = count * given.words
        sys.stdout.write(
            f"| {count:,} | {rows:,} | {taken:.1f} | {taken / rows * 1e9:.0f} | {each * count / taken:.1f} | {peak} |\n"
        )


if __name__ == "__main__":
    main()
