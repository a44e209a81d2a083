"""Which shards of a base a new listing leaves as they were.

A shard of the base is *kept* where every one of its items that succeeded is in the new listing, unchanged. An item that
failed put nothing into the shard's partial, so it does not keep the others from being kept: it is worked again itself.
Where contributions of its items lie beside its commit, a shard of which some items changed or are gone is rebuilt from
those of the others. A rerun's shards are shards of the base like others: an item is in the one in which it succeeded.

Nothing is hashed, and no item becomes an object: lines are compared (`listing_walk`). So ten million items take a byte
of state each, and their order four bytes for each that no other one follows as before.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from operator import lt
from typing import BinaryIO

from millrace.planning.item_store import ItemStore
from millrace.records.reused import PlannedReuse
from millrace.reuse.base import Base
from millrace.reuse.base_shards import BaseShard
from millrace.reuse.listing_walk import NO_ETAG, ListingWalk

KEPT_SHARE = 0.75
"""Of the shards that a run may have, so many may be kept ones: the others are for what is new."""

_SEEN, _KEPT = 1, 2
"""An item's state: the base has its object; its result is taken over."""

_LONG_RUN = 8
"""So many items that follow each other in the listing are one range of the order."""


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What is kept of a shard of the base.

    Attributes:
        retry: Which rerun of the base it is a shard of; 0 for the base's own.
        index: Its index there.
        stretches: Where the kept items are in the listing: ranges, and positions one by one.
        rebuilt_of: Which items, by their places in the shard, where it is rebuilt from contributions; else None: it is
            taken over with all that succeeded.
        digest: `items_digest` of the kept items where that is known; else empty.
        partial_bytes: The size of the shard's partial.
    """

    retry: int
    index: int
    stretches: tuple[Sequence[int], ...]
    rebuilt_of: tuple[int, ...] | None = None
    digest: str = ""
    partial_bytes: int = 0

    @property
    def items(self) -> int:
        """How many items are kept."""
        return sum(map(len, self.stretches))


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
        order: The positions of all items in the listing, in stretches: those of the kept shards, then the others.
        kept_items: How many are kept.
        changed: How many are worked again.
        new: How many the base does not have.
        removed: How many of the base's are gone; a line of each was written.
    """

    kept: list[KeptShard] = field(default_factory=list)
    order: list[Sequence[int]] = field(default_factory=list)
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
        found.order = [stretch for shard in found.kept for part in shard.parts for stretch in part.stretches]
        found.kept_items = sum(map(len, found.order))
        found.changed = state.count(_SEEN)
        found.new = len(state) - found.kept_items - found.changed
        found.order.extend(_others(state))
        return found

    def _take(self, shard: BaseShard) -> None:
        lacking = self._lacking(shard)
        if not shard.succeeded and not lacking and self._take_stretch(shard):
            return
        positions = self._positions(shard)
        state = self._state
        for number in lacking:
            if positions[number] >= 0:
                state[positions[number]] |= _SEEN
                positions[number] = -1
        wanted = positions if not shard.succeeded else list(compress(positions, shard.succeeded))
        numbers = None
        if not self._is_free(wanted):
            numbers = self._rebuildable(shard, positions)
            wanted = [positions[number] for number in numbers]
        kept = _stretches(wanted) if self._is_free(wanted) else []
        if kept:
            self._keep(shard, kept, None if numbers is None else tuple(numbers))
        if not kept or wanted is not positions:
            for at in positions:
                if at >= 0:
                    state[at] |= _SEEN

    def _is_free(self, positions: Sequence[int]) -> bool:
        """Whether items are all there, and no other shard has one: none is in two of one base, were its files right."""
        if not positions or min(positions) < 0 or len(set(positions)) != len(positions):
            return False
        return max(map(self._state.__getitem__, positions)) < _KEPT

    def _take_stretch(self, shard: BaseShard) -> bool:
        """Keep a shard all of whose items follow each other in the listing: as most do, and in a tenth of the time."""
        found = self._stretch(shard)
        if found is None:
            return False
        stretch, state = slice(found.start, found.stop), self._state
        if state[stretch].count(0) != len(found):
            return False
        self._keep(shard, [found], None, shard.digest)
        return True

    def _keep(
        self, shard: BaseShard, kept: list[Sequence[int]], rebuilt_of: tuple[int, ...] | None, digest: str = ""
    ) -> None:
        for stretch in kept:
            if isinstance(stretch, range):
                self._state[stretch.start : stretch.stop] = bytes([_SEEN | _KEPT]) * len(stretch)
                continue
            for at in stretch:
                self._state[at] = _SEEN | _KEPT
        self._parts.append(KeptPart(shard.retry, shard.index, tuple(kept), rebuilt_of, digest, shard.partial_bytes))

    def _rebuildable(self, shard: BaseShard, positions: Sequence[int]) -> list[int]:
        """Which items are unchanged, succeeded, and have their contribution, by their places in the shard."""
        if shard.contributions is None or max(positions, default=-1) < 0:
            return []
        there = self._contributed(shard)
        state, succeeded = self._state, shard.succeeded
        return [
            number
            for number, at in enumerate(positions)
            if at >= 0 and number in there and not state[at] & _KEPT and (not succeeded or succeeded[number])
        ]

    def _stretch(self, shard: BaseShard) -> range | None:
        return self._walk.stretch(shard.text, shard.items)

    def _positions(self, shard: BaseShard) -> list[int]:
        """Where each of a shard's items is in the listing, unchanged; -1 where it is not.

        That the base has the object of an item that changed is noted, and so is each that is gone.
        """
        lines = shard.lines()
        found, others = self._walk.places(lines, nameless=NO_ETAG in shard.text)
        for number, there in others:
            for at in there:
                self._state[at] |= _SEEN
            if not there and (shard.last or not shard.succeeded or shard.succeeded[number]):
                self._note_removed(shard, lines[number])
        return found

    def _note_removed(self, shard: BaseShard, line: bytes) -> None:
        self._found.removed += 1
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
                for at in chain.from_iterable(part.stretches):
                    self._state[at] = _SEEN
        self._found.kept = [kept[number] for number in sorted(largest)]


def _stretches(positions: Sequence[int]) -> list[Sequence[int]]:
    """Positions in their order: as ranges where many follow each other, else one by one."""
    if not all(map(lt, positions, islice(positions, 1, None))):
        return [array("I", positions)]
    found: list[Sequence[int]] = []
    left = [(0, len(positions))]
    while left:
        start, stop = left.pop()
        first, last = positions[start], positions[stop - 1]
        if last - first == stop - start - 1:
            before = found[-1] if found else range(0)
            if isinstance(before, range) and before and before.stop == first:
                found[-1] = range(before.start, last + 1)
            else:
                found.append(range(first, last + 1))
        elif stop - start < _LONG_RUN:
            found.append(array("I", positions[start:stop]))
        else:
            middle = (start + stop) // 2
            left += [(middle, stop), (start, middle)]
    return found


_NOT_KEPT = re.compile(b"[%b%b]+" % (bytes([0]), bytes([_SEEN])))


def _others(state: bytearray) -> Iterator[Sequence[int]]:
    """The positions of the items that are not kept, in stretches: ranges where they are long, else one by one."""
    single = array("I")
    for run in _NOT_KEPT.finditer(state):
        start, stop = run.span()
        if stop - start < _LONG_RUN:
            single.extend(range(start, stop))
            continue
        if single:
            yield single
            single = array("I")
        yield range(start, stop)
    if single:
        yield single
