"""Which shards of a base a new listing leaves as they were.

A shard of the base is *kept* where every one of its items that succeeded is in the new listing, unchanged. An item that
failed put nothing into the shard's partial, so it does not keep the others from being kept: it is worked again itself.
Where contributions of its items lie beside its commit, a shard of which some items changed or are gone is rebuilt from
those of the others. A rerun's shards are shards of the base like others: an item is in the one in which it succeeded.

Nothing is hashed, and no item becomes an object: the lines of a shard are looked for among the lines of the listing
between its first and its last key. So ten million items take a byte of state and four of order each.
"""

from __future__ import annotations

import json
import logging
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import compress
from typing import BinaryIO

from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.in_order import in_order
from millrace.planning.item_store import ItemStore
from millrace.records.commit import PartialFile
from millrace.records.files import read_commit, read_commit_head
from millrace.records.generations import Generation
from millrace.records.plan import items_digest
from millrace.records.reused import PlannedReuse
from millrace.reuse.base import Base
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)

KEPT_SHARE = 0.75
"""Of the shards that a run may have, so many may be kept ones: the others are for what is new."""

_TOGETHER = 4096
"""So many items of a shard are looked for together, among the lines of the listing from the first to the last."""

_WIDEST = 64
"""Where these are more than so many times the items, each item is looked for by itself."""

_SEEN, _KEPT = 1, 2
"""An item's state: the base has its object; its result is taken over."""

_NO_ETAG = b'"etag":""'


@dataclass(frozen=True, slots=True)
class BaseShard:
    """A shard of the base, as far as it is compared.

    Attributes:
        retry: Which rerun's it is; 0 for the run's own.
        index: Its index there.
        lines: Its items, a line of its shard file each, without the line feed.
        contributions: Where the contributions of its items lie; None where none were kept.
        succeeded: Whether each of them succeeded; empty where all did.
        last: Whether no later rerun has worked its failed items again.
    """

    retry: int
    index: int
    lines: Sequence[bytes]
    succeeded: Sequence[bool]
    last: bool
    contributions: PartialFile | None = None


@dataclass(frozen=True, slots=True)
class KeptShard:
    """A shard that is taken over.

    Attributes:
        retry: Which rerun of the base it is a shard of; 0 for the base's own.
        index: Its index there.
        items: How many items of it are kept.
        rebuilt_of: Which items, by their places in the shard, where it is rebuilt from contributions; else None: it is
            taken over with all that succeeded.
    """

    retry: int
    index: int
    items: int
    rebuilt_of: tuple[int, ...] | None = None


@dataclass
class Comparison:
    """What became of the base's items, and which items are kept.

    Attributes:
        kept: The shards that are taken over, in the base's order.
        order: The positions of all items in the listing: those of the kept shards, shard by shard, then the others.
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


def compare(
    items: ItemStore,
    shards: Iterable[BaseShard],
    removed: BinaryIO,
    *,
    most_kept: int,
    usable: Callable[[BaseShard], bool] = lambda _shard: True,
    contributed: Callable[[BaseShard], Collection[int]] = lambda _shard: (),
) -> Comparison:
    """Compare a listing with a base.

    Args:
        items: The items of the new listing, in the order of their keys.
        shards: The base's shards.
        removed: Takes a line for each item that is gone, with its key, and the rerun and shard that it was worked in.
        most_kept: How many shards may be kept; the largest ones are.
        usable: Whether a shard may be kept, were its items unchanged; asked for such shards alone.
        contributed: Of which items of a shard, by their places, the contributions are there; asked for shards alone
            that have some, and of which some items changed or are gone.
    """
    return _Comparing(items, removed, usable, contributed).compare(shards, most_kept)


class _Comparing:
    def __init__(
        self,
        items: ItemStore,
        removed: BinaryIO,
        usable: Callable[[BaseShard], bool],
        contributed: Callable[[BaseShard], Collection[int]],
    ) -> None:
        self._items = items
        self._removed = removed
        self._usable = usable
        self._contributed = contributed
        self._state = bytearray(len(items))
        self._found = Comparison()

    def compare(self, shards: Iterable[BaseShard], most_kept: int) -> Comparison:
        found = self._found
        for shard in shards:
            self._take(shard)
        if len(found.kept) > most_kept:
            self._drop_smallest(most_kept)
        state = self._state
        found.kept_items = len(found.order)
        found.changed = state.count(_SEEN)
        found.new = len(state) - found.kept_items - found.changed
        others = state.translate(bytes(not value & _KEPT for value in range(256)))
        found.order.extend(compress(range(len(state)), others))
        return found

    def _take(self, shard: BaseShard) -> None:
        positions = self._positions(shard)
        if not shard.succeeded and self._take_stretch(shard, positions):
            return
        wanted = positions if not shard.succeeded else list(compress(positions, shard.succeeded))
        state = self._state
        # No item is in two shards of one base, were its files right.
        whole = bool(wanted) and min(wanted) >= 0 and not any(state[at] & _KEPT for at in wanted)
        keep = whole and len(set(wanted)) == len(wanted) and self._usable(shard)
        numbers = None
        if not whole:
            numbers = self._rebuildable(shard, positions)
            wanted = [positions[number] for number in numbers]
            keep = bool(wanted) and self._usable(shard)
        for at in positions:
            if at >= 0:
                state[at] |= _SEEN
        if keep:
            for at in wanted:
                state[at] |= _KEPT
            self._found.order.extend(wanted)
            self._found.kept.append(
                KeptShard(shard.retry, shard.index, len(wanted), None if numbers is None else tuple(numbers))
            )

    def _take_stretch(self, shard: BaseShard, positions: Sequence[int]) -> bool:
        """Keep a shard all of whose items follow each other in the listing: as most do, and in a tenth of the time."""
        first = positions[0] if positions else -1
        stretch, state = slice(first, first + len(positions)), self._state
        if first < 0 or positions != list(range(stretch.start, stretch.stop)) or _KEPT in state[stretch]:
            return False
        if state[stretch].count(_SEEN | _KEPT) or not self._usable(shard):
            return False
        state[stretch] = bytes([_SEEN | _KEPT]) * len(positions)
        self._found.order.extend(positions)
        self._found.kept.append(KeptShard(shard.retry, shard.index, len(positions)))
        return True

    def _rebuildable(self, shard: BaseShard, positions: Sequence[int]) -> list[int]:
        """Which items are unchanged, succeeded, and have their contribution, by their places in the shard."""
        if shard.contributions is None or max(positions, default=-1) < 0:
            return []
        there = frozenset(self._contributed(shard))
        return [
            number
            for number, at in enumerate(positions)
            if at >= 0
            and number in there
            and not self._state[at] & _KEPT
            and (not shard.succeeded or shard.succeeded[number])
        ]

    def _positions(self, shard: BaseShard) -> list[int]:
        """Where each of a shard's items is in the listing, unchanged; -1 where it is not."""
        numbers: Sequence[int] = range(len(shard.lines))
        if shard.retry:  # the failed items of a run that reused another are in the order of its shards
            numbers = sorted(numbers, key=lambda number: _key(shard.lines[number]))
        positions = [-1] * len(numbers)
        for start in range(0, len(numbers), _TOGETHER):
            some = numbers[start : start + _TOGETHER]
            for number, at in zip(some, self._some(shard, some), strict=True):
                positions[number] = at
        return positions

    def _some(self, shard: BaseShard, numbers: Sequence[int]) -> list[int]:
        """Of some items, given by their numbers in the shard, in the order of their keys."""
        lines = [shard.lines[number] for number in numbers]
        items = self._items
        start, stop = items.first_at(_key(lines[0])), items.first_behind(_key(lines[-1]))
        if stop - start > _WIDEST * len(lines):
            return [self._position(shard, number, start, stop) for number in numbers]
        window = items.lines(range(start, stop)).split(b"\n")[:-1]
        places = dict(zip(window, range(start, stop), strict=True))
        positions = [places.get(line, -1) for line in lines]
        # What has no ETag is the same by name alone: nobody knows whether it changed.
        nameless = _NO_ETAG in b"".join(lines)
        if -1 in positions or nameless:
            by_key: dict[bytes, list[tuple[int, bytes]]] = {}
            for at, line in enumerate(window, start):
                by_key.setdefault(_key_part(line), []).append((at, line))
            for place, (at, line) in enumerate(zip(positions, lines, strict=True)):
                if at < 0 or (nameless and _NO_ETAG in line):
                    positions[place] = self._same(shard, numbers[place], by_key.get(_key_part(line), []))
        return positions

    def _position(self, shard: BaseShard, number: int, start: int, stop: int) -> int:
        key = _key(shard.lines[number])
        places = range(self._items.first_at(key, start, stop), self._items.first_behind(key, start, stop))
        window = self._items.lines(places).split(b"\n")[:-1]
        return self._same(shard, number, list(zip(places, window, strict=True)))

    def _same(self, shard: BaseShard, number: int, there: Sequence[tuple[int, bytes]]) -> int:
        """Which of the listing's items of one key an item is; what the base has, and what is gone, is noted."""
        line = shard.lines[number]
        if not there:
            if shard.last or not shard.succeeded or shard.succeeded[number]:
                self._note_removed(shard, line)
            return -1
        was = _identity(line)
        same = next((at for at, found in there if was is not None and _identity(found) == was), -1)
        if same < 0:
            for at, _ in there:
                self._state[at] |= _SEEN
        return same

    def _note_removed(self, shard: BaseShard, line: bytes) -> None:
        self._found.removed += 1
        gone = json.loads(line)
        row = {name: gone[name] for name in ("key", "size", "etag", "first_byte", "last_byte") if name in gone}
        row |= {"retry": shard.retry, "shard": shard.index}
        self._removed.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def _drop_smallest(self, most_kept: int) -> None:
        """Work the items of the smallest kept shards again: there are more than the run may keep."""
        kept, before = self._found.kept, self._found.order
        largest = sorted(range(len(kept)), key=lambda number: (-kept[number].items, number))[:most_kept]
        staying, order, start = frozenset(largest), array("I"), 0
        for number, shard in enumerate(kept):
            positions = before[start : start + shard.items]
            start += shard.items
            if number in staying:
                order.extend(positions)
                continue
            for at in positions:
                self._state[at] = _SEEN
        self._found.order = order
        self._found.kept = [kept[number] for number in sorted(staying)]


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
    lines = text.split(b"\n")[:-1]
    if len(lines) != head.counts.items:
        raise DamagedFileError("the commit has another number of items", operation="reuse", target=str(uri))
    succeeded: list[bool] = []
    if head.counts.failed:
        commit = read_commit(folder, index, plan, s3)
        if commit is None:
            raise DamagedFileError("the commit vanished", operation="reuse", target=str(folder.commit(index)))
        succeeded = [outcome.status == "SUCCEEDED" for outcome in commit.outcomes]
    return BaseShard(plan.retry, index, lines, succeeded, last, head.contributions)


def _key(line: bytes) -> str:
    key: str = json.loads(line)["key"]
    return key


def _key_part(line: bytes) -> bytes:
    """The beginning of an item's line, with its key: the same for the items of one key alone."""
    # Inside the key the quotes would be escaped.
    return line[: line.index(b'","size":')]


_STORAGE_CLASS = re.compile(rb',"storage_class":"[^"]*"')


def _identity(line: bytes) -> bytes | None:
    """What an item is known by; None where nothing says that it did not change, or where it is not worked at all.

    The storage class may change: the bytes are the same. All else of a line says which object it is, and which part.
    """
    if _NO_ETAG in line or b',"shares_output":' in line:
        return None
    return _STORAGE_CLASS.sub(b"", line) if b',"storage_class":' in line else line
