"""report.html in a real browser: nothing loads, one script runs; it fits a phone, keyboard and reader can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.axe import faults
from tests.browser.chromium import Page
from tests.report_pages import HOSTILE, commits_of, page_of


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a large run with hostile keys, words and options."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    words = [{"word": word, "count": 100 - number} for number, word in enumerate(HOSTILE)]
    path.write_text(page_of(commits_of(500, HOSTILE), {"top": words}, options=dict.fromkeys(HOSTILE, HOSTILE[0])))
    return path


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_loaded_and_only_the_search_runs(page: Page, report: Path, dark: bool) -> None:  # noqa: FBT001
    """The page asks for itself alone; its one script ran, no dialog came, and neither console nor policy complains."""
    page.open(report, dark=dark)
    assert page.evaluate("document.images.length + document.forms.length") == 0
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("[...document.querySelectorAll('.search')].every(each => !each.hidden)")
    assert page.requests == [report.as_uri()]
    assert page.complaints == []


def test_failures_are_searched(page: Page, report: Path) -> None:
    """Ten thousand rows or a few: those are left in which all the words stand, and how many is said."""
    page.open(report)
    rows = "document.querySelectorAll('.search + .scroll tbody tr:not([hidden])').length"
    every = page.evaluate(rows)
    page.evaluate(
        "const field = document.querySelector('.search input'); field.value = 'IT is 37'; "
        "field.dispatchEvent(new Event('input'))"
    )
    left = page.evaluate(rows)
    assert 0 < left < every
    assert page.evaluate("document.querySelector('.search output').textContent") == f"{left} of {every}"


def test_the_policy_holds(page: Page, report: Path, tmp_path: Path) -> None:
    """Were a key let through as markup after all, the browser would neither run its script nor load its picture."""
    path = tmp_path / "report.html"
    evil = "<script>document.title='run'</script><img src='https://example.com/x' onerror=\"document.title='run'\">"
    path.write_text(report.read_text().replace("<main", f"{evil}<main"))
    page.open(path)

    assert page.evaluate("document.title") != "run"
    assert page.evaluate("document.images[0].naturalWidth") == 0
    assert sum("Content Security Policy" in complaint for complaint in page.complaints) >= 2


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_it_fits_the_screen(page: Page, report: Path, width: int) -> None:
    """No screen scrolls sideways but for a table in its own frame, and text is 12 pixels high at least."""
    page.open(report, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.clientWidth") == width
    smallest = (
        "Math.min(...[...document.body.querySelectorAll('*')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert page.evaluate(smallest) >= 12


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(page: Page, report: Path, dark: bool) -> None:  # noqa: FBT001
    """Every text has a contrast of 4.5 to what is behind it (WCAG 2.2, 1.4.3), light and dark."""
    page.open(report, dark=dark)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)"
    )
    worst: dict[str, Any] = page.evaluate(
        """(() => {
          const numbers = text => text.match(/[0-9.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = e => { for (; e; e = e.parentElement) {
            const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
            return [255, 255, 255]; };
          let worst = {ratio: 99, text: ''};
          for (const e of document.body.querySelectorAll('*')) {
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('svg')) continue;
            const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < worst.ratio) worst = {ratio, text: e.textContent.slice(0, 60)};
          }
          return worst; })()"""
    )
    assert worst["ratio"] >= 4.5, worst


def test_a_keyboard_is_enough(page: Page, report: Path) -> None:
    """Tab leads to the link past the header first, then through links, groups, tables; Enter opens a group."""
    page.open(report)
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    visited = set()
    for _ in range(60):
        page.press("Tab")
        visited.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
    assert visited >= {"A.", "SUMMARY.", "DIV.scroll"}
    page.evaluate("document.querySelector('details:not([open]) > summary').focus()")
    page.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")


def test_a_screen_reader_finds_its_way(page: Page, report: Path) -> None:
    """Landmarks, one first heading, and a name for every chart, table and part."""
    page.open(report)
    nodes = [node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))

    assert len(roles["main"]) == len(roles["banner"]) == len(roles["contentinfo"]) == 1
    for role in ("image", "table", "region", "figure"):
        assert roles[role], role
        if role != "figure":
            assert all(roles[role]), role
    assert roles["heading"][0].startswith("Run ")
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1100, True)])
def test_axe_finds_no_fault(page: Page, report: Path, width: int, dark: bool) -> None:  # noqa: FBT001
    """The checker's rules for WCAG 2.2 AA, and its own, hold on a phone and on a wide screen, light and dark."""
    page.open(report, width=width, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert faults(page) == []
