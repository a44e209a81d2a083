"""Lines in byte ranges: JSON Lines cut over shards, by a workload of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import ErrorCode, ItemError
from millrace.planning import splitting
from millrace.workload import LOOK_BACK_BYTES, Item, Outputs, Totals, lines
from tests.run_in_memory import RunInMemory


def chunked(raw: bytes, first: int, size: int) -> list[bytes]:
    """What a range's body is: the look-back, and everything behind it."""
    start = max(0, first - LOOK_BACK_BYTES)
    return [raw[place : place + size] for place in range(start, len(raw), size)]


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"{}", b"\xe2\x80\xa8", b"\xff", b"longer"]), max_size=40),
    st.lists(st.integers(1, 100), max_size=8),
    st.integers(1, 30),
)
def test_each_line_is_one_ranges(pieces: list[bytes], places: list[int], size: int) -> None:
    """The ranges' lines, put together, are the object's, wherever it is cut; only line feeds end a line."""
    raw = b"".join(pieces)
    *whole_lines, rest = raw.split(b"\n")
    expected = [line + b"\n" for line in whole_lines] + ([rest] if rest else [])
    whole = Item("a", len(raw), '"e"')
    assert list(lines(whole, chunked(raw, 0, size))) == expected
    cuts = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    found = [
        line
        for first, end in pairwise(cuts)
        for line in lines(Item("a", len(raw), '"e"', first_byte=first, last_byte=end - 1), chunked(raw, first, size))
    ]
    assert found == expected


def test_a_line_without_end_is_refused() -> None:
    """Before it is held in memory."""
    with pytest.raises(ItemError) as caught:
        list(lines(Item("a", 100, '"e"'), [b"x" * 10] * 10, max_line_bytes=50))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_range_reads_no_further_than_its_last_line() -> None:
    """What is behind is another request."""
    body = iter([b"one\n", b"two\n", b"three\n"])
    assert list(lines(Item("a", 14, '"e"', first_byte=0, last_byte=5), body)) == [b"one\n", b"two\n"]
    assert next(body) == b"three\n"


class Orders:
    """A workload as the documentation has it: sums over JSON Lines."""

    partial_suffix = ".json"
    item_suffixes: tuple[str, ...] = ()

    def splits(self, key: str) -> bool:
        """Whether a file may be cut."""
        return not key.endswith((".gz", ".zst"))

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> dict[str, int]:  # noqa: ARG002
        """Add up an item."""
        amounts = [json.loads(line)["amount"] for line in lines(item, body)]
        return {"orders": len(amounts), "amount": sum(amounts)}

    def partial(self) -> Totals:
        """A new, empty sum."""
        return Totals()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> Mapping[str, Any]:  # noqa: ARG002
        """The run's sums."""
        return Totals.merged(partials)


def test_json_lines_are_cut_over_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record counts once, whatever the cuts go through."""
    monkeypatch.setattr(splitting, "LEAST_RANGE_BYTES", 1)
    records = [{"amount": number, "text": "é" * (number % 7)} for number in range(60)]
    raw = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    run = RunInMemory({"in/a.jsonl": raw}, {"shard": {"target_bytes": 100}}, load=lambda *_given: Orders())
    assert run.all().shards > 10
    assert run.result()["result"] == {"orders": 60, "amount": sum(range(60))}
