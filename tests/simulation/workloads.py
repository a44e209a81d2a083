"""The workloads that simulated runs use, each with a model of its own: what must come out, computed another way.

Another workload joins by an entry in `WORKLOADS`.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch_jobs.workloads.registry import load_workload
from tests.run_in_memory import Sizes

MIN_COUNT = 3
"""The default of word-count's option min_count, which shapes the top list alone."""

WORDS = ("mill", "race", "water", "wheel", "grain", "stone", "Mill", "WATER", "été", "straße", "слово")


Merged = tuple[dict[str, bytes], dict[str, Any]]
"""The merged files by name, and the workload's part of result.json."""


@dataclass(frozen=True)
class ModelledWorkload:
    """A workload and what is expected of it.

    Attributes:
        name: For people.
        load: Makes the workload from the plan's workload name and options.
        make: Makes an object's body.
        fault: The error code that a body gives, or None.
        suffixes: Those of an item's outputs.
        outputs: The bytes of a sound item's outputs, by suffix, from its key and body.
        merged: The bytes of the merged files by name, and the workload's part of result.json, from the keys and bodies
            of the succeeded items.
        renamed: An output's name without its suffix, from the item's, each relative to its folder.
        asked: What a request says of it, where that decides who plans the run.
        marked: Whether outputs carry the mark of their run. S3's own copies do not, and are never deleted.
    """

    name: str
    load: Callable[[str, Mapping[str, Any]], Any]
    make: Callable[[random.Random], bytes]
    fault: Callable[[bytes], str | None]
    suffixes: tuple[str, ...]
    outputs: Callable[[str, bytes], dict[str, bytes]]
    merged: Callable[[Sequence[tuple[str, bytes]]], Merged]
    marked: bool = True
    renamed: Callable[[str], str] = lambda name: name
    asked: Mapping[str, Any] = field(default_factory=dict)


def _sizes_body(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.08:
        return b"a bad one"
    if kind < 0.12:
        return b"a broken one"
    return b"x" * chance.randrange(60)


def _sizes_fault(body: bytes) -> str | None:
    if b"bad" in body:
        return "NOT_TEXT"
    return "WORKLOAD_FAILED" if b"broken" in body else None


def _sizes_merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
    sizes = {key: len(body) for key, body in succeeded}
    return {"sizes.json": json.dumps(sizes, sort_keys=True).encode()}, {"total": sum(sizes.values())}


def _text(chance: random.Random) -> bytes:
    if chance.random() < 0.08:
        return b"water \xff\xfe"
    return " ".join(chance.choice(WORDS) for _ in range(chance.randrange(12))).encode()


def _text_fault(body: bytes) -> str | None:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "NOT_TEXT"
    return None


def _ranked(body: bytes) -> list[tuple[str, int]]:
    counts = Counter(body.decode().lower().split())
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].encode()))


def _words_merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
    ranked = _ranked(b" ".join(body for _key, body in succeeded))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("word", "count"), *ranked])
    part = {
        "top": [{"word": word, "count": count} for word, count in ranked if count >= MIN_COUNT][:20],
        "distinct_words": len(ranked),
        "total_words": sum(count for _word, count in ranked),
    }
    return {"words.csv": text.getvalue().encode()}, part


WORKLOADS = (
    ModelledWorkload(
        name="sizes",
        load=lambda _name, options: Sizes(options),
        make=_sizes_body,
        fault=_sizes_fault,
        suffixes=(".size",),
        outputs=lambda _key, body: {".size": b"%d" % len(body)},
        merged=_sizes_merged,
    ),
    ModelledWorkload(
        name="word-count",
        load=load_workload,
        make=_text,
        fault=_text_fault,
        suffixes=(".words.txt",),
        outputs=lambda _key, body: {
            ".words.txt": "".join(f"{word}:{count}\n" for word, count in _ranked(body)).encode()
        },
        merged=_words_merged,
    ),
)
