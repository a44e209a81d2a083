"""The contract of a workload whose records cannot be found in a range of an object alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from millrace.run.plan import Item
from millrace.workload.contract import Splitting


class RecordStart(NamedTuple):
    """Where a record begins.

    Attributes:
        byte: The offset of its first byte in the object.
        line: Its line, counted from 1.
        head_bytes: How many bytes of the object's beginning whoever reads from here on needs first: its header's.
    """

    byte: int
    line: int
    head_bytes: int


@runtime_checkable
class RecordSplitting(Splitting, Protocol):
    """What a workload has instead, if a range alone does not tell where its records begin: quoted line breaks.

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
            ItemError: The object is worked in one piece. Whatever is wrong with it, migrate will tell.
        """
