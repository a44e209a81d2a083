"""The record of the workload `word-count`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from millrace.workload import Option, Pace, ReportPart, WorkloadRecord

SUFFIX = ".words.txt"

_WORD_BYTES = 6
"""What a word and the blank behind it take, about."""

_ROW_SECONDS = 213e-9
"""What a row of a partial takes to merge: docs/performance.md."""


def _item_suffixes(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (SUFFIX,) if options["outputs"] == "per-item" else ()


def merge_seconds(shards: int, total_bytes: int) -> float:
    """By the distinct words of a shard: Heaps' law, with the constants of the Reuters-RCV1 newswire.

    Manning, Raghavan, Schütze: Introduction to Information Retrieval, 5.1.1: M = 44 T^0.49.
    """
    words = total_bytes / _WORD_BYTES / max(shards, 1)
    return shards * min(words, 44 * math.pow(words, 0.49)) * _ROW_SECONDS


RECORD = WorkloadRecord(
    name="word-count",
    title="how often each word occurs, per object and in the whole run",
    class_path="batch_jobs.workloads.word_count.workload:WordCount",
    options=(
        Option("min_length", 3, "The shortest word of the top list, in characters.", minimum=1, maximum=1000),
        Option(
            "min_count", 3, "The fewest occurrences that bring a word into the top list.", minimum=1, maximum=10**12
        ),
        Option("top", 100, "How many words the top list has at most.", minimum=0, maximum=10_000),
        Option("stop_words", ("and", "the"), "Words that the top list leaves out, lower-case."),
        Option("outputs", "per-item", "Whether each object has its own list of words.", choices=("per-item", "none")),
    ),
    item_suffixes=_item_suffixes,
    splits=lambda _options, _key: True,
    pace=Pace(seconds_per_item=0.0024, bytes_per_second=50_000_000, outputs=1),
    memory_mib=512,
    merge_seconds=merge_seconds,
    keeps_contributions=False,
    report=ReportPart(titles={"top": "Most frequent words"}),
)
