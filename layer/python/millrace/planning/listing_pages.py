"""A listing of many keys by several requests at once.

S3 gives a thousand keys an answer, and the next request needs the last key of it: ten million keys one after the other
are ten thousand round trips. So once a listing turns out to be long, the keys that are left are shared out: an idle
worker takes the second half of what another one has before it. The middle is a guess from the two keys at the ends
alone; a wrong one costs a request, and halves what the next guess has to choose from.
"""

from __future__ import annotations

import gc
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue

from millrace.layout import S3Uri
from millrace.planning.key_order import check_pages
from millrace.s3.listing_page import Page
from millrace.s3.verbs import S3

ALONE_PAGES = 8
"""So many pages are asked for one after the other before others join in."""

AT_ONCE = 16
"""How many requests are under way at most: S3 gives a prefix 5,500 reads a second, and a core parses some 250."""

FREE_GUESSES = 32
"""So many halves may turn out to be empty, and one more for every four pages that are not."""

_HIGHEST = "\U0010ffff"
"""Nothing is guessed behind it; keys that begin with it belong to the last stretch."""

_TOPS = (0x3A, 0x5B, 0x7B, 0x7F, 0x800, 0xD800)
"""Just behind the digits, the capitals, the small letters, ASCII, the alphabets, and all before the surrogates."""

_LONGEST = 250  # characters of a key that are looked at: a guess stays below S3's 1,024 bytes


def listing_pages(source: S3Uri, s3: S3, check: Callable[[], None], concurrency: int) -> Iterator[Page]:
    """Every object below a folder, page by page; the pages in no order, none empty, none overlapping another.

    Args:
        source: The folder.
        s3: Where to list it.
        check: Called between two requests; raises StoppedError where it is time to stop.
        concurrency: How many requests are under way at most; with 1 no thread is started, and the pages come in order.

    Raises:
        StorageError: The folder cannot be listed.
        ListingError: S3 names keys in no order, or one twice.
        StoppedError: `check` says so.
    """
    with _collecting_rarely():
        yield from _listed(_Listing(source, s3, check), min(concurrency, AT_ONCE))


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Look for cycles of garbage every 50,000 objects, not every 700: a fifth of the CPU that a listing takes.

    The listing makes millions of objects, and none of them is garbage.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True)
class _Listing:
    """What is listed, and how.

    Attributes:
        source: The folder.
        s3: Where it is.
        check: Called before each request.
    """

    source: S3Uri
    s3: S3
    check: Callable[[], None]

    def page_behind(self, position: str) -> tuple[Page, bool]:
        """The first keys behind `position`, and whether there are more: one before it would be listed forever."""
        self.check()
        page, more = self.s3.list_page(self.source.bucket, self.source.key, position)
        if page:
            check_pages((("", position), (page[0].key, "")), self.source)
        return page, more


def _listed(listing: _Listing, at_once: int) -> Iterator[Page]:
    position, more, pages = "", True, 0
    while more and (at_once == 1 or pages < ALONE_PAGES):
        page, more = listing.page_behind(position)
        pages += 1
        if page:
            position = page[-1].key
            yield page
    if more:
        yield from _Workers(listing, position, at_once).pages()


@dataclass(eq=False)
class _Stretch:
    """Keys behind `position`, up to and with `end`.

    Attributes:
        position: The last key that was listed.
        end: The last key that may belong to it; None for the last stretch, to which all keys belong that are left.
        begun: Whether a page of it has come.
    """

    position: str
    end: str | None
    begun: bool = False


@dataclass
class _Workers:
    listing: _Listing
    position: str
    at_once: int
    failure: BaseException | None = None
    full: int = 0
    empty: int = 0
    ended: bool = False
    stretches: list[_Stretch] = field(default_factory=list)
    free: list[_Stretch] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def pages(self) -> Iterator[Page]:
        """The pages, as they come."""
        come: Queue[Page | None] = Queue(2 * self.at_once)
        threads = [threading.Thread(target=self._work, args=(come,), daemon=True) for _ in range(self.at_once)]
        first = _Stretch(self.position, None, begun=True)
        self.stretches.append(first)
        self.free.append(first)
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                page = come.get()
                if page is None:
                    left -= 1
                else:
                    yield page
            if self.failure is not None:
                raise self.failure
        finally:
            self.ended = True
            while left:  # let go of those that wait to hand over a page
                left -= come.get() is None
            for thread in threads:
                thread.join()

    def _work(self, come: Queue[Page | None]) -> None:
        try:
            while (stretch := self._next()) is not None:
                self._list(stretch, come)
        except BaseException as error:  # noqa: BLE001 - raised again where the pages are taken
            self.failure = self.failure or error
            self.ended = True
        finally:
            with self.changed:
                self.changed.notify_all()
            come.put(None)

    def _list(self, stretch: _Stretch, come: Queue[Page | None]) -> None:
        """List a stretch to its end, which may come nearer meanwhile."""
        more = True
        while more and not self.ended:
            page, more = self.listing.page_behind(stretch.position)
            with self.changed:
                if page and stretch.end is not None and page[-1].key >= stretch.end:
                    page, more = page[: bisect_right(page, stretch.end, key=lambda listed: listed.key)], False
                self.full += bool(page)
                self.empty += not page and not stretch.begun
                stretch.begun = True
                if page:
                    stretch.position = page[-1].key
                if not more:
                    self.stretches.remove(stretch)
                self.changed.notify_all()
            if page:
                come.put(page)

    def _next(self) -> _Stretch | None:
        """Something to do: the first stretch, or half of another's; None when all is listed."""
        with self.changed:
            while not self.ended:
                if self.free:
                    return self.free.pop()
                if not self.stretches:
                    return None
                half = self._half() if self.empty <= FREE_GUESSES + self.full // 4 else None
                if half is not None:
                    return half
                self.changed.wait()
        return None

    def _half(self) -> _Stretch | None:
        """The second half of what a stretch has before it, if one can be halved: each in its turn."""
        for other in self.stretches:
            end = self.listing.source.key + _HIGHEST if other.end is None else other.end
            middle = between(other.position, end) if other.begun else None
            if middle is not None:
                half = _Stretch(middle, other.end)
                other.end = middle
                self.stretches.remove(other)
                self.stretches += [half, other]
                return half
        return None


def between(low: str, high: str) -> str | None:
    """A key about halfway between two, `low < key < high`, or None where none comes to mind.

    Args:
        low: A key.
        high: A greater one; of one that is not greater, nothing is between.
    """
    if low >= high:
        return None
    same = next(
        (place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    for place in range(same, len(low) + 1):
        floor = ord(low[place]) if place < len(low) else 0x20
        ceiling = ord(high[place]) if place == same and place < len(high) else 0xD800
        # Behind a digit come digits, behind a letter letters: where there are others, a later guess finds them.
        middle = (floor + min(ceiling, next(top for top in _TOPS if floor < top - 1))) // 2 if floor < 0xD7FF else 0
        if floor < middle and place < _LONGEST:
            return low[:place] + chr(middle)
    return None
