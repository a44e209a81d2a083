"""How long does the merge of a word-count run take, and how much memory, by the number of partials?

    python -m benchmarks.merging [--partials 100 1000] [--words 100000] [--parts 4 16]

Partials are made with a fixed seed: each holds so many words, drawn from a vocabulary four times as large. A few are
made and merged over and over, as making ten thousand would take longer than merging them. Beside it, in the same
process: the words added up in a `dict`. A second table shows the merge of one of these numbers in parts: the
CPU seconds of all jobs together, and those of the longest way through them, which is what one waits for.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from batch_jobs.workloads.word_count.word_totals import read_rows, write_rows
from benchmarks.results import Table, add_output_option
from benchmarks.zipf_text import SCRIPTS
from millrace.workload.registry import checked_options

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
    with SpooledOutputs(lambda _name: None) as results:
        merged = workload.merge(repeated(partials, count), results)
    return int(merged["total_words"])


def in_parts(partials: list[bytes], count: int, parts: int) -> tuple[list[float], float]:
    """The CPU seconds of each part's job, and of the job that merges what these made."""
    workload = load_workload("word-count", checked_options("word-count", {}))
    made, spent = [], []
    for part in range(parts):
        begin = time.process_time()
        merged, file = workload.partial(), tempfile.TemporaryFile()  # noqa: SIM115 - closed when all is over
        for partial in repeated(partials, count * (part + 1) // parts - count * part // parts):
            merged.read(partial)
        merged.write(cast("BinaryIO", file))
        file.seek(0)
        made.append(cast("BinaryIO", file))
        spent.append(time.process_time() - begin)
    begin = time.process_time()
    with SpooledOutputs(lambda _name: None) as results:
        workload.merge(made, results)
    for each in made:
        each.close()
    return spent, time.process_time() - begin


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
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 16], help="by how many jobs they are merged first")
    parser.add_argument("--parts-of", type=int, default=1000, help="how many partials are merged in parts")
    add_output_option(parser)
    given = parser.parse_args()
    partials = made_partials(given.words)
    sample = min(100, *given.partials)
    begin = time.process_time()
    total = with_dict(partials, sample)
    each = (time.process_time() - begin) / sample
    columns = ["partials", "rows", "CPU s", "ns a row", "in a dict, ratio", "peak memory MB"]
    table = Table("merging", columns)
    alone: dict[int, float] = {}
    for count in given.partials:
        begin = time.process_time()
        found = with_workload(partials, count)
        taken = time.process_time() - begin
        if count == sample and found != total:
            raise SystemExit(f"the ways disagree: {found} words and {total}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows = count * given.words
        cells = [
            f"{count:,}", f"{rows:,}", f"{taken:.1f}", f"{taken / rows * 1e9:.0f}", f"{each * count / taken:.1f}",
            f"{peak}",
        ]  # fmt: skip
        table.add(dict(zip(columns, cells, strict=True)))
        alone[count] = taken
    table.goal(f"Peak memory of {count:,} partials, MB", peak, at_most=2048, digits=0)
    table.goal("A dict by the workload's merge, CPU", each * count / taken, at_least=1)
    table.show(given.output)
    of = given.parts_of if given.parts_of in alone else max(alone)
    _show_parts(partials, of, given.parts, alone[of], given.output)


def _show_parts(partials: list[bytes], count: int, numbers: list[int], alone: float, output: Path | None) -> None:
    """The second table."""
    columns = ["partials", "jobs before the last", "CPU s of all", "longest part, s", "last job, s", "waiting, ratio"]
    table = Table("merging-in-parts", columns)
    rows = [[f"{count:,}", "0", f"{alone:.1f}", "", f"{alone:.1f}", "1.0"]]
    for parts in numbers:
        spent, last = in_parts(partials, count, parts)
        waiting = alone / (max(spent) + last)
        figures = [f"{number:.1f}" for number in (sum(spent) + last, max(spent), last, waiting)]
        rows.append([f"{count:,}", str(parts), *figures])
    for cells in rows:
        table.add(dict(zip(columns, cells, strict=True)))
    table.show(output)


if __name__ == "__main__":
    main()
