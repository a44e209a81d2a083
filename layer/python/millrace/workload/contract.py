"""The contract of a workload: what it is given, and what it gives.

A workload is what is run over the items. It never talks to S3: it is handed an item's bytes, writes what it makes
into the outputs it opens, and returns the item's contribution to its shard. The job does the rest: reads with
`If-Match`, retries, uploads, commits, reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from millrace.layout import S3Uri
from millrace.records.plan import Item, Plan

if TYPE_CHECKING:
    from millrace.s3.verbs import S3  # who only checks a request does not wait for botocore

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
            partials: One file per committed shard, in shard order, opened for reading one at a time. Shards are in
                the order of their items' keys, but in a run that reuses an earlier one those that were taken over come
                first: the result must not depend on their order.
            results: Where the result's files go.

        Returns:
            The workload's part of `result.json`.
        """


@runtime_checkable
class Splitting(Protocol):
    """What a workload has besides, if large objects may be cut into byte ranges, each of them an item.

    The cuts are at fixed offsets, wherever a record ends. So the body of a range begins `LOOK_BACK_BYTES` before
    `item.first_byte` (or with the object), and runs past `item.last_byte` to the object's end, read as far as the
    workload asks. The workload takes the records that begin in the range, and reads the last one to its end: then each
    record is one item's. A range has no outputs of its own, only its contribution.
    """

    def splits(self, key: str) -> bool:
        """Whether the object with this key may be cut.

        Not asked for a key whose ending says that the object is compressed, `.gz` say: such an object stays whole,
        unless the workload has an attribute `splits_packed` that is true.
        """


class RecordStart(NamedTuple):
    """Where a record begins.

    Attributes:
        byte: The offset of its first byte in the object.
        line: Its line, counted from 1.
        head_bytes: How many bytes of the object's beginning a reader of this range needs first: its header's.
    """

    byte: int
    line: int
    head_bytes: int


@runtime_checkable
class RecordSplitting(Splitting, Protocol):
    """What a workload has instead, if a range alone does not show where its records begin: quoted line breaks.

    The plan job reads such an object once, and the workload names the cuts. The body of a range is then the object's
    head, followed by the range's own bytes, whole records all of them; `item.first_line` says which line the first is.
    """

    def record_starts(self, item: Item, body: Iterable[bytes], places: Sequence[int]) -> Iterator[RecordStart]:
        """The first record at or behind each place.

        Args:
            item: The whole object.
            body: Its bytes from the first one on; read no further than is needed.
            places: Offsets, growing.

        Yields:
            In order, each once; fewer than there are places where the records are long.

        Raises:
            ItemError: The object is worked in one piece. Migrate reports whatever is wrong with it.
        """


@runtime_checkable
class SmallItems(Protocol):
    """What a workload has besides, if hundreds of small items may be under way at once.

    While they wait for S3 they cost nothing; but they are handed to `migrate` in as many threads, each of which keeps
    what some of them returned: what an item takes of memory is taken a thousand times and more.
    """

    def is_small(self, item: Item) -> bool:
        """Whether the item is a small one: working it takes little memory, no process, and no other service."""


@runtime_checkable
class NeedsPlan(Protocol):
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
class ServerSideCopy(Protocol[Made_co]):
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


def writes_outputs(workload: object) -> bool:
    """Whether a workload's items have outputs of their own."""
    return bool(getattr(workload, "item_suffixes", ())) or isinstance(workload, ServerSideCopy)
