"""Items that would have one output: no two of a run may, so each of them is marked, and none is worked.

Suffixes are checked when the workload is loaded; where a workload names its outputs itself, their keys are compared
here, once all items are there. All items of one output are marked, and none of them is the winner: which one it is
would depend on nothing that the user asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.records.plan import Item, Shard
from millrace.workload.contract import ServerSideCopy

_BATCH = 4096
"""How many items are read at once."""


def mark_collisions(items: ItemStore, workload: object, source: S3Uri) -> ItemStore:
    """The items, each with `shares_output` that would have the output of another.

    Args:
        items: In the plan's order.
        workload: If it names its items' outputs itself, they are compared, unless its `may_collide` says no.
        source: The source folder.
    """
    if not isinstance(workload, ServerSideCopy) or not getattr(workload, "may_collide", True):
        return items
    with TemporaryDirectory(prefix="millrace-outputs-") as folder, closing(_database(folder)) as outputs:
        outputs.executemany("INSERT INTO outputs VALUES (?, ?)", _outputs(items, workload, source))
        shared = _shared(outputs)
        first = next(shared, None)
        return items if first is None else ItemStore(_marked(items, first, shared))


def _database(folder: str) -> sqlite3.Connection:
    """On disk, as the keys may be many millions; thrown away in any case, so nothing of it need survive a crash."""
    database = sqlite3.connect(Path(folder) / "keys")
    database.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE outputs (output, position)"
    )
    return database


def _outputs(items: ItemStore, workload: ServerSideCopy[Any], source: S3Uri) -> Iterator[tuple[bytes, int]]:
    """Each item's output, as bytes: a key may hold a NUL; and its position."""
    for position, item in enumerate(_all(items)):
        try:
            output = workload.output_key(item.key[len(source.key) :]).encode()
        except Exception:  # noqa: BLE001, S112 - migrate meets the same, and its row says why there is no output
            continue
        yield output, position


def _shared(outputs: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """The position of each item that shares its output, in order, and that of another item with the same output."""
    outputs.executescript(
        "CREATE INDEX by_output ON outputs (output, position);"
        "CREATE TABLE several AS"
        " SELECT output, min(position) AS first FROM outputs GROUP BY output HAVING count(*) > 1;"
        "ALTER TABLE several ADD COLUMN second;"
        "UPDATE several SET second = (SELECT min(position) FROM outputs"
        " WHERE output = several.output AND position > several.first)"
    )
    yield from outputs.execute(
        "SELECT position, CASE position WHEN first THEN second ELSE first END"
        " FROM several JOIN outputs USING (output) ORDER BY position"
    )


def _marked(items: ItemStore, first: tuple[int, int], shared: Iterator[tuple[int, int]]) -> Iterator[Item]:
    following: tuple[int, int] | None = first
    for position, item in enumerate(_all(items)):
        if following is None or position != following[0]:
            yield item
            continue
        (other,) = _read(items, range(following[1], following[1] + 1))
        yield replace(item, shares_output=other.key)
        following = next(shared, None)


def _all(items: ItemStore) -> Iterator[Item]:
    for start in range(0, len(items), _BATCH):
        yield from _read(items, range(start, min(start + _BATCH, len(items))))


def _read(items: ItemStore, positions: range) -> tuple[Item, ...]:
    return Shard.from_lines(0, items.lines(positions).split(b"\n")[:-1], "the items").items
