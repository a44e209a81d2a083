"""Python looks for garbage seldom while a source is listed, and as usual afterwards."""

from __future__ import annotations

import gc
from typing import Any

from millrace.layout import S3Uri
from millrace.planning.listing_pages import listing_pages
from tests.run_in_memory import SOURCE, RunInMemory


def test_a_listing_leaves_the_collector_as_it_was() -> None:
    """Also one that is given up half-way."""
    usual = gc.get_threshold()
    before = (600, 9, 8)
    gc.set_threshold(*before)
    job = RunInMemory({"in/a": b"x", "in/b": b"x"}).job()
    pages: Any = listing_pages(S3Uri(SOURCE, "in/"), job.s3, job.stop.check, 1)
    next(pages)
    assert gc.get_threshold() > before
    pages.close()
    after = gc.get_threshold()
    gc.set_threshold(*usual)
    assert after == before
