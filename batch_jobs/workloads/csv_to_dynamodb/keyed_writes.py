"""Rows put into batches, several under way at once, so that the last row with a key is the one that stays."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Self

from batch_jobs.workloads.csv_to_dynamodb.table import MAX_BATCH_ITEMS

BATCH_BYTES = 4_194_304
"""Where a batch is cut: BatchWriteItem takes 16 MB, but a batch is also what is held in memory."""

UNDER_WAY_BYTES = 8_388_608
"""How much of one file is under way at once."""

Place = tuple[int, int]
"""Where a row is: the number of its file in the object, from 0, and its line."""


class Row(NamedTuple):
    """A row to write."""

    place: Place
    put: bytes


class Refusal(NamedTuple):
    """A row that DynamoDB refuses."""

    place: Place
    reason: str


class KeyedWrites:
    """The writes of one object's rows, in order. A context manager: on leaving, nothing is under way.

    A key is in one batch that is under way at most, so that a later row with it always overwrites an earlier one. How
    rows are put into batches depends on the rows alone, never on time, and so do the counts.

    Args:
        submit: Begins to write a batch.
        most_under_way: How many batches may be under way.
        refuse: Called with refused rows.

    Attributes:
        written: Rows that DynamoDB took.
        replaced: Rows that never went there, because a later one in the same batch has the same key; by file number.
    """

    def __init__(
        self,
        submit: Callable[[Sequence[Row], threading.Event], Future[list[Refusal]]],
        most_under_way: int,
        refuse: Callable[[Refusal], None],
    ) -> None:
        self.written = 0
        self.replaced: Counter[int] = Counter()
        self._submit = submit
        self._most_under_way = most_under_way
        self._refuse = refuse
        self._dropped = threading.Event()
        self._open: dict[Hashable, Row] = {}
        self._open_bytes = 0
        self._under_way: deque[tuple[Future[list[Refusal]], dict[Hashable, Row], int]] = deque()
        self._keys_under_way: set[Hashable] = set()
        self._bytes_under_way = 0

    def put(self, place: Place, key: Hashable, wire: bytes) -> None:
        """Write a row.

        Args:
            place: Where it is.
            key: Its key; equal for equal keys.
            wire: `{"PutRequest":…}`.

        Raises:
            MillraceError: The table cannot be written.
        """
        earlier = self._open.get(key)
        size = self._open_bytes + len(wire) - (len(earlier.put) if earlier else 0)
        if size > BATCH_BYTES or (earlier is None and len(self._open) == MAX_BATCH_ITEMS):
            self._send()
            size = len(wire)
        elif earlier is not None:
            self.replaced[earlier.place[0]] += 1
        self._open[key] = Row(place, wire)
        self._open_bytes = size

    def finish(self) -> None:
        """Write what is left, and wait until everything is written.

        Raises:
            MillraceError: The table cannot be written.
        """
        self._send()
        while self._under_way:
            self._reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._dropped.set()
        while self._under_way:
            future, _, _ = self._under_way.popleft()
            if not future.cancel():
                future.exception()

    def _send(self) -> None:
        batch, size = self._open, self._open_bytes
        if not batch:
            return
        self._open, self._open_bytes = {}, 0
        while not self._keys_under_way.isdisjoint(batch):
            self._reap()
        while self._under_way and (
            len(self._under_way) >= self._most_under_way or self._bytes_under_way + size > UNDER_WAY_BYTES
        ):
            self._reap()
        self._under_way.append((self._submit(tuple(batch.values()), self._dropped), batch, size))
        self._keys_under_way.update(batch)
        self._bytes_under_way += size

    def _reap(self) -> None:
        """Wait for the oldest batch."""
        future, batch, size = self._under_way.popleft()
        refusals = future.result()
        self._keys_under_way.difference_update(batch)
        self._bytes_under_way -= size
        self.written += len(batch) - len(refusals)
        for refusal in sorted(refusals):
            self._refuse(refusal)
