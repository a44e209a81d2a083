"""Whether the outputs of an earlier run's items are still there: one listing of the destination, and a look-up each."""

from __future__ import annotations

import json
import logging
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from tempfile import TemporaryFile

from millrace.errors import DamagedFileError, ObjectNotFoundError, RunIdentityError
from millrace.in_order import in_order
from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.planning.listing_pages import listing_pages
from millrace.planning.making import PlanMaker
from millrace.records.files import read_commit
from millrace.records.generations import Generation
from millrace.reuse.base import Base
from millrace.reuse.base_shards import BaseShard
from millrace.s3.listing_page import Page

log = logging.getLogger(__name__)

PAGES_IN_MEMORY = 64
"""So many pages of the listing, of a thousand keys each, are in memory; a shard's outputs are mostly in one or two."""


class ListedKeys:
    """Keys that can be looked up: their pages in a file, the first key of each page in memory.

    Args:
        pages: The pages of a listing, in any order; no two overlap.
        without: Keys that begin with this are left out.
    """

    def __init__(self, pages: Iterable[Page], without: str) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as this does
        weakref.finalize(self, self._file.close)
        places = []
        for page in pages:
            keys = [each.key for each in page if not each.key.startswith(without)]
            if keys:
                text = json.dumps(keys).encode()
                places.append((keys[0].encode(), self._file.tell(), len(text)))
                self._file.write(text)
        places.sort()  # S3 lists in the order of the keys' UTF-8 bytes
        self._firsts = [first for first, _, _ in places]
        self._places = [(start, length) for _, start, length in places]
        self._pages: OrderedDict[int, frozenset[str]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        page = bisect_right(self._firsts, key.encode()) - 1
        return page >= 0 and key in self._page(page)

    def _page(self, page: int) -> frozenset[str]:
        keys = self._pages.pop(page, None)
        if keys is None:
            start, length = self._places[page]
            self._file.seek(start)
            keys = frozenset(json.loads(self._file.read(length)))
        self._pages[page] = keys
        if len(self._pages) > PAGES_IN_MEMORY:
            self._pages.popitem(last=False)
        return keys


class KeptOutputs:
    """Which items of a base lack an output.

    Args:
        base: The base.
        maker: Who makes the plan.
    """

    def __init__(self, base: Base, maker: PlanMaker) -> None:
        self._generations: Mapping[int, Generation] = {each.plan.retry: each for each in base.generations}
        self._destination = S3Uri.parse(base.generations[0].plan.destination)
        self._maker = maker
        self._gone: tuple[tuple[int, int], Collection[int]] = ((-1, -1), ())

    def looked_at(self, shards: Iterable[BaseShard]) -> Iterator[BaseShard]:
        """The same shards; `gone` may be asked for each as long as no other one was given.

        Raises:
            StorageError: The destination cannot be listed.
        """
        with closing(in_order(self._outputs_of, shards, self._maker.concurrency)) as read:
            for shard, outputs in read:
                place = shard.retry, shard.index
                if outputs is None:  # its commit has gone since: it cannot be taken over either
                    self._gone = place, range(shard.items)
                    yield shard
                    continue
                missing = [(number, output) for number, output in outputs if not self._is_there(output)]
                if missing:
                    fields = {
                        "retry": shard.retry,
                        "shard": shard.index,
                        "gone": len(missing),
                        "one": str(missing[0][1]),
                    }
                    log.info("outputs are gone; their items are worked again", extra={"fields": fields})
                self._gone = place, frozenset(number for number, _ in missing)
                yield shard

    def gone(self, shard: BaseShard) -> Collection[int]:
        """Which items of the shard lack an output, by their places."""
        place, numbers = self._gone
        return numbers if place == (shard.retry, shard.index) else range(shard.items)

    @cached_property
    def _listed(self) -> ListedKeys:
        destination, maker = self._destination, self._maker
        pages = listing_pages(destination, maker.s3, maker.check, maker.concurrency)
        return ListedKeys(pages, destination.join(RESERVED_FOLDER).key)

    def _outputs_of(self, shard: BaseShard) -> tuple[BaseShard, list[tuple[int, S3Uri]] | None]:
        generation = self._generations[shard.retry]
        try:
            commit = read_commit(generation.folder, shard.index, generation.plan, self._maker.s3)
        except (DamagedFileError, RunIdentityError):
            commit = None
        if commit is None:
            return shard, None
        rows = enumerate(commit.outcomes)
        return shard, [(number, S3Uri.parse(output)) for number, outcome in rows for output in outcome.outputs]

    def _is_there(self, output: S3Uri) -> bool:
        if self._destination.contains(output):
            return output.key in self._listed
        try:  # where a pattern of `copy` leads elsewhere
            self._maker.s3.head(output)
        except ObjectNotFoundError:
            return False
        return True
