"""What a plan keeps of an earlier run: the items in the order of their shards, and the files that say from where."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from millrace.errors import DamagedFileError, MirrorLimitError, ObjectNotFoundError
from millrace.layout import RunFolder
from millrace.planning.item_store import ItemStore
from millrace.planning.making import KeptItems, PlanMaker
from millrace.records.contributions import contributed_items
from millrace.records.plan import items_digest
from millrace.records.reused import PlannedReuse
from millrace.request.run_request import RunRequest
from millrace.reuse.base import Base, NoBase, find_base, require_base
from millrace.reuse.base_shards import BaseShard, read_shards
from millrace.reuse.compaction import Compaction
from millrace.reuse.comparison import KEPT_SHARE, Comparison, compare
from millrace.reuse.kept_outputs import KeptOutputs
from millrace.reuse.taken import TakenPart, TakenShard, takeover_lines
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a run keeps of its base, once its items are there.

    Attributes:
        request: The checked request; it has a `reuse`.
        folder: The run's folder.
        maker: Who makes the plan.
        base: The run that is reused.
    """

    request: RunRequest
    folder: RunFolder
    maker: PlanMaker
    base: Base | NoBase

    @classmethod
    def of(cls, request: RunRequest, folder: RunFolder, maker: PlanMaker, *, writes_outputs: bool) -> Keeping:
        """Look for the base, before anything is listed.

        Args:
            request: The checked request.
            folder: The run's folder.
            maker: Who makes the plan.
            writes_outputs: Whether the workload's items have outputs of their own.

        Raises:
            NothingToReuseError: There is none, and the request requires one.
            StorageError: The destination cannot be read.
        """
        given = {"run_id": folder.run_id, "code_version": maker.code_version}
        base = find_base(request, maker.s3, **given, writes_outputs=writes_outputs)
        require_base(base, request)
        return cls(request, folder, maker, base)

    @property
    def items_before(self) -> int:
        """How many items the base has; 0 where there is none."""
        return 0 if isinstance(self.base, NoBase) else self.base.generations[0].plan.items

    def keep(self, items: ItemStore, pace: Pace) -> KeptItems:
        """Put the items whose shards are kept in front, and write down what these are taken over from.

        Args:
            items: The items of the new listing, in the order of their keys; they are put into another order.
            pace: The pace that shards are cut by: small ones are put together.

        Raises:
            MirrorLimitError: More is gone than `mirror` may delete outputs of.
            StorageError: S3 failed.
            StoppedError: It is time to stop.
        """
        request, base, s3, asked = self.request, self.base, self.maker.s3, self.request.reuse or ""
        if isinstance(base, NoBase):
            return KeptItems((), (), PlannedReuse.without_base(asked, base.why_not, len(items)))
        with TemporaryFile() as file:
            removed = cast("BinaryIO", file)
            shards = read_shards(base, s3, self.maker.check, self.maker.concurrency)
            outputs = KeptOutputs(base, self.maker) if request.verify_outputs else None
            found = compare(
                items,
                outputs.looked_at(shards) if outputs else shards,
                removed,
                most_kept=int(request.shard.max_shards * KEPT_SHARE),
                together=Compaction(items, request.shard, pace).together,
                lacking=outputs.gone if outputs else lambda _shard: (),
                contributed=lambda shard: _contributed(shard, s3),
            )
            _check_mirror_limit(request, base, found.removed)
            removed_digest = ""
            if found.removed:
                removed.seek(0)
                removed_digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                s3.put(self.folder.planned_removed(removed_digest), removed, content_type="application/x-ndjson")
        items.arrange(found.order)
        taken = list(_taken(found, items))
        takeover = takeover_lines(taken)
        takeover_digest = f"sha256:{hashlib.sha256(takeover).hexdigest()}" if found.kept else ""
        if found.kept:
            s3.put(self.folder.takeover(takeover_digest), takeover, content_type="application/x-ndjson")
        reuse = found.planned(asked, base, items, takeover_digest=takeover_digest, removed_digest=removed_digest)
        return KeptItems([shard.items for shard in found.kept], [shard.items_digest for shard in taken], reuse)


def _check_mirror_limit(request: RunRequest, base: Base, removed: int) -> None:
    """See that a run with `mirror` would not delete the outputs of too much, before anything is worked.

    Were the run to go on without deleting, it would be the next one's base, which would know nothing of what is gone.

    Raises:
        MirrorLimitError: It would.
    """
    items = base.generations[0].plan.items
    if not request.mirror or removed * 100 <= request.mirror_limit_percent * items:
        return
    raise MirrorLimitError(
        f"{removed:,} of {items:,} items of run {base.run_id} are gone ({removed * 100 / items:.3g} %), and mirror may "
        f"delete the outputs of {request.mirror_limit_percent} % at most; nothing was worked, nothing was deleted. "
        "Look whether the source is whole. If it is, start the run with --mirror-limit-percent "
        f"{-(-removed * 100 // items)}",
        operation="mirror the source",
        target=request.source,
    )


def _taken(found: Comparison, items: ItemStore) -> Iterator[TakenShard]:
    places = pairwise(accumulate((shard.items for shard in found.kept), initial=0))
    for shard, (start, stop) in zip(found.kept, places, strict=True):
        parts = tuple(TakenPart(part.retry, part.index, part.rebuilt_of) for part in shard.parts)
        known = shard.parts[0].digest if len(parts) == 1 else ""
        yield TakenShard(known or items_digest(items.lines(range(start, stop))), parts)


def _contributed(shard: BaseShard, s3: S3) -> Collection[int]:
    """The items of a shard whose contributions are there, by their places."""
    try:
        return contributed_items(shard.contributions, s3) if shard.contributions else ()
    except (ObjectNotFoundError, DamagedFileError, ValueError) as error:
        fields = {"retry": shard.retry, "shard": shard.index, "why": str(error)}
        log.warning("contributions are lost", extra={"fields": fields})
        return ()
