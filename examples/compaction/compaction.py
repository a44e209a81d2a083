"""Many small files of JSON Lines into few large ones, in the order of their keys: part-00000.jsonl.gz, …."""

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from millrace import ItemBody, Outputs, workload

PART_BYTES = 256 * 1024 * 1024


def join(records: Iterable[Any], results: Outputs) -> dict[str, int]:
    """Write the records to files of about PART_BYTES, before compression."""
    left, total, parts = iter(records), 0, 0
    record = next(left, None)
    for parts in count():
        if record is None:
            break
        size = 0
        with results.open(f"part-{parts:05}.jsonl.gz", "application/gzip") as file, gzip.open(file, "wb") as packed:
            while record is not None and size < PART_BYTES:
                size += packed.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                total, record = total + 1, next(left, None)
    return {"records": total, "files": parts}


@workload(merge=join)
def compaction(body: ItemBody) -> Iterator[Any]:
    """Give the records; `join` gets all of them, in the order of the keys."""
    yield from body.json_lines()
