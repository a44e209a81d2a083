"""A plan holds each key once, in order, whatever names its keys: a listing, a manifest, a retry."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.planning import source_items as module
from millrace.errors import ListingError
from millrace.layout import S3Uri
from millrace.planning.key_order import ascending, page_ends
from millrace.records.plan import Item
from millrace.s3.listing_page import ListedObject, Page, WrittenPage, page_keys
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

FOLDER = S3Uri(SOURCE, "in/")
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map("in/".__add__)


def as_objects(keys: list[str]) -> Page:
    """A page as the XML parser gives it."""
    return [ListedObject(key, 1, '"e"', "STANDARD") for key in keys]


def as_rows(keys: list[str]) -> Page:
    """A page as S3 writes it."""
    return WrittenPage([(quote_plus(key, safe="/").encode(), b"e", b"", b"1", b"") for key in keys])


@given(st.lists(KEYS, min_size=1, max_size=6), st.sampled_from([as_objects, as_rows]))
def test_a_page_counts_only_where_its_keys_strictly_ascend(keys: list[str], page_of: Any) -> None:
    """However a page is held, its keys are told as they are, and taken in the order of their bytes alone."""
    page = page_of(keys)
    assert page_keys(page) == keys
    if all(one.encode() < other.encode() for one, other in pairwise(keys)):
        assert page_ends(page, FOLDER) == (keys[0], keys[-1])
    else:
        with pytest.raises(ListingError, match="ascend strictly"):
            page_ends(page, FOLDER)


@pytest.mark.parametrize("keys", [["in"], ["in/a", "in0"], ["other/a"]])
def test_keys_outside_of_the_source_are_refused(keys: list[str]) -> None:
    """Their outputs' keys would be cut from another folder's."""
    with pytest.raises(ListingError, match="outside"):
        page_ends(as_objects(keys), FOLDER)


@pytest.mark.parametrize(
    "pages",
    [
        [["in/a", "in/b"], ["in/b", "in/c"]],
        [["in/a", "in/d"], ["in/b", "in/c"]],
        [["in/a", "in/b"], ["in/a", "in/b"]],
        [["in/b", "in/a"]],
        [["in/a", "in/a"]],
    ],
)
@pytest.mark.parametrize("page_of", [as_objects, as_rows])
def test_a_plan_does_not_trust_the_listing(
    monkeypatch: pytest.MonkeyPatch, pages: list[list[str]], page_of: Any
) -> None:
    """Pages that overlap, or a page out of order, are refused, whoever listed them; no plan is written."""
    run = RunInMemory()
    monkeypatch.setattr(module, "listing_pages", lambda *_given: map(page_of, pages))
    with pytest.raises(ListingError, match=r"list s3://source/in/: .* ascend strictly"):
        run.plan()
    assert not run.client.bodies(RESULT)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("objects", [30, 300])
def test_a_page_that_comes_again_ends_the_plan(concurrency: int, objects: int) -> None:
    """A server that answers with keys that were listed before is not asked for ever."""
    client = InMemoryS3Client(SOURCE, RESULT, page_size=10)
    run = RunInMemory({f"in/{n:03}": b"x" for n in range(objects)}, client=client, concurrency=concurrency)
    first: list[dict[str, Any]] = []

    def after(verb: str, *call: Any) -> Any:
        if verb == "list_objects_v2":
            first.append(call[-1])
            return first[0] if len(first) > 2 else None
        return None

    client.after = after
    with pytest.raises(ListingError, match="planned twice"):
        run.plan()


def test_pages_may_come_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several list at once: what counts is how the pages are behind each other once all are there."""
    run = RunInMemory()
    pages = [["in/c", "in/d"], ["in/a", "in/b"], ["in/e"]]
    monkeypatch.setattr(module, "listing_pages", lambda *_given: map(as_rows, pages))
    assert run.plan().items == 5


def test_ranges_ascend_within_their_key() -> None:
    """Items of one key follow each other by their first bytes, and none comes twice."""
    ranges = [Item("in/a", 9, "e", first_byte=first, last_byte=first + 2) for first in (0, 3, 6)]
    items = [*ranges, Item("in/b", 1, "e")]
    assert list(ascending(items, FOLDER)) == items
    for wrong in ([ranges[1], ranges[1]], [ranges[1], ranges[0]], [items[3], items[3]], [items[3], ranges[0]]):
        with pytest.raises(ListingError):
            list(ascending(wrong, FOLDER))
