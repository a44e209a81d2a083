"""The contract of a workload, and the registry of those that come with Millrace.

A workload is what is run over the items. It never talks to S3: it is handed an item's bytes, writes what it makes
into the outputs it opens, and returns the item's contribution to its shard. The job does the rest: reads with
`If-Match`, retries, uploads, commits, reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar, runtime_checkable

from batch_jobs.workloads.own import own_class, own_part
from millrace.errors import InvalidRunRequest, WorkloadUnavailableError
from millrace.known_workloads import check_item_suffixes, is_own_workload, known_workload
from millrace.layout import MAX_PARTIAL_SUFFIX_BYTES, S3Uri
from millrace.options import check_options
from millrace.plan import Item, Plan
from millrace.s3 import S3

LOOK_BACK_BYTES = 4
"""With how many bytes before a range its body begins: the longest UTF-8 character."""

Contribution = TypeVar("Contribution")
Added_contra = TypeVar("Added_contra", contravariant=True)
Made_co = TypeVar("Made_co", covariant=True)


class Outputs(Protocol):
    """Where a workload writes files."""

    def open(self, name: str, content_type: str = "application/octet-stream") -> BinaryIO:
        """A new file to write. Nothing of it is visible before the job commits it.

        Args:
            name: For an item's output, the suffix put behind the item's key: ".words.txt". For a merged result, the
                file's name in the run folder: "words.csv".
            content_type: The object's Content-Type.
        """


class Partial(Protocol[Added_contra]):
    """A shard's share of the merged result: contributions added up, in any order."""

    def add(self, contribution: Added_contra) -> None:
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
        item_suffixes: The suffixes of the outputs that one item may have; empty where it has none. None may end in
            another, or two items could have one output.
    """

    name: ClassVar[str]
    partial_suffix: ClassVar[str]

    @property
    def item_suffixes(self) -> tuple[str, ...]:
        """May depend on the options; most workloads have a class attribute of that name."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the checked options, defaults filled in."""

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Contribution:
        """Work one item, streaming. Called from several threads at once, so it keeps no state of its own.

        Args:
            item: The item as planned.
            body: Its bytes, in chunks. Once the job has to stop, asking for a chunk raises `StoppedError`, behind the
                last one too: what computes for long can look there, and let the error pass.
            outputs: Where the item's outputs go.

        Raises:
            ItemError: The object is bad. It becomes the item's row in the report; its outputs are thrown away.
            TryAgainError: The item cannot be worked now; the next attempt of the job takes it up again.
            MillraceError: One with exit code 2 ends the job: no other item would fare better.
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


@runtime_checkable
class Splitting(Protocol):
    """What a workload has besides, if large objects may be cut into byte ranges, each of them an item.

    The cuts are at fixed offsets, wherever a record ends. So the body of a range begins `LOOK_BACK_BYTES` before
    `item.first_byte` (or with the object), and goes on behind `item.last_byte` to the object's end, read as far as the
    workload asks. The workload takes the records that begin in the range, and reads the last one to its end: then each
    record is one item's. A range has no outputs of its own, only its contribution.
    """

    def splits(self, key: str) -> bool:
        """Whether the object with this key may be cut.

        Not asked for a key whose ending says that the object is compressed, `.gz` say: such an object stays whole,
        unless the workload has an attribute `splits_packed` that is true.
        """


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a workload has besides, if hundreds of small items may be under way at once.

    While they wait for S3 they cost nothing; but they are handed to `migrate` in as many threads, each of which keeps
    what some of them returned: what an item takes of memory is taken a thousand times and more.
    """

    def is_small(self, item: Item) -> bool:
        """Whether the item is a small one: working it takes little memory, no process, and no other service."""


@runtime_checkable
class Beginning(Protocol):
    """What a workload has besides, if it needs to know of the run before its first item."""

    def begin(self, plan: Plan) -> None:
        """Learn of the plan: when it was made, how many shards share a limit. Only migrate calls it, once.

        What `migrate` makes of it must be the same in every attempt: `plan.planned_at` is, the time of day is not.
        """


@runtime_checkable
class MergingInParts(Protocol):
    """What a workload has besides, if its partials may be merged in parts, by several jobs, before they are merged.

    A part is a `Partial` that reads the partials of some shards, and is written. Merging the parts must give what
    merging the shards' partials gives, byte for byte.
    """

    def merge_seconds(self, shards: int, total_bytes: int) -> float:
        """About how long one job takes to merge.

        Args:
            shards: How many partials there are.
            total_bytes: What the items of all of them cover.
        """


@runtime_checkable
class Transferring(Protocol[Made_co]):
    """What a workload has instead of `migrate`, if S3 itself is to make the items' outputs: no byte of them is read.

    Each item has one output, which has no mark of the run. Items whose outputs would have one key are not worked: the
    plan job compares the keys of all, unless the workload has an attribute `may_collide` that is false.
    """

    def output_key(self, key: str) -> str:
        """The key of an item's output, relative to the destination, from the item's, relative to the source.

        Raises:
            ItemError: There can be none.
        """

    def transfer(self, item: Item, source: S3Uri, destination: S3Uri, s3: S3, check: Callable[[], None]) -> Made_co:
        """Make one item's output. Called from several threads at once.

        Args:
            item: The item as planned; what is made must be of this ETag.
            source: Its object.
            destination: Where the output goes.
            s3: The client.
            check: Raises StoppedError once the job has to stop; for between two long requests.

        Raises:
            ItemError: The object is bad, or what was made is.
            StorageError: S3 refused, failed or could not be reached; it becomes the item's row, as for a read.
        """


_MODULES = {
    "word-count": ("batch_jobs.workloads.word_count", "WordCount"),
    "csv-to-dynamodb": ("batch_jobs.workloads.csv_to_dynamodb", "CsvToDynamoDB"),
    "images": ("batch_jobs.workloads.images", "Images"),
    "command": ("batch_jobs.workloads.command", "Command"),
    "copy": ("batch_jobs.workloads.copy_objects", "CopyObjects"),
}
"""Imported only when asked for, so that a job starts without the libraries of other workloads."""


def load_workload(name: str, options: Mapping[str, Any]) -> Workload[Any]:
    """The workload of that name, made with these options.

    Args:
        name: A built-in workload's, or that of a user's own: `package.module:Class`, or an entry point's name.
        options: Checked where the workload is built in. A user's own are checked here, if its class declares them: the
            class attribute `options`, a tuple of `millrace.options.Option`.

    Raises:
        InvalidRunRequest: There is no such workload, or it does not take these options.
        WorkloadUnavailableError: A user's own workload, or what a workload needs, is not in this image, or its
            `__init__` raises something else.
    """
    if is_own_workload(known_workload(name)):
        made = own_class(name)
        with own_part(name, "options"):
            options = check_options(getattr(made, "options", ()), options)
    else:
        made = _built_in_class(name)
    with own_part(name, "__init__"):
        workload: Workload[Any] = made(options)
    with own_part(name, "item_suffixes"):
        check_item_suffixes(workload.item_suffixes, f"item_suffixes of {name}")
    with own_part(name, "partial_suffix"):
        suffix = workload.partial_suffix
    if not isinstance(suffix, str) or len(suffix.encode()) > MAX_PARTIAL_SUFFIX_BYTES:
        raise InvalidRunRequest(
            f"partial_suffix of {name}", suffix, f"text of at most {MAX_PARTIAL_SUFFIX_BYTES} bytes, as '.json'"
        )
    return workload


def _built_in_class(name: str) -> Any:
    module, attribute = _MODULES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise WorkloadUnavailableError(
            f"the Python package {error.name} is not installed; batch_jobs/requirements-{name}.txt holds what it needs",
            operation="load the workload",
            target=name,
        ) from error
