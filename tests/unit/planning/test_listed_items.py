"""The items of listed objects, on pages as S3 writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from millrace.cost.ranges import ranges_of
from millrace.planning.listed_items import listed_items
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.s3.listing_page import WrittenPage

MIB = 1 << 20


@pytest.mark.parametrize("include", [[], ["*"]])
@pytest.mark.parametrize(("per_second", "most"), [(1e9, 256 * MIB), (1e6, 60_000_000), (1000.0, 32 * MIB)])
def test_whoever_may_cut_is_asked_for_what_is_too_large(include: list[str], per_second: float, most: int) -> None:
    """More than a shard holds, or than a child works in a minute: whether or not patterns choose, and as estimated."""
    fields: dict[str, Any] = {"include": include, "pace": {"bytes_per_second": per_second}}
    request = RunRequest.parse({"source": "s3://source/", "destination": "s3://result/", **fields})
    asked: list[Item] = []

    def cut(items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            asked.append(item)
            yield item

    for size, is_large in ((most, False), (most + 1, True)):
        page = WrittenPage([(b"a", b"e", b"", str(size).encode(), b"")])
        asked.clear()
        listed_items(request, [page], cut)
        assert bool(asked) >= is_large
        assert (ranges_of(Item("a", size, '"e"'), request) > 1) == is_large
