"""`try_on`: a workload's function is called as a job calls it, without AWS."""

# ruff: noqa: ARG001 - functions as users write them: what they do not need, they leave
from __future__ import annotations

import bz2
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest

from millrace import Item, ItemBody, ItemError, Outputs, try_on, workload
from millrace.errors import InvalidRunRequest

WORDS: list[str] = []


class Case(Enum):
    """What to do with letters."""

    UPPER = "upper"
    LOWER = "lower"


@workload(outputs=[".seen", ".more"])
def shown(
    item: Item,
    body: ItemBody,
    outputs: Outputs,
    *,
    case: Case = Case.UPPER,
    least: float = 0.0,
    words: list[str] = WORDS,
) -> Iterator[dict[str, Any]]:
    """Rows, and a file."""
    with outputs.open(".seen") as file:
        file.write(item.key.encode())
    for line in body.lines():
        yield {"line": line.upper() if case is Case.UPPER else line.lower(), "least": least, "words": words}


def test_rows_and_files_are_seen() -> None:
    """Rows come as a list, files by their suffix, options as the types that the function declares."""
    tried = try_on(
        shown, bz2.compress(b"One\ntwo"), key="in/a.bz2", options={"case": "lower", "least": 1, "words": ["x"]}
    )
    assert tried.given == [{"line": line, "least": 1.0, "words": ["x"]} for line in ("one", "two")]
    assert tried.files == {".seen": b"in/a.bz2"}
    assert try_on(shown, "é").given == [{"line": "É", "least": 0.0, "words": []}]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"case": "title"}, "upper or lower"), ({"lest": 1}, "did you mean least"), ({"least": "1"}, "least")],
)
def test_a_wrong_option_is_refused_as_in_a_job(options: dict[str, object], named: str) -> None:
    """By its name, with what is allowed."""
    with pytest.raises(InvalidRunRequest, match=named):
        try_on(shown, b"", options=options)


def test_what_a_job_would_refuse_is_refused() -> None:
    """A suffix that is not declared, a content type that S3 does not take, a damaged object, no decorator."""

    @workload(outputs=[".a"])
    def wrong(item: Item, body: ItemBody, outputs: Outputs) -> None:
        outputs.open(".b")

    with pytest.raises(ValueError, match=r"'\.b' is not declared: its outputs are \.a"):
        try_on(wrong, b"")

    @workload(outputs=[".a"])
    def strange(item: Item, body: ItemBody, outputs: Outputs, *, content_type: str = "text/plain") -> None:
        outputs.open(".a", content_type)
        outputs.open(".a")

    with pytest.raises(ValueError, match="a content type is printable ASCII"):
        try_on(strange, b"", options={"content_type": "text/plain\r\nX: y"})
    with pytest.raises(ValueError, match="it is open already"):
        try_on(strange, b"")
    with pytest.raises(ItemError, match=r"."):
        try_on(shown, bz2.compress(b"x" * 99)[:-3], key="a.bz2")
    with pytest.raises(TypeError, match=r"decorate it with @workload\(\)"):
        try_on(len, b"")
