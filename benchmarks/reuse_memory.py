"""How much memory does planning with `reuse` take, without an S3, so that ten million objects are a matter of minutes?

    nice -n 15 python -m benchmarks.reuse_memory [--objects 10000000] [--percent 1] [--kind changed] [--place scattered]

The items' lines and the base's shards are made here, not listed and read; what is written is thrown away. All else is
the plan job's own code: the store of the items, the comparison, the order, the shards with their digests. The base's
items have contributions, so that each shard is rebuilt where an item of it changed. Nothing is taken over: that holds
64 commits at once, however many there are. Prints an object: CPU seconds by step, the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

from benchmarks.changed_source import KINDS, PAGE, PLACES, SIZE, SOURCE, Change
from benchmarks.reuse import BASE, DESTINATION, NEXT, WORK
from millrace.cost.known_pace import KnownPace
from millrace.planning.item_store import ItemStore
from millrace.planning.making import PlanMaker
from millrace.records.commit import PartialFile
from millrace.records.generations import Generation
from millrace.records.plan import Item, Plan, items_digest
from millrace.request.run_request import RunRequest
from millrace.reuse import keeping
from millrace.reuse.base import Base
from millrace.reuse.base_shards import BaseShard
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
    items = timed("items", lambda: _items(change))
    known = KnownPace(pace, "the request", measured=True)
    before = maker.make(request, BASE, _items(Change(1)), {}, known=known, merge_seconds=None)
    plan = Plan(**{**vars(before), "items": change.objects})
    with (
        patch.object(keeping, "read_shards", lambda *_given: _shards(change.objects)),
        patch.object(keeping, "_contributed", lambda shard, _s3: range(shard.items)),
    ):
        keeps = keeping.Keeping(request, NEXT, maker, Base(BASE.run_id, [Generation(BASE, plan)]))
        kept = timed("keeping", lambda: keeps.keep(items, pace))
    make = partial(maker.make, request, NEXT, items, {}, known=known, merge_seconds=None)
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


def _items(change: Change) -> ItemStore:
    """The items of the source as it is now."""
    items, touched, change_line = ItemStore(), change.touched(), _CHANGES[change.kind]
    for page in range(-(-change.objects // PAGE)):
        lines = _lines(page, change.objects).splitlines(keepends=True)
        first, stop = bisect_left(touched, page * PAGE), bisect_left(touched, (page + 1) * PAGE)
        for number in reversed(touched[first:stop]):
            at = number - page * PAGE
            lines[at : at + 1] = change_line(lines[at])
        items.add_lines(lines, [SIZE] * len(lines))
    return items


_CHANGES: Mapping[str, Callable[[bytes], list[bytes]]] = {
    "": lambda line: [line],
    "inserted": lambda line: [line, line.replace(b".txt", b".txt.new")],
    "changed": lambda line: [line.replace(b'"etag":"\\"0', b'"etag":"\\"f')],
    "deleted": lambda _line: [],
}
"""What is in a line's place in the new listing."""


def _shards(objects: int) -> Iterator[BaseShard]:
    """The base's, each of a page."""
    for page in range(-(-objects // PAGE)):
        text, items = _lines(page, objects), min(PAGE, objects - page * PAGE)
        yield BaseShard(0, page, text, items, items_digest(text), (), last=True, contributions=KEPT)


def _lines(page: int, objects: int) -> bytes:
    """The items' lines of a page: the same ones with another number in them, as that is made in no time."""
    text = _PAGE.replace(b"########", b"%08d" % page)
    return text if objects >= (page + 1) * PAGE else text[: len(text) // PAGE * (objects - page * PAGE)]


_PAGE = b"".join(
    Item(f"{SOURCE.key}customer-########/letter-{number:010}.txt", SIZE, f'"{number:024x}########"').to_line()
    for number in range(PAGE)
)


if __name__ == "__main__":
    main()
