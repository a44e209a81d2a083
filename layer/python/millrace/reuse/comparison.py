"""Which shards of a base a new listing leaves as they were.

A shard of the base is *kept* where every one of its items that succeeded is in the new listing, unchanged. An item that
failed put nothing into the shard's partial, so it does not keep the others from being kept: it is worked again itself.
Where contributions of its items lie beside its commit, a shard of which some items changed or are gone is rebuilt from
those of the others. A rerun's shards are shards of the base like others: an item is in the one in which it succeeded.

Nothing is hashed, and no item becomes an object: lines are compared (`listing_walk`). So ten million items take a byte
of state each, and their order eight bytes for each stretch of them that follow each other as before.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from millrace.planning.item_store import ItemStore
from millrace.records.reused import PlannedReuse
from millrace.reuse.base import Base
from millrace.reuse.base_shards import BaseShard
from millrace.reuse.listing_walk import ListingWalk
from millrace.reuse.places import (
    Places,
    Run,
    count,
    count_within,
    mask_of,
    numbers_of,
    only,
    overlap,
    positions_of,
    turned,
)

KEPT_SHARE = 0.75
"""Of the shards that a run may have, so many may be kept ones: the others are for what is new."""

_SEEN, _KEPT = 1, 2
"""An item's state: the base has its object; its result is taken over."""

_SEEN_TOO = bytes([_SEEN, *range(1, 256)])
"""By an item's state: that with `_SEEN`."""


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What is kept of a shard of the base.

    Attributes:
        retry: Which rerun of the base it is a shard of; 0 for the base's own.
        index: Its index there.
        stretches: Where the kept items are in the listing, as `bounds` of their positions.
        rebuilt_of: Which items, as `bounds` of their places in the shard, where it is rebuilt from contributions; else
            None: it is taken over with all that succeeded.
        digest: `items_digest` of the kept items where that is known; else empty.
        partial_bytes: The size of the shard's partial.
    """

    retry: int
    index: int
    stretches: Sequence[int]
    rebuilt_of: Sequence[int] | None = None
    digest: str = ""
    partial_bytes: int = 0

    @property
    def items(self) -> int:
        """How many items are kept."""
        return count_within(self.stretches)


@dataclass(frozen=True, slots=True)
class KeptShard:
    """A shard that is taken over: of one shard of the base, or put together of several small ones."""

    parts: tuple[KeptPart, ...]

    @property
    def items(self) -> int:
        """How many items it has."""
        return sum(part.items for part in self.parts)


Together = Callable[[Sequence[KeptPart]], Iterable[Sequence[KeptPart]]]
"""Which of the kept parts, in their order, become one shard."""


def _each_alone(parts: Sequence[KeptPart]) -> list[list[KeptPart]]:
    return [[part] for part in parts]


@dataclass
class Comparison:
    """What became of the base's items, and which items are kept.

    Attributes:
        kept: The shards that are taken over, in the base's order.
        order: The `bounds` of the positions of all items in the listing: those of the kept shards, then the others.
        kept_items: How many are kept.
        changed: How many are worked again.
        new: How many the base does not have.
        removed: How many of the base's are gone; a line of each was written.
    """

    kept: list[KeptShard] = field(default_factory=list)
    order: array[int] = field(default_factory=lambda: array("I"))
    kept_items: int = 0
    changed: int = 0
    new: int = 0
    removed: int = 0

    def planned(
        self, asked: str, base: Base, items: ItemStore, *, takeover_digest: str = "", removed_digest: str = ""
    ) -> PlannedReuse:
        """What plan.json says of it.

        Args:
            asked: What the request asked for.
            base: The run that is reused.
            items: The items that were compared, in this comparison's order.
            takeover_digest: Of the file that says what each kept shard is taken over from; empty where there is none.
            removed_digest: Of the list of what is gone; empty where there is none.
        """
        return PlannedReuse(
            asked=asked,
            base=base.run_id,
            base_retry=base.retry,
            kept=self.kept_items,
            changed=self.changed,
            new=self.new,
            removed=self.removed,
            kept_shards=len(self.kept),
            kept_bytes=items.bytes_of(range(self.kept_items)),
            takeover_digest=takeover_digest,
            removed_digest=removed_digest,
            why_not="",
        )


def compare(
    items: ItemStore,
    shards: Iterable[BaseShard],
    removed: BinaryIO,
    *,
    most_kept: int,
    together: Together = _each_alone,
    lacking: Callable[[BaseShard], Collection[int]] = lambda _shard: (),
    contributed: Callable[[BaseShard], Collection[int]] = lambda _shard: (),
) -> Comparison:
    """Compare a listing with a base.

    Args:
        items: The items of the new listing, in the order of their keys.
        shards: The base's shards.
        removed: Takes a line for each item that is gone, with its key, and the rerun and shard that it was worked in.
        most_kept: How many shards may be kept; the largest ones are.
        together: Which small ones become one shard; by default none do.
        lacking: Which items of a shard, by their places, have to be worked again, though their objects are unchanged.
        contributed: Of which items of a shard, by their places, the contributions are there; asked for shards alone
            that have some, and of which some items changed or are gone.
    """
    return _Comparing(items, removed, lacking, contributed).compare(shards, most_kept, together)


class _Comparing:
    def __init__(
        self,
        items: ItemStore,
        removed: BinaryIO,
        lacking: Callable[[BaseShard], Collection[int]],
        contributed: Callable[[BaseShard], Collection[int]],
    ) -> None:
        self._removed = removed
        self._lacking = lacking
        self._contributed = contributed
        self._state = bytearray(len(items))
        self._walk = ListingWalk(items)
        self._parts: list[KeptPart] = []
        self._found = Comparison()

    def compare(self, shards: Iterable[BaseShard], most_kept: int, together: Together) -> Comparison:
        found = self._found
        for shard in shards:
            self._take(shard)
        found.kept = [KeptShard(tuple(parts)) for parts in together(self._parts)]
        if len(found.kept) > most_kept:
            self._drop_smallest(most_kept)
        state = self._state
        for part in chain.from_iterable(shard.parts for shard in found.kept):
            found.order.extend(part.stretches)
        found.kept_items = count_within(found.order)
        found.changed = state.count(_SEEN)
        found.new = len(state) - found.kept_items - found.changed
        found.order.extend(chain.from_iterable(run.span() for run in _NOT_KEPT.finditer(state)))
        return found

    def _take(self, shard: BaseShard) -> None:
        lacking = self._lacking(shard)
        if not shard.succeeded and not lacking and self._take_stretch(shard):
            return
        places = self._places(shard)
        wanted, rebuilt_of = places.runs, None
        if lacking:
            wanted = only(wanted, turned(mask_of(lacking, shard.items)))
        if shard.succeeded:
            wanted = only(wanted, bytes(shard.succeeded))
        whole = count(wanted) == (sum(shard.succeeded) if shard.succeeded else shard.items) and self._is_free(wanted)
        if not whole:
            wanted = self._rebuildable(shard, wanted)
            rebuilt_of = numbers_of(wanted)
        if count(wanted) < count(places.runs) or not self._is_free(wanted):
            for _, each in places.runs:
                self._state[each.start : each.stop] = self._state[each.start : each.stop].translate(_SEEN_TOO)
        if self._is_free(wanted):
            digest = shard.digest if whole and places.exact and not shard.succeeded else ""
            self._keep(shard, positions_of(wanted), rebuilt_of, digest)

    def _is_free(self, runs: Sequence[Run]) -> bool:
        """Whether no other shard has one of the items: none is in two of one base, were its files right."""
        if not runs or overlap(runs):
            return False
        if not self._is_kept_between(runs):
            return True
        return all(self._state.find(_SEEN | _KEPT, each.start, each.stop) < 0 for _, each in runs)

    def _is_kept_between(self, runs: Sequence[Run]) -> bool:
        """Whether an item is kept that is among these, or between two of them."""
        first, stop = min(each.start for _, each in runs), max(each.stop for _, each in runs)
        return self._state.find(_SEEN | _KEPT, first, stop) >= 0

    def _take_stretch(self, shard: BaseShard) -> bool:
        """Keep a shard all of whose items follow each other in the listing: as most do, and in a tenth of the time."""
        found = self._stretch(shard)
        if found is None:
            return False
        stretch, state = slice(found.start, found.stop), self._state
        if state[stretch].count(0) != len(found):
            return False
        self._keep(shard, array("I", (found.start, found.stop)), None, shard.digest)
        return True

    def _keep(self, shard: BaseShard, kept: Sequence[int], rebuilt_of: Sequence[int] | None, digest: str) -> None:
        self._set(kept, _SEEN | _KEPT)
        self._parts.append(KeptPart(shard.retry, shard.index, kept, rebuilt_of, digest, shard.partial_bytes))

    def _set(self, stretches: Sequence[int], state: int) -> None:
        for start, stop in zip(stretches[::2], stretches[1::2], strict=True):
            self._state[start:stop] = bytes([state]) * (stop - start)

    def _rebuildable(self, shard: BaseShard, runs: Sequence[Run]) -> list[Run]:
        """Of a shard's items that succeeded and are unchanged, those that have their contribution."""
        if shard.contributions is None or not runs:
            return []
        found = only(runs, mask_of(self._contributed(shard), shard.items))
        if not found or not self._is_kept_between(found):
            return found
        return [
            (number + each.start() - positions.start, range(*each.span()))
            for number, positions in found
            for each in _NOT_KEPT.finditer(self._state, positions.start, positions.stop)
        ]

    def _stretch(self, shard: BaseShard) -> range | None:
        return self._walk.stretch(shard.text, shard.items)

    def _places(self, shard: BaseShard) -> Places:
        """Where a shard's items are in the listing, unchanged.

        That the base has the object of an item that changed is noted, and so is each that is gone.
        """
        found = self._walk.places(shard.text)
        lines = shard.lines() if found.others else []
        for number, there in found.others:
            for at in there:
                self._state[at] |= _SEEN
            if not there and (shard.last or not shard.succeeded or shard.succeeded[number]):
                self._note_removed(shard, lines[number])
        return found

    def _note_removed(self, shard: BaseShard, line: bytes) -> None:
        self._found.removed += 1
        if _WHOLE_OBJECT.fullmatch(line):  # as most are: in a tenth of the time
            self._removed.write(b'%b,"retry":%d,"shard":%d}\n' % (line[:-2], shard.retry, shard.index))
            return
        gone = json.loads(line)
        row = {name: gone[name] for name in ("key", "size", "etag", "first_byte", "last_byte") if name in gone}
        row |= {"retry": shard.retry, "shard": shard.index}
        self._removed.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def _drop_smallest(self, most_kept: int) -> None:
        """Work the items of the smallest kept shards again: there are more than the run may keep."""
        kept = self._found.kept
        largest = sorted(range(len(kept)), key=lambda number: (-kept[number].items, number))[:most_kept]
        for number in set(range(len(kept))).difference(largest):
            for part in kept[number].parts:
                self._set(part.stretches, _SEEN)
        self._found.kept = [kept[number] for number in sorted(largest)]


_WHOLE_OBJECT = re.compile(rb'\{"key":"(?:[^"\\]|\\.)*","size":[0-9]+,"etag":"(?:[^"\\]|\\.)*"\}\n')
"""The line of an item that has no version, no range, and is in no special storage class."""

_NOT_KEPT = re.compile(b"[%b%b]+" % (bytes([0]), bytes([_SEEN])))
