"""What axe-core, the accessibility checker, finds on a page."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.browser.chromium import Page

SCRIPT = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
"""`npm ci` puts it there; package-lock.json pins it."""

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@cache
def _script() -> str:
    return SCRIPT.read_text()


def faults(page: Page) -> list[str]:
    """Every rule that the page breaks, each with what breaks it; the rules of WCAG 2.2 AA and axe's own."""
    page.evaluate(f"{_script()}; true")
    found: dict[str, Any] = page.evaluate(
        f"axe.run(document, {{runOnly: {json.dumps(RULES)}, resultTypes: ['violations']}})"
        ".then(found => ({checked: found.passes.length, broken: found.violations.map("
        "rule => rule.id + ': ' + rule.nodes.map(node => node.html.slice(0, 200)).join(' | '))}))"
    )
    assert found["checked"] > 10, "axe-core found nothing to check"
    return list(found["broken"])
