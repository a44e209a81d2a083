"""How much memory does planning with `reuse` take, without an S3, so that ten million objects are a matter of minutes?

    nice -n 15 python -m benchmarks.reuse_memory [--objects 10000000] [--percent 1] [--kind changed] [--place scattered]

Pages of the listing and shards of the base are made as they are asked for; what is written is thrown away. All else is
the plan job's own code: the items from the pages, the comparison, the order, the shards with their digests. The base's
items have contributions, so that each shard is rebuilt where an item of it changed. Prints an object: CPU seconds by
step, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from benchmarks.changed_source import KINDS, PAGE, PLACES, SOURCE, Change, ChangedSource
from benchmarks.reuse import BASE, DESTINATION, NEXT, WORK
from millrace.cost.known_pace import KnownPace
from millrace.planning.listed_items import listed_items, plain_lines
from millrace.planning.making import PlanMaker
from millrace.records.commit import PartialFile
from millrace.records.generations import Generation
from millrace.records.plan import Plan, items_digest
from millrace.request.run_request import RunRequest
from millrace.reuse import keeping
from millrace.reuse.base import Base
from millrace.reuse.base_shards import BaseShard
from millrace.s3.listing_page import WrittenPage
from millrace.s3.verbs import S3

WORKLOAD = "images"
KEPT = PartialFile("s3://results/contributions", "0", 1)
Made = TypeVar("Made")


class Nowhere:
    """Single requests to S3: what is put is thrown away."""

    def put(self, *_given: Any, **_more: Any) -> None:
        """PutObject."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=10_000_000, help="how many objects the base run worked")
    parser.add_argument("--percent", type=float, default=1, help="how much of them changed")
    parser.add_argument("--kind", choices=KINDS, default="changed", help="how they changed")
    parser.add_argument("--place", choices=PLACES, default="scattered", help="where they are")
    given = parser.parse_args(arguments)
    change = Change(given.objects, given.kind, given.place, max(1, round(given.objects * given.percent / 100)))
    sys.stdout.write(f"{json.dumps(measured(change))}\n")


def measured(change: Change) -> dict[str, Any]:
    """Plan a changed source, and see what that takes."""
    seconds: dict[str, float] = {}

    def timed(step: str, make: Callable[[], Made]) -> Made:
        begin = time.process_time()
        made = make()
        seconds[step] = round(time.process_time() - begin, 2)
        return made

    asked = {"source": str(SOURCE), "destination": str(DESTINATION), "workload": WORKLOAD, "reuse": "latest"}
    pace = WORK[WORKLOAD].pace
    request = RunRequest.parse({**asked, "pace": pace.known()})
    maker = PlanMaker(S3(Nowhere()), "1", lambda: "2026-01-02T03:04:05+00:00", lambda: None, 1)  # type: ignore[arg-type]
    items, skipped = timed("items", lambda: listed_items(request, _pages(change), iter))
    known = KnownPace(pace, "the request", measured=True)
    one, _ = listed_items(request, _pages(Change(1)), iter)
    before = maker.make(request, BASE, one, {}, known=known, merge_seconds=None)
    plan = Plan(**{**vars(before), "items": change.objects})
    with (
        patch.object(keeping, "read_shards", lambda *_given: _shards(change.objects)),
        patch.object(keeping, "_contributed", lambda shard, _s3: range(shard.items)),
    ):
        keeps = keeping.Keeping(request, NEXT, maker, Base(BASE.run_id, [Generation(BASE, plan)]))
        kept = timed("keeping", lambda: keeps.keep(items, pace))
    make = partial(maker.make, request, NEXT, items, skipped, known=known, merge_seconds=None)
    made = timed("making", lambda: make(kept=kept))
    return {
        "objects": change.objects,
        "kind": change.kind,
        "place": change.place,
        "changed": change.count,
        "kept": kept.reuse.kept,
        "kept_shards": kept.reuse.kept_shards,
        "shards": made.shards,
        "cpu_seconds": seconds,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _pages(change: Change) -> Iterator[WrittenPage]:
    """The listing of the source."""
    source = ChangedSource(Path(), change)
    for start in range(0, change.objects, PAGE):
        found = source.rows(start, min(start + PAGE, change.objects))
        rows = [(key, etag, b"", size, b"STANDARD") for key, etag, size in found]
        if rows:
            yield WrittenPage(rows)


def _shards(objects: int) -> Iterator[BaseShard]:
    """The base's, each of a page."""
    for index, page in enumerate(_pages(Change(objects))):
        lines, _ = plain_lines(page, sys.maxsize) or ((), ())
        text = b"".join(lines)
        yield BaseShard(0, index, text, len(lines), items_digest(text), (), last=True, contributions=KEPT)


if __name__ == "__main__":
    main()
