"""Which large objects a built-in workload has cut into ranges, and how long they are: what the plan job does.

`batch_jobs` asks the workloads themselves. This is for who may not import them, `millrace estimate` above all; a test
holds the two together.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from math import ceil
from typing import Any

from millrace.request.run_request import RunRequest
from millrace.run.plan import Item
from millrace.source.sharding import RANGES_OF_A_SHARD, range_bytes

LEAST_RANGE_BYTES = 1_048_576
"""No range is shorter: below, the reading around its ends would cost more than its bytes."""

MOST_RANGES = 10_000 * RANGES_OF_A_SHARD
"""Into how many ranges one object is cut at most: those of the largest array job's children."""

_BYTE_ENCODINGS = ("iso8859-", "cp125")
"""Encodings with a byte for each character and ASCII's bytes for ASCII's characters, by how their names begin."""


def ranges_of(item: Item, request: RunRequest) -> int:
    """How many items the plan job makes of an object; 1 for one that stays whole.

    A workload of the user's own may have its objects cut as well: what it says is not known here.
    """
    target = request.shard.target_bytes
    if item.size <= max(target, LEAST_RANGE_BYTES) or not item.etag:
        return 1
    if request.workload == "word-count" and text_is_cut(item.key):
        longest = range_bytes(target)
    elif request.workload == "csv-to-dynamodb" and csv_is_cut(item.key, request.options):
        longest = target  # each range has the head of its object read to it: the fewer the better
    else:
        return 1
    return min(ceil(item.size / max(longest, LEAST_RANGE_BYTES)), MOST_RANGES)


def text_is_cut(key: str) -> bool:
    """Whether word-count has an object cut: text can be cut anywhere, a compressed file cannot."""
    return not key.lower().endswith(".gz")


def csv_is_cut(key: str, options: Mapping[str, Any]) -> bool:
    """Whether csv-to-dynamodb has a file cut: plain text whose rows are seen byte by byte, as it was asked to."""
    marks = "".join(str(options[name]) for name in ("delimiter", "quote", "escape") if options[name] != "auto")
    encoding = codecs.lookup(options["encoding"]).name
    return (
        options["cut_large_files"] is True
        and options["on_bad_row"] == "report"
        and marks.isascii()
        and (encoding in {"utf-8", "utf-8-sig", "ascii"} or encoding.startswith(_BYTE_ENCODINGS))
        and not key.lower().endswith((".gz", ".zip"))
    )
