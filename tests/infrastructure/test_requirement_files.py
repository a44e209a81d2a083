"""Every requirement file is what `make lock` would write of its source: a pin that is not in it is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*requirements*.in")
    if not {".venv", "node_modules", "build"} & set(path.parts)
)


def asked(source: Path) -> Iterator[Requirement]:
    """The requirements of a source file, with those of the files that it includes by `-r`."""
    for line in source.read_text("utf-8").splitlines():
        text = line.split(" #")[0].split("#")[0].strip()
        if text.startswith("-r "):
            yield from asked(source.parent / text.removeprefix("-r ").strip())
        elif text and not text.startswith("-"):
            yield Requirement(text)


def locked(path: Path) -> dict[str, set[str]]:
    """The versions that a requirement file pins of each package; several where they differ by Python or platform."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", path.read_text("utf-8"), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_what_is_asked_for_is_locked(source: Path) -> None:
    """Each package of the source, and of what it includes, is in the locked file in a version that it allows."""
    pins = locked((ROOT / source).with_suffix(".txt"))
    wanted = list(asked(ROOT / source))
    assert wanted
    for requirement in wanted:
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert any(requirement.specifier.contains(each, prereleases=True) for each in versions), (
            f"{requirement} of {source} is not locked: run `make lock`"
        )
