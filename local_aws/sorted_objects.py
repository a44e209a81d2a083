"""A bucket's objects with their keys in order, so that a page of a listing needs no look at every object."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from typing import Any, Self


class SortedObjects(dict[str, dict[str, Any]]):
    """A dict of objects by key that knows the order of its keys once somebody has listed it.

    ministack puts, replaces and takes out one object at a time. Whatever else changes the dict makes it forget the
    order, and the next listing sorts the keys anew.
    """

    _sorted: list[str] | None = None

    def keys_behind(self, after: str, prefix: str) -> Iterator[str]:
        """The keys with a prefix and behind a key, in order.

        Args:
            after: The key.
            prefix: The prefix.
        """
        if self._sorted is None:
            self._sorted = sorted(dict.keys(self))
        keys = self._sorted
        first = bisect_left(keys, prefix) if after < prefix else bisect_right(keys, after)
        for key in islice(keys, first, None):
            if not key.startswith(prefix):
                return
            yield key

    def __setitem__(self, key: str, record: dict[str, Any]) -> None:
        if self._sorted is not None and not dict.__contains__(self, key):
            insort(self._sorted, key)
        super().__setitem__(key, record)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._gone(key)

    def pop(self, key: str, *default: Any) -> Any:  # noqa: D102 - as a dict's
        was_there = dict.__contains__(self, key)
        record = super().pop(key, *default)
        if was_there:
            self._gone(key)
        return record

    def popitem(self) -> tuple[str, dict[str, Any]]:  # noqa: D102 - as a dict's
        self._sorted = None
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:  # noqa: D102 - as a dict's
        self._sorted = None
        return super().setdefault(key, default)

    def update(self, *given: Any, **more: Any) -> None:  # noqa: D102 - as a dict's
        self._sorted = None
        super().update(*given, **more)

    def clear(self) -> None:  # noqa: D102 - as a dict's
        self._sorted = None
        super().clear()

    def __ior__(self, other: Any) -> Self:  # type: ignore[override, misc]
        self.update(other)
        return self

    def _gone(self, key: str) -> None:
        if self._sorted is not None:
            del self._sorted[bisect_left(self._sorted, key)]
