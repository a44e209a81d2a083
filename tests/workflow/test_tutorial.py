"""docs/tutorial.md, and every other page with commands to run here, as a reader would follow them."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.checkout import ROOT
from tests.workflow.conftest import LocalStack
from tests.workflow.documented import DOWN, blocks, follow

pytestmark = pytest.mark.long

TUTORIAL = ROOT / "docs/tutorial.md"
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if page != TUTORIAL and any(kind == "sh" for kind, _ in blocks(page))
]
"""Blocks of other kinds are read by tests/unit/test_documented_commands.py."""


def test_every_command_of_the_tutorial(stack: LocalStack, tmp_path: Path) -> None:
    """In an empty folder, each block does what the text below it shows."""
    assert TUTORIAL.read_text(encoding="utf-8").count(f"\n{DOWN}\n") == 1
    assert (follow(TUTORIAL, stack, tmp_path) / "tutorial/report/report.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page(page: Path, stack: LocalStack, tmp_path: Path) -> None:
    """Its blocks run one after the other, and print the lines that the page shows."""
    follow(page, stack, tmp_path)
