"""A browser for all tests. Where there is none they fail and say what to install; `make test` does not run them."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    """A headless Chromium."""
    with Chromium() as running:
        yield running


@pytest.fixture
def page(browser: Chromium) -> Page:
    """A new page."""
    return browser.page()
