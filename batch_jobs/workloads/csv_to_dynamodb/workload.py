"""The workload `csv-to-dynamodb`: the rows of CSV files become items of a DynamoDB table.

A bad row is a row of `rejected_rows.csv`: file, line, reason. Writing the same file again writes the same items.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, ClassVar

from batch_jobs.rate import Rate
from batch_jobs.workloads.csv_to_dynamodb.files.cuts import record_starts
from batch_jobs.workloads.csv_to_dynamodb.files.files import Unpacking, csv_files, plain_text
from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat
from batch_jobs.workloads.csv_to_dynamodb.files.records import CsvRecords, EmptyFileError
from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts, ImportedObject, ObjectTally
from batch_jobs.workloads.csv_to_dynamodb.import_partial import ImportPartial
from batch_jobs.workloads.csv_to_dynamodb.import_report import write_report
from batch_jobs.workloads.csv_to_dynamodb.items import ItemMapping, Source, check_attributes, columns_of
from batch_jobs.workloads.csv_to_dynamodb.record import RECORD
from batch_jobs.workloads.csv_to_dynamodb.rows import RowError
from batch_jobs.workloads.csv_to_dynamodb.table import Endpoint, Table
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetries, TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.writer import TableWriter
from millrace.errors import InvalidRunRequest
from millrace.workload import Item, Outputs, Plan, RecordStart


class CsvToDynamoDB:
    """Imports CSV files, also gzipped or in zip archives.

    Memory: about 30 MB for each object being worked, whatever its size. A zip is on disk meanwhile.

    Args:
        options: As its record declares them.
        endpoint: Where DynamoDB is; None for where botocore's environment says.
        policy: How long a busy table is waited for.
    """

    name: ClassVar[str] = RECORD.name
    partial_suffix: ClassVar[str] = ".jsonl"
    most_contribution_bytes = 4096
    item_suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, options: Mapping[str, Any], endpoint: Endpoint | None = None, policy: TableRetryPolicy | None = None
    ) -> None:
        check_attributes(options)
        self._options = options
        self._format = CsvFormat.of(options)
        self._unpacking = Unpacking(tuple(options["members"]), options["max_unpacked_mib"] << 20)
        self._endpoint = endpoint
        self._policy = policy or TableRetryPolicy()
        self._imported_at = ""
        self._shards = 1
        self._lock = threading.Lock()
        self._ready: tuple[ItemMapping, TableWriter] | None = None

    def begin(self, plan: Plan) -> None:
        """Learn the run's time and its share of the write rate, before the first item.

        The time is the plan's: every attempt of a run, and every resume, writes the same items.
        """
        planned_at = datetime.fromisoformat(plan.planned_at).astimezone(UTC)
        self._imported_at = planned_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._shards = max(plan.shards, 1)

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> ImportedObject:  # noqa: ARG002 - it has none
        """Import one object.

        Returns:
            Its counts and rejected rows.

        Raises:
            ItemError: `NOT_TEXT`, `DAMAGED`, `TOO_LARGE`, `NOT_SUPPORTED`, `WRONG_COLUMNS`, or `BAD_ROW` where
                `on_bad_row` is "fail". Rows that came before are in the table then.
            TableRefusedError: There is no such table, its key is another, or the role may not write it.
            TableError: The table cannot be written just now.
        """
        mapping, writer = self._prepare()
        tally = ObjectTally(fails=self._options["on_bad_row"] == "fail")
        try:
            with writer.file(tally.refuse) as writes:
                empty: list[EmptyFileError] = []
                for member, chunks in csv_files(item, body, self._unpacking):
                    counts = FileCounts(item.key, member, item.first_byte)
                    number = tally.begin(counts)
                    try:
                        records = CsvRecords(
                            chunks,
                            self._format,
                            name=member,
                            head_bytes=item.head_bytes or 0,
                            continues_at=item.first_line if item.head_bytes else None,
                        )
                    except EmptyFileError as error:
                        empty.append(error)
                        continue
                    encoder = mapping.bind(records.columns, Source(item.key, member, self._imported_at))
                    counts.nameless = encoder.nameless
                    for line, cells in records:
                        counts.read += 1
                        try:
                            writes.put((number, line), *encoder.encode(line, cells))
                        except RowError as error:
                            tally.reject((number, line), str(error))
                tally.check_full(empty)
                writes.finish()
            return tally.imported(writes)
        except BaseException:
            tally.close()
            raise

    def splits(self, key: str) -> bool:
        """Whether a file may be cut: plain text in a format that can be cut, where a bad row fails nothing else."""
        return RECORD.may_cut(self._options, key)

    def record_starts(self, item: Item, body: Iterable[bytes], places: Sequence[int]) -> Iterator[RecordStart]:  # noqa: ARG002 - it does not matter which one
        """Where rows begin, at or behind each place.

        Raises:
            ItemError: The file cannot be imported, or not in ranges.
        """
        return record_starts(plain_text(body), self._format, places, lambda names: columns_of(self._options, names))

    def contribution_to_json(self, contribution: ImportedObject) -> dict[str, Any] | None:
        """What became of an object, to be kept beside its shard's commit; None where many rows were rejected."""
        return contribution.to_json()

    def contribution_from_json(self, given: dict[str, Any]) -> ImportedObject:
        """What `contribution_to_json` was given."""
        return ImportedObject.from_json(given)

    def partial(self) -> ImportPartial:
        """A new, empty partial."""
        return ImportPartial()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Write `rejected_rows.csv` and `files.csv`.

        Returns:
            `{"table", "files", "rows_read", "rows_written", "rows_replaced", "rows_rejected", "most_rejected"}`.

        Raises:
            DamagedFileError: A partial is not one.
        """
        return {"table": self._options["table"], **write_report(partials, results)}

    def _prepare(self) -> tuple[ItemMapping, TableWriter]:
        """The table's key and the writer, made when the first item comes.

        Raises:
            InvalidRunRequest: The import time is needed, but was not given.
            TableRefusedError: There is no such table, its key is another, or the role may not describe it.
            TableError: The table does not answer.
        """
        with self._lock:
            if self._ready is None:
                if not self._imported_at and any(
                    "{imported_at}" in text for text in self._options["computed"].values()
                ):
                    raise InvalidRunRequest(
                        "options.computed", "{imported_at}", "in a run, which has a time: no run began"
                    )
                parallel = self._options["parallel_writes"]
                table = Table(self._options["table"], self._endpoint or _http_endpoint(parallel))
                key = TableRetries(self._policy, table.name).until_answered(table.describe)
                rate = Rate(self._options["write_units_per_second"] / self._shards)
                writer = TableWriter(table, parallel, rate, self._policy)
                self._ready = ItemMapping.of(self._options, key), writer
            return self._ready


def _http_endpoint(connections: int) -> Endpoint:
    # Imported here: plan and merge make the workload, too, and call no service.
    from batch_jobs.workloads.csv_to_dynamodb.endpoint import HttpEndpoint  # noqa: PLC0415

    return HttpEndpoint(connections)
