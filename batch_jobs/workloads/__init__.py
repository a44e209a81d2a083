"""The contract of a workload, and the registry of those that come with Millrace.

A workload is what is run over the items. It never talks to S3: it is handed an item's bytes, writes what it makes
into the outputs it opens, and returns the item's contribution to its shard. The job does the rest: reads with
`If-Match`, retries, uploads, commits, reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar

from millrace.options import known_workload
from millrace.plan import Item

Contribution = TypeVar("Contribution")
Added = TypeVar("Added", contravariant=True)


class Outputs(Protocol):
    """Where a workload writes files."""

    def open(self, name: str, content_type: str = "application/octet-stream") -> BinaryIO:
        """A new file to write. Nothing of it is visible before the job commits it.

        Args:
            name: For an item's output, the suffix put behind the item's key: ".words.txt". For a merged result, the
                file's name in the run folder: "words.csv".
            content_type: The object's Content-Type.
        """


class Partial(Protocol[Added]):
    """A shard's share of the merged result: contributions added up, in any order."""

    def add(self, contribution: Added) -> None:
        """Add one item's contribution."""

    def write(self, file: BinaryIO) -> None:
        """Write the partial. The same contributions give the same bytes, in whatever order they were added."""

    def read(self, file: BinaryIO) -> None:
        """Add what an earlier `write` wrote: the shard's progress before an interruption."""


class Workload(Protocol[Contribution]):
    """A program that is run over items.

    Attributes:
        name: As the run request names it.
        partial_suffix: The ending of a partial's file name: ".csv".
        item_suffixes: The suffixes of the outputs that one item may have; empty where it has none.
    """

    name: ClassVar[str]
    partial_suffix: ClassVar[str]
    item_suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the checked options, defaults filled in."""

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Contribution:
        """Work one item, streaming. Called from several threads at once, so it keeps no state of its own.

        Args:
            item: The item as planned.
            body: Its bytes, in chunks.
            outputs: Where the item's outputs go.

        Raises:
            ItemError: The object is bad. It becomes the item's row in the report; its outputs are thrown away.
        """

    def partial(self) -> Partial[Contribution]:
        """A new, empty partial."""

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Merge the shards' partials into the run's result.

        Args:
            partials: One file per committed shard, in shard order, opened for reading one at a time.
            results: Where the result's files go.

        Returns:
            The workload's part of `result.json`.
        """


_MODULES = {"word-count": ("batch_jobs.workloads.word_count", "WordCount")}
"""Imported only when asked for, so that a job starts without the libraries of other workloads."""


def load_workload(name: str, options: Mapping[str, Any]) -> Workload[Any]:
    """The workload of that name, made with these options.

    Raises:
        InvalidRunRequest: There is no such workload.
    """
    module, attribute = _MODULES[known_workload(name)]
    workload: Workload[Any] = getattr(import_module(module), attribute)(options)
    return workload
