"""The workload `copy`: object to object within S3, verified, with keys rewritten and attributes kept or set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, ClassVar

from batch_jobs.workloads.copy.attributes import CopyAttributes
from batch_jobs.workloads.copy.keys import KeyRewriting
from batch_jobs.workloads.copy.object_copy import COPY_BYTES, PART_BYTES, ObjectCopy
from batch_jobs.workloads.copy.record import RECORD
from millrace.layout import S3Uri
from millrace.s3.verbs import S3
from millrace.workload import Item, Outputs, Totals

WAYS = ("checksum", "etag", "size")
"""What copies are verified by, the surest first."""


class CopyObjects:
    """Copies objects. Their bytes never come to the job: S3 copies them.

    Args:
        options: As its record declares them.
        copy_bytes: Up to which size an object is copied by one request.
        part_bytes: The size of the parts, beyond.

    Raises:
        InvalidRunRequest: Options contradict each other.
    """

    name: ClassVar[str] = RECORD.name
    partial_suffix: ClassVar[str] = ".json"
    item_suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Mapping[str, Any], copy_bytes: int = COPY_BYTES, part_bytes: int = PART_BYTES) -> None:
        self._keys = KeyRewriting(options)
        self._attributes = CopyAttributes(options)
        self._sizes = {"copy_bytes": copy_bytes, "part_bytes": part_bytes}

    @property
    def may_collide(self) -> bool:
        """Whether two keys can become one."""
        return self._keys.may_collide

    def output_key(self, key: str) -> str:
        """Where the copy goes, both keys relative to their folders.

        Raises:
            ItemError: `KEY_NOT_USABLE`.
        """
        return self._keys.rewritten(key)

    def is_small(self, item: Item) -> bool:
        """Whether one request copies it: the job only waits."""
        return item.size <= self._sizes["copy_bytes"]

    def transfer(
        self, item: Item, source: S3Uri, destination: S3Uri, s3: S3, check: Callable[[], None]
    ) -> dict[str, int]:
        """Copy one object, and compare the copy.

        Returns:
            What it adds to the sums: `{"objects": 1, "bytes": 12, "checksum": 1}`.

        Raises:
            StorageError: S3 refused, failed or could not be reached.
            ItemError: `COPY_DIFFERS`.
        """
        copy = ObjectCopy(s3, item, source, destination, self._attributes, check, **self._sizes)
        size, verified_by = copy.make()
        return {"objects": 1, "bytes": size, verified_by: 1}

    def partial(self) -> Totals:
        """A new, empty partial."""
        return Totals()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:  # noqa: ARG002 - the contract's
        """Add up the partials.

        Returns:
            `{"objects", "bytes", "verified_by": {"checksum", "etag", "size"}}`.

        Raises:
            DamagedFileError: A partial is not one.
        """
        sums = Counter(Totals.merged(partials))
        return {"objects": sums["objects"], "bytes": sums["bytes"], "verified_by": {way: sums[way] for way in WAYS}}
