"""Large objects cut into byte ranges: every word is counted by exactly one of them."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import gzip
import io
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_jobs.job import Job
from batch_jobs.planning.source_items import source_items
from batch_jobs.s3 import range_reader
from batch_jobs.s3.range_reader import RangeReader
from batch_jobs.workloads.registry import load_workload
from batch_jobs.workloads.word_count.text_ranges import RangeText
from batch_jobs.workloads.word_count.word_blocks import MAX_WORD_BYTES
from batch_jobs.workloads.word_count.words import words_of
from millrace.cost.ranges import LEAST_RANGE_BYTES, MOST_RANGES
from millrace.errors import ErrorCode, ItemError
from millrace.layout import S3Uri
from millrace.planning import splitting
from millrace.planning.splitting import cut_large
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from millrace.workload.contract import LOOK_BACK_BYTES
from millrace.workload.record import UNKNOWN_PACE
from millrace.workload.registry import checked_options
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, fast

SCRIPTS = (
    "mill Race",
    "ΣΑΣ ς",
    "हिन्दी में",
    "ไทย",
    "水车，磨坊。",
    "مرحبا بك",
    "e\u0301 é",
    "🙂𝒜",
    "a\u200db",
    "\r\n",
    "\u2028",
    "it’s",
)
texts = st.lists(st.sampled_from(SCRIPTS) | st.text(max_size=5), max_size=30).map(
    lambda parts: "".join(parts).replace("\0", "")
)


def body_of(raw: bytes, first: int, chunk_bytes: int) -> list[bytes]:
    """What the job hands over for a range: from a little before it to the object's end."""
    raw = raw[max(0, first - LOOK_BACK_BYTES) :]
    return [raw[at : at + chunk_bytes] for at in range(0, len(raw), chunk_bytes)]


def ranges_of(raw: bytes, cuts: list[int]) -> list[tuple[int, int]]:
    """The ranges between these cuts: first byte and last byte."""
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    return [(first, following - 1) for first, following in pairwise(places)]


@given(texts, st.lists(st.integers(1, 300), max_size=8), st.integers(1, 50))
@example("水。车", [1, 2, 3, 4, 5, 6, 7, 8], 1)
@example("a  b", [1, 2, 3], 1)
def test_the_ranges_of_a_text_share_out_its_bytes(text: str, cuts: list[int], chunk_bytes: int) -> None:
    """Wherever the cuts are, the texts of the ranges put together are the text, and no word is in two of them."""
    raw = text.encode()
    parts = []
    for first, last in ranges_of(raw, cuts):
        part = RangeText(first, last, body_of(raw, first, chunk_bytes))
        mine = b"".join(part)
        assert raw[part.start : part.start + len(mine)] == mine
        parts.append(mine)

    assert b"".join(parts) == raw
    assert [word for part in parts for word in words_of(part.decode())] == words_of(text)


@given(texts, st.lists(st.integers(1, 300), max_size=8), st.integers(1, 50))
def test_a_range_holds_the_words_that_begin_in_it(text: str, cuts: list[int], chunk_bytes: int) -> None:
    """A word belongs to the range that its first byte is in."""
    raw = text.encode()
    for first, last in ranges_of(raw, cuts):
        part = RangeText(first, last, body_of(raw, first, chunk_bytes))
        begins = [part.start + len(words) for words in _beginnings(b"".join(part).decode())]
        assert all(first <= place <= last for place in begins)


def _beginnings(text: str) -> list[bytes]:
    """What comes before each word."""
    places = [
        place for place, (before, here) in enumerate(pairwise(" " + text)) if not words_of(before) and words_of(here)
    ]
    return [text[:place].encode() for place in places]


def test_the_range_of_a_long_word_reads_it_to_its_end() -> None:
    """A word across several ranges belongs to the first; the ranges that it covers have none."""
    raw = b"one " + b"x" * 100_000 + b" two"
    counted = [
        b"".join(RangeText(first, last, body_of(raw, first, 1000))) for first, last in ranges_of(raw, [10, 60_000])
    ]
    assert counted == [raw[:-3], b"", b"two"]


def test_a_word_without_end_is_refused_by_both_ranges() -> None:
    """What is no text in one piece is none in ranges."""
    raw = b"one " + b"x" * (MAX_WORD_BYTES + 10_000) + b" two"
    for first, last in ranges_of(raw, [5]):
        with pytest.raises(ItemError, match="a word longer than") as caught:
            b"".join(RangeText(first, last, body_of(raw, first, 65_536)))
        assert caught.value.code is ErrorCode.NOT_TEXT


def test_a_cut_in_what_is_no_text_is_told_with_its_place() -> None:
    """The offset is the object's, not the range's."""
    raw = b"one two \xff three four"
    with pytest.raises(ItemError, match="byte 8"):
        RangeText(9, 19, body_of(raw, 9, 5))


@given(st.integers(0, 10_000_000), st.integers(1, 3_000_000))
def test_ranges_cover_the_object(size: int, target_bytes: int) -> None:
    """Without gap or overlap, none longer than the target (or the least range), in about equal lengths."""
    item = Item("in/a", size, '"e"', "v1", "STANDARD_IA")
    ranges = list(cut_large([item], target_bytes, lambda _key: True))
    most = max(target_bytes, LEAST_RANGE_BYTES)
    if size <= most:
        assert ranges == [item]
        return
    assert ranges[0].first_byte == 0
    assert ranges[-1].last_byte == size - 1
    assert all(a.last_byte is not None and b.first_byte == a.last_byte + 1 for a, b in pairwise(ranges))
    lengths = [one.length for one in ranges]
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
    assert {(one.key, one.size, one.etag, one.version_id, one.storage_class) for one in ranges} == {
        ("in/a", size, '"e"', "v1", "STANDARD_IA")
    }


def test_only_large_objects_that_may_be_cut_are() -> None:
    """The workload is asked for large ones alone."""
    asked = []

    def may_cut(key: str) -> bool:
        asked.append(key)
        return key != "b.gz"

    items = [Item("a", 5, '"e"'), Item("b.gz", 5 << 20, '"e"'), Item("c", 5 << 20, '"e"')]
    cut = list(cut_large(items, 1 << 20, may_cut))
    assert [item.key for item in cut] == ["a", "b.gz", *["c"] * 5]
    assert asked == ["b.gz", "c"]


def test_a_huge_object_is_not_cut_into_more_ranges_than_the_children_of_an_array_hold() -> None:
    """50 TB at a target of 1 MiB."""
    ranges = list(cut_large([Item("a", 50 * 2**40, '"e"')], 1 << 20, lambda _key: True))
    assert len(ranges) == MOST_RANGES


@pytest.mark.parametrize(("megabytes", "ranges", "shards"), [(256, 1, 1), (1024, 16, 4), (300, 5, 2)])
def test_a_shard_of_a_large_object_holds_ranges_for_several_cores(megabytes: int, ranges: int, shards: int) -> None:
    """With the usual target of 256 MiB a shard has four of 64 MiB, which are counted at the same time."""
    client = InMemoryS3Client("letters", "results")
    listing = [{"Key": "in/a", "Size": megabytes << 20, "ETag": '"e"'}]
    client.list_objects_v2 = lambda **_given: {"Contents": listing}  # type: ignore[method-assign]
    job = Job(S3(client.stub), JobSettings(concurrency=1))
    request = RunRequest.parse({"source": "s3://letters/in/", "destination": "s3://results/out/"})
    items, _ = source_items(request, job)

    assert len(items) == ranges
    assert len(items.cut(request.shard, UNKNOWN_PACE)) == shards


@pytest.mark.parametrize(("first", "last", "gets"), [(0, 9, 1), (10, 19, 1), (90, 99, 1)])
def test_a_range_is_read_with_one_request(first: int, last: int, gets: int) -> None:
    """Its look-back, its bytes and a little more come in one GET, with If-Match."""
    client = InMemoryS3Client(SOURCE)
    raw = bytes(range(100))
    etag = client.store(SOURCE, "a", raw)
    item = Item("a", 100, etag, first_byte=first, last_byte=last)
    with RangeReader(S3(client.stub, fast()), S3Uri(SOURCE, "a"), item, first, last) as reader:
        assert b"".join(reader) == raw[max(0, first - LOOK_BACK_BYTES) :]
        assert next(reader, None) is None
    assert client.requests == {"get_object": gets}


def test_a_long_record_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first request's bytes each step costs a request more, and only when asked for."""
    monkeypatch.setattr(range_reader, "READ_ON_BYTES", 10)
    monkeypatch.setattr(range_reader, "STEP_BYTES", 30)
    client = InMemoryS3Client(SOURCE)
    raw = bytes(range(100))
    item = Item("a", 100, client.store(SOURCE, "a", raw), first_byte=20, last_byte=29)
    with RangeReader(S3(client.stub, fast()), S3Uri(SOURCE, "a"), item, 20, 29) as reader:
        assert next(reader) == raw[16:40]
        assert client.requests == {"get_object": 1}
        assert b"".join(reader) == raw[40:]
    assert client.requests == {"get_object": 3}


def real_run(objects: dict[str, bytes], **request: Any) -> RunInMemory:
    """A word-count run."""
    return RunInMemory(objects, request, load=load_workload)


def merged(run: RunInMemory) -> tuple[bytes, int]:
    """words.csv, and the number of shards."""
    plan = run.plan()
    for index in range(plan.shards):
        run.migrate(index)
    run.merge()
    return run.file("words.csv") or b"", plan.shards


@settings(max_examples=25)  # each is two runs
@given(st.integers(1, 60), st.integers(0, 3))
def test_a_run_over_ranges_counts_what_a_run_over_the_whole_counts(target_bytes: int, shift: int) -> None:
    """Plan, migrate, merge: the same words.csv, with a shard for each range."""
    text = "x" * shift + "Mill RACE ΣΑΣ हिन्दी 水磨坊，it's 🙂 e\u0301t\u00e9\r\n" * 4
    objects = {"in/a": text.encode(), "in/b.gz": gzip.compress(text.encode())}
    whole, shards = merged(real_run(objects))
    assert shards == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "LEAST_RANGE_BYTES", 1)
        run = real_run(objects, shard={"target_bytes": target_bytes})
        cut, shards = merged(run)
    assert cut == whole
    assert shards > 1
    assert set(run.outputs()) == {"b.gz.words.txt"}
    expected = Counter(words_of(text + text))
    assert len(cut.splitlines()) == len(expected) + 1


def test_without_outputs_an_item_costs_one_request() -> None:
    """`"outputs": "none"`: one GET per item, and no object in the destination but the run's folder."""
    run = real_run({f"in/{number}": b"mill race" for number in range(50)}, options={"outputs": "none"})
    run.plan()
    run.client.requests.clear()
    run.migrate()
    fixed = run.client.requests.copy()
    run = real_run({f"in/{number}": b"mill race" for number in range(51)}, options={"outputs": "none"})
    run.plan()
    run.client.requests.clear()
    run.migrate()
    assert run.outputs() == {}
    assert run.client.requests - fixed == {"get_object": 1}
    assert fixed.total() <= 50 + 6


def test_without_outputs_bad_texts_are_rows_and_the_others_count() -> None:
    """Short texts are counted together: what is no text is found before, and leaves no trace in the totals."""
    texts = {
        "in/1": b"mill race", "in/2": b"mill \xff", "in/3": b"race\0", "in/4": "水 mi".encode()[:-3] + b"\xe6",
        "in/5": b"", "in/6": b"Mill",
    }  # fmt: skip
    run = real_run(texts, options={"outputs": "none"}, tolerated_failure_percent=50)
    run.all()
    assert (run.file("words.csv") or b"").split() == [b"word,count", b"mill,2", b"race,1"]
    counts = run.result()["counts"]
    assert (counts["items"], counts["succeeded"], counts["failed"]) == (6, 3, 3)
    assert (run.file("failures.jsonl") or b"").count(b"NOT_TEXT") == 3


def test_a_range_has_no_output_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload that writes one is told so; its item fails."""
    monkeypatch.setattr(splitting, "LEAST_RANGE_BYTES", 1)

    class Writing:
        item_suffixes = (".out",)
        partial_suffix = ".x"

        def splits(self, _key: str) -> bool:
            return True

        def migrate(self, _item: Item, _body: object, outputs: Any) -> None:
            outputs.open(".out")

        def partial(self) -> Any:
            return type("Nothing", (), {"write": lambda _self, file: file.write(b"")})()

    run = RunInMemory({"in/a": b"12345"}, {"shard": {"target_bytes": 3}}, load=lambda *_given: Writing())
    assert run.plan().shards == 2
    outcome = run.migrate().outcomes[0]
    assert outcome.error_code is ErrorCode.WORKLOAD_FAILED
    assert "no outputs of its own" in (outcome.message or "")
    assert list(run.client.bodies(RESULT, "out/")) == [key for key in run.client.bodies(RESULT) if "_millrace" in key]


def test_items_of_a_range_are_counted_in_memory_that_they_need() -> None:
    """A range's own words alone are counted, whatever is around it."""
    workload = load_workload("word-count", checked_options("word-count", {}))
    raw = b"one two three four"
    totals = workload.migrate(
        Item("in/a", len(raw), '"e"', first_byte=5, last_byte=12), body_of(raw, 5, 3), _NoOutputs()
    )
    assert sorted(totals.rows()) == [(b"three", 1)]


class _NoOutputs:
    def open(self, name: str, content_type: str = "") -> io.BytesIO:
        raise AssertionError(name, content_type)
