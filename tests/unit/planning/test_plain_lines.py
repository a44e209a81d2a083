"""The lines of a whole page at once: the very lines that its objects have one by one, or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.job import Job
from batch_jobs.planning.source_items import source_items
from millrace.planning.listed_items import plain_lines
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.s3.listing_page import OBJECTS, ListedObject, WrittenPage, take_objects
from millrace.settings import JobSettings
from millrace.source.filters import ItemFilter
from tests.listing_answers import ALGORITHM, answering, objects, page_of, s3_writes

MOST = 1 << 30


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some, so that requests can be signed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def page(*listed: ListedObject) -> WrittenPage:
    """A page as the client gives it."""
    added: dict[str, Any] = {}
    take_objects({"status_code": 200, "body": page_of("".join(s3_writes(one) for one in listed))}, added)
    taken: WrittenPage = added[OBJECTS]
    return taken


KEYS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(' +%&"\\\n/\x7f')), min_size=1, max_size=20
)
PLAIN = st.lists(
    st.builds(
        ListedObject,
        KEYS.filter(lambda key: not key.endswith("/")),
        st.integers(0, MOST),
        st.text("abcdef0123456789-", min_size=1, max_size=34).map(lambda text: f'"{text}"'),
        st.just("STANDARD"),
    ),
    min_size=1,
    max_size=12,
)


@given(PLAIN)
def test_the_lines_are_those_of_the_items(listed: list[ListedObject]) -> None:
    """Whatever the keys are: blanks, line feeds, quotes, what is URL-encoded and what JSON escapes."""
    made = plain_lines(page(*listed), MOST)
    assert made is not None
    assert list(made[0]) == [Item(key, size, etag, None, storage).to_line() for key, size, etag, storage in listed]
    assert list(made[1]) == [one.size for one in listed]


@pytest.mark.parametrize(
    "odd",
    [
        ListedObject("in/folder/", 0, '"e"', "STANDARD"),
        ListedObject("in/large", MOST + 1, '"e"', "STANDARD"),
        ListedObject("in/cold", 1, '"e"', "GLACIER"),
        ListedObject("in/odd", 1, "e", "STANDARD"),
        ListedObject("in/none", 1, "", "STANDARD"),
        ListedObject("in/odd", 1, '"e.f"', "STANDARD"),
    ],
)
def test_one_that_has_to_be_looked_at_sends_the_page_another_way(odd: ListedObject) -> None:
    """A folder marker, a large object, another class, an ETag of another form; and a page of another form."""
    plain = ListedObject("in/a", 1, '"e"', "STANDARD")
    assert plain_lines(page(plain, odd, plain), MOST) is None
    assert list(page(plain, odd)) == [plain, odd]
    assert plain_lines([plain], MOST) is None


def _pages(listed: list[list[ListedObject]], length: int) -> list[list[ListedObject]]:
    """A listing as S3 gives it: each key once, in order, in pages."""
    by_key = {one.key: one for some in listed for one in some}
    ordered = [by_key[key] for key in sorted(by_key)]
    return [ordered[start : start + length] for start in range(0, len(ordered), length)]


@given(
    st.builds(_pages, st.lists(objects.filter(bool), min_size=1, max_size=4), st.integers(1, 5)),
    st.sampled_from([[], ["*a*"]]),
)
@settings(max_examples=10, deadline=None)
def test_a_source_has_the_same_items_either_way(pages: list[list[ListedObject]], include: list[str]) -> None:
    """Page by page through a real client, and object by object."""
    answers = [
        (200, page_of("".join(s3_writes(one, ALGORITHM) for one in listed), more=number < len(pages)))
        for number, listed in enumerate(pages, start=1)
    ]
    s3, _ = answering(*answers)
    given = {"source": "s3://source/", "destination": "s3://result/", "include": include}
    request = RunRequest.parse({**given, "workload": "command", "options": {"command": ["true"]}})
    store, skipped = source_items(request, Job(s3, JobSettings(concurrency=1)))
    chosen = ItemFilter("", include, [])
    expected = [item.to_line() for listed in pages for item in chosen.items(listed)]
    assert store.lines(range(len(store))) == b"".join(expected)
    assert skipped == chosen.skipped
