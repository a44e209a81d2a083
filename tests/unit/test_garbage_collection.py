"""Python looks for garbage seldom while a source is listed, and as usual afterwards."""

from __future__ import annotations

import gc

from batch_jobs.listing_pages import listing_pages
from millrace.layout import S3Uri
from tests.run_in_memory import SOURCE, RunInMemory


def test_a_listing_leaves_the_collector_as_it_was() -> None:
    """Also one that is given up half-way."""
    before = gc.get_threshold()
    pages = listing_pages(S3Uri(SOURCE, "in/"), RunInMemory({"in/a": b"x", "in/b": b"x"}).job())
    next(pages)
    assert gc.get_threshold() > before
    pages.close()
    assert gc.get_threshold() == before
