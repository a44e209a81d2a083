"""Ways to count the words of a file, each run in a process of its own: what it imports is not measured.

    python -m benchmarks.word_count.ways WAY FILE

prints the CPU seconds of one count, threads and child processes included, reading the file included, importing not.
Each is held to one core by its own means; which of them are here depends on what is installed.
"""

from __future__ import annotations

import importlib
import os
import re
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch_jobs.workloads.word_count.compiled_counter import CompiledCounter
from batch_jobs.workloads.word_count.word_counter import WordCounter

WORD = r"[\p{L}\p{M}\p{N}]+"
"""A word, for those that know Unicode's categories."""

CHUNK = 1 << 18
"""What the jobs' reader hands over at once."""


def chunks(path: Path) -> Any:
    """A file as the jobs read an object."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def with_compiled_table(path: Path) -> object:
    """The engine of word-count: checks that it is text, exact on every script."""
    return CompiledCounter().count(chunks(path))


def with_python(path: Path) -> object:
    """The engine where there is no library."""
    return WordCounter().count(chunks(path))


def with_findall(path: Path) -> object:
    """What comes to mind first; its words are not quite ours: `_` joins, a Hindi vowel sign separates."""
    return Counter(re.findall(r"\w+", path.read_text("utf-8").lower()))


def with_split(path: Path) -> object:
    """As the seed does it: split at white space, strip punctuation, lower-case."""
    return Counter(word.strip(".,;:!?\"'()").lower() for word in path.read_text("utf-8").split())


def with_polars(path: Path) -> object:
    """Split by a regular expression, explode, count."""
    polars = importlib.import_module("polars")
    column = polars.Series([path.read_text("utf-8").lower()])
    return column.str.extract_all(WORD).explode().value_counts()


def with_duckdb(path: Path) -> object:
    """The same in SQL, a line at a time."""
    duckdb = importlib.import_module("duckdb")
    with duckdb.connect(config={"threads": 1}) as database:
        return database.execute(
            f"SELECT word, count(*) FROM (SELECT unnest(regexp_extract_all(lower(line), '{WORD}')) AS word FROM "  # noqa: S608 - ours
            "(SELECT unnest(string_split(content, chr(10))) AS line FROM read_text(?))) GROUP BY word",
            [str(path)],
        ).fetchall()


def with_dask(path: Path) -> object:
    """Dask's own example of a bag: lines, words, frequencies; one worker thread, as all of this is Python."""
    bag = importlib.import_module("dask.bag")
    lines = bag.read_text(str(path), encoding="utf-8", blocksize="16MiB")
    words = lines.str.lower().map(lambda line: re.findall(r"\w+", line)).flatten()
    return words.frequencies().compute(scheduler="synchronous")


def with_scikit_learn(path: Path) -> object:
    """A line a document, as it is meant to be used."""
    text = importlib.import_module("sklearn.feature_extraction.text")
    vectorizer = text.CountVectorizer(token_pattern=r"\w+")  # noqa: S106 - no password
    with path.open(encoding="utf-8") as lines:
        return vectorizer.fit_transform(lines).sum(axis=0)


def with_lithops(path: Path) -> object:
    """Lithops on localhost: a map over pieces of the file, a reduce; one process works."""
    lithops = importlib.import_module("lithops")
    size = path.stat().st_size
    pieces = [(str(path), at, 16 << 20) for at in range(0, size, 16 << 20)]
    with tempfile.TemporaryDirectory(prefix="millrace-lithops-") as folder:
        config = {
            "lithops": {"backend": "localhost", "storage": "localhost", "data_limit": False, "telemetry": False},
            "localhost": {"runtime": sys.executable, "worker_processes": 1, "version": 1},
            "localhost_storage": {"storage_root": folder},
        }
        with lithops.FunctionExecutor(config=config, log_level="ERROR") as executor:
            executor.map_reduce(_piece_counted, pieces, _added_up, spawn_reducer=100)
            return executor.get_result()


def _piece_counted(name: str, start: int, size: int) -> dict[str, int]:
    import re  # noqa: PLC0415 - runs elsewhere
    from collections import Counter  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    with Path(name).open("rb") as file:
        file.seek(start)
        return dict(Counter(re.findall(r"\w+", file.read(size).decode("utf-8", "ignore").lower())))


def _added_up(results: list[dict[str, int]]) -> int:
    from collections import Counter  # noqa: PLC0415 - runs elsewhere

    total: Counter[str] = Counter()
    for counts in results:
        total.update(counts)
    return len(total)


IMPORTED = {
    "Polars": ("polars", with_polars),
    "DuckDB": ("duckdb", with_duckdb),
    "Dask bag": ("dask.bag", with_dask),
    "Lithops": ("lithops", with_lithops),
    "CountVectorizer": ("sklearn.feature_extraction.text", with_scikit_learn),
}
"""Peers from PyPI, and the module that each of them is."""

WAYS: dict[str, Callable[[Path], object]] = {
    "re.findall": with_findall,
    "str.split": with_split,
    "word-count": with_compiled_table,
    "word-count in Python": with_python,
    **{name: way for name, (_, way) in IMPORTED.items()},
}
"""All of them, by name."""


def spent() -> float:
    """CPU seconds of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Count once; print the CPU seconds."""
    way, path = sys.argv[1:]
    os.environ["POLARS_MAX_THREADS"] = "1"
    if way in IMPORTED:
        importlib.import_module(IMPORTED[way][0])
    elif way == "word-count":
        with_compiled_table(Path(os.devnull))
    begin = spent()
    WAYS[way](Path(path))
    sys.stdout.write(f"{spent() - begin:.6f}\n")


if __name__ == "__main__":
    main()
