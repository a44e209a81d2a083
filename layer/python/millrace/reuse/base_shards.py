"""The shards of a base, as far as they are compared: their items, and the heads of their commits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.in_order import in_order
from millrace.records.commit import PartialFile
from millrace.records.files import read_commit, read_commit_head
from millrace.records.generations import Generation
from millrace.records.plan import items_digest
from millrace.reuse.base import Base
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BaseShard:
    """A shard of the base, as far as it is compared.

    Attributes:
        retry: Which rerun's it is; 0 for the run's own.
        index: Its index there.
        text: Its shard file: a line for each item.
        items: How many items it has.
        digest: `items_digest` of the file.
        succeeded: Whether each of them succeeded; empty where all did.
        last: Whether no later rerun has worked its failed items again.
        contributions: Where the contributions of its items lie; None where none were kept.
        partial_bytes: The size of its partial.
    """

    retry: int
    index: int
    text: bytes
    items: int
    digest: str
    succeeded: Sequence[bool]
    last: bool
    contributions: PartialFile | None = None
    partial_bytes: int = 0

    def lines(self) -> list[bytes]:
        """The items' lines, each with its line feed."""
        return self.text.splitlines(keepends=True)  # a line's own line breaks are escaped


def read_shards(base: Base, s3: S3, check: Callable[[], None], concurrency: int) -> Iterator[BaseShard]:
    """The shards of a base and of its reruns, in order. One whose files are gone or damaged is passed over.

    Args:
        base: The base.
        s3: Where to read.
        check: Called before each shard is read; may raise to stop.
        concurrency: How many are read ahead.
    """
    places = (
        (generation, index, generation is base.generations[-1])
        for generation in base.generations
        for index in range(generation.plan.shards)
    )

    def read(place: tuple[Generation, int, bool]) -> BaseShard | None:
        check()
        generation, index, last = place
        try:
            return _read_shard(generation, index, s3, last=last)
        except (ObjectNotFoundError, DamagedFileError, ValueError) as error:
            fields = {"run_id": base.run_id, "retry": generation.plan.retry, "shard": index, "why": str(error)}
            log.warning("a shard of the base cannot be reused", extra={"fields": fields})
            return None

    with closing(in_order(read, places, concurrency)) as shards:
        for shard in shards:
            if shard is not None:
                yield shard


def _read_shard(generation: Generation, index: int, s3: S3, *, last: bool) -> BaseShard:
    """Read a shard of the base.

    Raises:
        ObjectNotFoundError: A file of it is gone.
        DamagedFileError: A file of it is not what it should be.
        ValueError: Its commit does not begin as one.
    """
    folder, plan = generation.folder, generation.plan
    head = read_commit_head(folder.commit(index), s3)
    uri = folder.shard_items(index, plan.digest)
    text = s3.read(uri)
    of_plan = (head.shard, head.plan_digest, head.code_version) == (index, plan.digest, plan.code_version)
    if not of_plan or head.items_digest != items_digest(text):
        raise DamagedFileError("commit and items do not belong together", operation="reuse", target=str(uri))
    items = text.count(b"\n")
    if items != head.counts.items:
        raise DamagedFileError("the commit has another number of items", operation="reuse", target=str(uri))
    succeeded: list[bool] = []
    if head.counts.failed:
        commit = read_commit(folder, index, plan, s3)
        if commit is None:
            raise DamagedFileError("the commit vanished", operation="reuse", target=str(folder.commit(index)))
        succeeded = [outcome.status == "SUCCEEDED" for outcome in commit.outcomes]
    partial_bytes = head.partial.bytes if head.partial else 0
    return BaseShard(
        plan.retry, index, text, items, head.items_digest, succeeded, last, head.contributions, partial_bytes
    )
