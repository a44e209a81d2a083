"""What `millrace.run(…)` does: a run is started as the command line starts it, and its results are read."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Self, cast

from rich.console import Console

from console.checkout import Checkout
from console.errors import RunStateError
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.local.pipeline import fill_folder, start_locally
from console.operations.request_options import send_code
from console.operations.starting import begin_request
from console.packing.package import workload_of
from console.run_order import RunOrder
from console.terminal import Terminal
from console.transfer.results import read_result, result_files
from console.transfer.tables import library, rows_of_parquet, table_of_csv, table_of_parquet
from console.watch.watching import watch_to_the_end
from millrace.client import Start, Table
from millrace.layout import S3Uri

LOCAL = "local"
"""The stack that means the embedded AWS of this checkout."""

ROWS, ROWS_PARQUET = "rows.csv", "rows.parquet"
PARQUET_PART = re.compile(r"rows-\d{5}\.parquet")
"""What a large rows.parquet is in."""


@dataclass
class ClientRun:
    """A run, as `millrace.client.StartedRun` describes it.

    Attributes:
        target: Where it runs.
        found: The run.
    """

    target: Target
    found: FoundRun
    _result: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.found.run_id

    @property
    def folder(self) -> str:
        """The run folder's URI."""
        return str(self.found.run.folder.root)

    def wait(self, *, quiet: bool = False) -> Self:
        """Wait for the end, show progress, and bring the results into a folder of this machine where that was asked.

        Raises:
            RunFailedError: The run failed.
            RunInterrupted: Ctrl-C; the run continues.
        """
        terminal = Terminal(notes=Console(quiet=True)) if quiet else Terminal()
        _, failure = watch_to_the_end(
            self.target.aws,
            self.found.execution_arn,
            self.run_id,
            terminal,
            watch_again=self.target.command("watch", self.run_id),
            cancel=self.target.command("cancel", self.run_id),
        )
        fill_folder(self.target, self.found, terminal)
        if failure is not None:
            raise failure
        return self

    @property
    def result(self) -> dict[str, Any]:
        """The workload's part of result.json.

        Raises:
            RunStateError: There is none yet.
        """
        return dict(self._document["result"])

    @property
    def counts(self) -> dict[str, int]:
        """Shards, items and bytes, and what became of the items.

        Raises:
            RunStateError: There is no result yet.
        """
        return dict(self._document["counts"])

    def rows(self, name: str | None = None, *, to: Table | None = None) -> Any:
        """The rows of a file of the result, one by one or as a table.

        Raises:
            InvalidRunRequest: `to` is none of those.
            RunStateError: There is no such file, or no result yet.
            UsageError: What the table needs is not installed.
        """
        if to is not None:
            library(to)  # before anything is downloaded
        files = result_files(self._document, self.found.run.folder)
        parts = sorted(each for each in files if PARQUET_PART.fullmatch(each))
        if name is None:
            name = ROWS_PARQUET if to is not None and (ROWS_PARQUET in files or parts) else ROWS
        wanted = parts if name == ROWS_PARQUET and name not in files and parts else [name]
        if wanted[0] not in files:
            raise RunStateError(
                f"its result has no {name}; it has {', '.join(sorted(files))}",
                operation="read the result",
                target=self.folder,
            )
        uris = [S3Uri.parse(files[each]) for each in wanted]
        if name.endswith(".parquet"):
            return self._parquet(uris, to)
        if to is None:
            return csv.DictReader(self._lines(uris[0]))
        types = self.result.get("types", {}) if name == ROWS else {}
        return table_of_csv(to, self._lines(uris[0]), types)

    def failures(self) -> Iterator[dict[str, Any]]:
        """The rows of failures.jsonl.

        Raises:
            RunStateError: There is no result yet.
        """
        uri = result_files(self._document, self.found.run.folder)["failures.jsonl"]
        return (json.loads(line) for line in self._lines(S3Uri.parse(uri)))

    @property
    def _document(self) -> dict[str, Any]:
        if not self._result:
            found = read_result(self.target.aws, self.found.run.folder)
            if found is None:
                raise RunStateError(
                    "it has no result yet: call wait() first; if it failed, "
                    f"{self.target.command('status', self.run_id)} says why",
                    operation="read the result",
                    target=self.folder,
                )
            self._result = found
        return self._result

    def _parquet(self, uris: list[S3Uri], to: Table | None) -> Any:
        if to is None:
            return rows_of_parquet(map(self._downloaded, uris))
        with ExitStack() as opened:
            return table_of_parquet(to, [opened.enter_context(self._downloaded(uri)) for uri in uris])

    def _lines(self, uri: S3Uri) -> Iterator[str]:
        """The lines of a file, which may be larger than the memory."""
        with io.TextIOWrapper(self._downloaded(uri), "utf-8", newline="") as lines:
            yield from lines

    def _downloaded(self, uri: S3Uri) -> BinaryIO:
        """A file, which may be larger than the memory; who has read it closes it."""
        file = cast("BinaryIO", TemporaryFile())  # noqa: SIM115 - as above
        with self.target.aws.s3.open(uri) as chunks:
            for chunk in chunks:
                file.write(chunk)
        file.seek(0)
        return file


def start(asked: Start) -> ClientRun:
    """Start a run: the entry point `start` of the group `millrace.client`.

    Args:
        asked: What is to be started.

    Raises:
        CodePackageError: Its code cannot be packed.
        InvalidRunRequest: A field of the request is wrong; nothing was started.
        MillraceError: The stack is not there, or cannot be brought up.
    """
    workload = workload_of(asked.code, asked.workload) if asked.code else asked.workload
    rest = {"workload": workload, "options": dict(asked.options), **asked.fields}
    code = {"code": asked.code, "code_python": None, "code_platform": None}
    if asked.stack == LOCAL:
        terminal = Terminal()
        begun = start_locally(
            RunOrder.check(asked.source, asked.destination, rest),
            Checkout.here(),
            None,
            terminal,
            lambda aws, stack: send_code(code, aws, stack, terminal, asked.workload),
        )
        return ClientRun(begun.target, begun.found)
    target = Target.choose(stack=asked.stack, profile=asked.profile, region=asked.region)
    request = {"source": asked.source, "destination": asked.destination, **rest}
    return ClientRun(target, begin_request(target, request, None, code, asked.workload))
