"""A listing by several requests at once."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.stop import Stop
from millrace.errors import AccessDeniedError, StoppedError
from millrace.layout import S3Uri
from millrace.planning import listing_pages as module
from millrace.planning.listing_pages import between, listing_pages
from tests.in_memory_s3 import InMemoryS3Client, error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

FOLDER = S3Uri(SOURCE, "in/")
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
shared = st.sampled_from(["", "2026/11/", "customer-0000", "水/", "~~~"])
keys = st.lists(st.tuples(shared, names).map("".join), max_size=120, unique=True)


def listing(found: list[str], concurrency: int, page_size: int = 3) -> RunInMemory:
    """A run whose source holds these keys."""
    client = InMemoryS3Client(SOURCE, RESULT, page_size=page_size)
    return RunInMemory({f"in/{key}": b"x" for key in found}, client=client, concurrency=concurrency)


def pages_of(run: RunInMemory, stop: Stop | None = None) -> Any:
    """The listing as the plan job makes it."""
    job = run.job(stop)
    return listing_pages(FOLDER, job.s3, job.stop.check, job.settings.concurrency)


ODD = st.sampled_from(
    "\x00\x01\t\n !%+-/059:;AZ[az{~\x7f\x80é\u07ff\u0800水\ud7ff\ue000\uffff\U00010000\U0010fffe\U0010ffff"
)
odd_names = st.text(ODD, min_size=1, max_size=5)
"""Where a guess has to look twice: at the bounds of what it chooses from, keys that begin with other keys, the last
character of all."""


@settings(max_examples=60)
@given(keys, st.integers(1, 6), st.integers(1, 4))
def test_every_key_is_listed_once(found: list[str], concurrency: int, page_size: int) -> None:
    """However many list at once, whatever the keys: every one once, and pages that do not overlap."""
    run = listing(found, concurrency, page_size)
    pages = [[one.key for one in page] for page in pages_of(run)]
    assert all(pages)
    in_order = [key for page in sorted(pages) for key in page]
    assert in_order == sorted(f"in/{key}" for key in found)


@settings(max_examples=200)
@given(st.sets(odd_names, max_size=90), st.integers(1, 5), st.integers(2, 6), st.integers(1, 3))
def test_adversarial_names_are_each_listed_once(found: set[str], page: int, concurrency: int, alone: int) -> None:
    """Whatever the names and the size of a page: what is listed by several at once is the sorted set of the keys."""
    run = listing(sorted(found), concurrency, page)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALONE_PAGES", alone)
        pages = [[one.key for one in page] for page in pages_of(run)]
    assert [key for page in sorted(pages) for key in page] == sorted(f"in/{key}" for key in found)


@pytest.mark.parametrize("page_size", [1, 5, 10, 100])
def test_a_page_that_ends_where_a_stretch_ends(page_size: int) -> None:
    """Keys that are the very guesses, and others right behind them, are each listed once, and planned once."""
    found = [f"{number}{end}" for number in range(400) for end in ("", " (1)", " (2)", "-", "M")]
    found += ["\U0010ffff" * times for times in range(1, 40)]
    run = listing(found, 6, page_size)
    pages = [[one.key for one in page] for page in pages_of(run)]
    assert [key for page in sorted(pages) for key in page] == sorted(f"in/{key}" for key in found)
    assert run.plan().items == len(found)


@settings(max_examples=400)
@given(names | odd_names, names | odd_names)
def test_between_is_between(first: str, second: str) -> None:
    """A guess is strictly behind the one key and strictly before the other; between a key and itself there is none."""
    low, high = sorted((first, second))
    assert between(low, low) is None
    assert between(high, low) is None
    middle = between(low, high)
    assert middle is None or low < middle < high
    assert middle is None or middle.encode()


def test_short_listings_need_no_thread() -> None:
    """Up to eight pages one after the other, in order."""
    run = listing([f"{number:03}" for number in range(24)], 8)
    pages = [[one.key for one in page] for page in pages_of(run)]
    assert pages == sorted(pages)
    assert run.client.requests == {"list_objects_v2": 8}


def test_long_listings_are_shared_out_at_little_cost() -> None:
    """Several ask at once, and empty guesses are at most a third of the requests."""
    dice = random.Random(3)
    found = [f"documents/2026/{dice.randint(1, 12):02}/customer-{number:08}.txt" for number in range(6000)]
    run = listing(found, 6, 10)
    asking, most = set(), [0]

    def before(_verb: str, _bucket: str, _key: str) -> None:
        asking.add(threading.get_ident())
        most[0] = max(most[0], len(asking))

    run.client.before = before
    assert sum(map(len, pages_of(run))) == 6000
    assert most[0] > 3
    assert run.client.requests["list_objects_v2"] < 600 * 1.5


def test_a_refusal_on_the_way_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever meets it: the caller gets it, and no thread is left behind."""
    monkeypatch.setattr(module, "ALONE_PAGES", 2)
    run = listing([f"{number:03}" for number in range(300)], 4)
    calls = [0]

    def before(*_call: Any) -> None:
        calls[0] += 1
        if calls[0] == 20:
            raise error("AccessDenied", 403)

    run.client.before = before
    threads = threading.active_count()
    with pytest.raises(AccessDeniedError):
        list(pages_of(run))
    assert threading.active_count() == threads


def test_a_caller_that_goes_away_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that nobody takes are dropped."""
    monkeypatch.setattr(module, "ALONE_PAGES", 2)
    run = listing([f"{number:04}" for number in range(3000)], 4)
    threads = threading.active_count()
    pages: Any = pages_of(run)
    for _ in range(10):
        next(pages)
    pages.close()
    assert threading.active_count() == threads


def test_a_listing_ends_when_the_job_has_to_stop() -> None:
    """Between two pages."""
    run = listing([f"{number:04}" for number in range(3000)], 4)
    stop = Stop(wait=lambda _seconds: None)
    pages: Any = pages_of(run, stop)
    for _ in range(20):
        next(pages)
    stop.request("SIGTERM")
    with pytest.raises(StoppedError):
        list(pages)


def test_a_plan_is_the_same_however_it_was_listed() -> None:
    """The plan's digest depends on the objects, not on who listed them first."""
    found = [f"{number:04}{'é' * (number % 3)}" for number in range(500)]
    digests = {listing(found, concurrency, 7).plan().digest for concurrency in (1, 2, 8)}
    assert len(digests) == 1
