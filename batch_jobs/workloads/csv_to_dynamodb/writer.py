"""Writing batches of items to a table, several at once: paced, tried again, and halved where one item is bad."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from batch_jobs.rate import Rate
from batch_jobs.workloads.csv_to_dynamodb.keyed_writes import KeyedWrites, Refusal, Row
from batch_jobs.workloads.csv_to_dynamodb.table import BusyError, Table, ValidationError
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetries, TableRetryPolicy
from millrace.errors import TableError

_UNIT_BYTES = 1024
"""A write unit: one item of up to 1 KB (developer guide, read and write capacity)."""


class TableWriter:
    """Writes to one table, from several threads.

    Args:
        table: The table.
        parallel: How many requests are under way at once.
        rate: How fast.
        policy: How long the table may be busy.
    """

    def __init__(self, table: Table, parallel: int, rate: Rate, policy: TableRetryPolicy) -> None:
        self._table = table
        self._parallel = parallel
        self._rate = rate
        self._policy = policy
        self._given_up = ""
        self._executor = ThreadPoolExecutor(parallel, thread_name_prefix="write")

    def file(self, refuse: Callable[[Refusal], None]) -> KeyedWrites:
        """The writes of one object's rows, which it is for one thread to make.

        Args:
            refuse: Called with every row that DynamoDB refuses, in the rows' order; may raise.

        Raises:
            TableError: The table was given up already.
        """
        if self._given_up:
            # Every object would wait as long as the first one did.
            raise TableError(self._given_up, operation="write to the table", target=self._table.name)
        return KeyedWrites(self._submit, 2 * self._parallel, refuse)

    def _submit(self, rows: Sequence[Row], dropped: threading.Event) -> Future[list[Refusal]]:
        return self._executor.submit(self._write, rows, dropped)

    def _write(self, rows: Sequence[Row], dropped: threading.Event) -> list[Refusal]:
        """Write a batch; where DynamoDB refuses something about it, in halves, to find the row."""
        if dropped.is_set():
            return []
        try:
            self._put(rows, dropped)
        except TableError as error:
            self._given_up = error.message
            raise
        except ValidationError as error:
            if len(rows) == 1:
                return [Refusal(rows[0].place, f"DynamoDB refuses the item: {error}")]
            half = len(rows) // 2
            return [*self._write(rows[:half], dropped), *self._write(rows[half:], dropped)]
        return []

    def _put(self, rows: Sequence[Row], dropped: threading.Event) -> None:
        puts = [row.put for row in rows]
        retries = TableRetries(self._policy, self._table.name, dropped)
        while puts and not dropped.is_set():
            self._rate.take(sum(-(-len(put) // _UNIT_BYTES) for put in puts), dropped.wait)
            body = b",".join(puts)
            try:
                left = self._table.write(body)
            except BusyError as error:
                retries.pause(str(error))
                continue
            if len(left) < len(puts):
                retries.progress()
            puts = [_encoded(put) for put in left]
            if puts:
                retries.pause("unprocessed items")


def _encoded(put: dict[str, Any]) -> bytes:
    return json.dumps(put, ensure_ascii=False, separators=(",", ":")).encode()
