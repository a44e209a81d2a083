"""Which of the source's objects are items."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import translate

from millrace.records.plan import Item
from millrace.s3.verbs import ListedObject

SKIPPED = ("folder_markers", "not_included", "excluded")
"""Why an object is no item."""


class ItemFilter:
    """Separates items from other objects, and counts the others.

    Args:
        prefix: The source folder's key.
        include: Glob patterns of which an item's relative key must match one; empty means all.
        exclude: Glob patterns of which it may match none. `*` matches `/` too; case counts.

    Attributes:
        skipped: How many objects were no items: folder_markers, not_included, excluded.
    """

    def __init__(self, prefix: str, include: Iterable[str], exclude: Iterable[str]) -> None:
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPPED, 0))
        self._start = len(prefix)
        self._include = [re.compile(translate(pattern)) for pattern in include]
        self._exclude = [re.compile(translate(pattern)) for pattern in exclude]

    @property
    def has_patterns(self) -> bool:
        """Whether a key has to be looked at: else folder markers alone are no items."""
        return bool(self._include or self._exclude)

    def takes(self, key: str, size: int) -> bool:
        """Whether an object is an item; one that is not is counted. A size below 0 is unknown."""
        reason = self._why_not(key, size)
        if reason:
            self.skipped[reason] += 1
        return reason is None

    def items(self, listing: Iterable[ListedObject]) -> Iterator[Item]:
        """The items among the listed objects."""
        patterns = self.has_patterns
        for found in listing:
            key, size, etag, storage_class = found
            reason = self._why_not(key, size) if patterns or not size else None
            if reason:
                self.skipped[reason] += 1
            else:
                yield Item(key, size, etag, None, storage_class)

    def _why_not(self, key: str, size: int) -> str | None:
        if key.endswith("/") and not size:
            return "folder_markers"
        relative = key[self._start :]
        if self._include and not any(pattern.match(relative) for pattern in self._include):
            return "not_included"
        if any(pattern.match(relative) for pattern in self._exclude):
            return "excluded"
        return None
