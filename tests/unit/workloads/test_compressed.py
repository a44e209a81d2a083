"""The decompressing reader for authors: what comes out is what was packed, or a clear error; never less in silence."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import ErrorCode, ItemError
from millrace.workload import Item, Outputs, Totals, compressed, decompressed, is_packed, lines
from millrace.workload.compressed import FEED_BYTES, STEP_BYTES
from tests.run_in_memory import RunInMemory

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
ENDINGS = sorted(PACK)


def item(key: str, raw: bytes, **more: Any) -> Item:
    """A whole object of these bytes."""
    return Item(key, len(raw), '"e"', **more)


def cut(raw: bytes, size: int) -> list[bytes]:
    """Chunks as a body has them."""
    return [raw[at : at + size] for at in range(0, len(raw), size)]


@given(st.sampled_from(ENDINGS), st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(1, 60))
def test_what_was_packed_comes_out(ending: str, frames: list[bytes], size: int) -> None:
    """Of any number of frames, wherever the chunks end."""
    packed = b"".join(map(PACK[ending], frames))
    assert b"".join(decompressed(item(f"a{ending.upper()}", packed), cut(packed, size))) == b"".join(frames)


@given(st.sampled_from(ENDINGS), st.binary(min_size=1, max_size=300), st.integers(0, 10_000), st.integers(1, 60))
def test_a_file_that_was_cut_off_is_damaged(ending: str, raw: bytes, place: int, size: int) -> None:
    """Wherever it was cut: nothing is taken for its end."""
    packed = PACK[ending](raw)
    with pytest.raises(ItemError) as caught:
        list(decompressed(item(f"a{ending}", packed), cut(packed[: place % len(packed)], size)))
    assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_none_is_damaged(ending: str) -> None:
    """Another format under this ending, and bytes behind the last frame."""
    for raw in (b"plain text\n", PACK[ending](b"one") + b"garbage behind it"):
        with pytest.raises(ItemError) as caught:
            list(decompressed(item(f"a{ending}", raw), [raw]))
        assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_bomb_costs_no_memory(ending: str) -> None:
    """A few bytes that unpack to 64 MiB come out in small steps."""
    packed = PACK[ending](bytes(64 << 20))
    sizes = [len(chunk) for chunk in decompressed(item(f"a{ending}", packed), [packed])]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= STEP_BYTES


def test_an_xz_file_that_asks_for_much_memory_is_too_large() -> None:
    """Its header alone could have the decoder take 1.5 GiB."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    packed = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(ItemError) as caught:
        list(decompressed(item("a.xz", packed), [packed]))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_zstandard_file_that_asks_for_much_memory_is_too_large() -> None:
    """A window of 1 GiB, as `zstd --long=30` makes it: the file is sound."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    packed = packer.compress(b"x") + packer.flush()
    with pytest.raises(ItemError) as caught:
        list(decompressed(item("a.zst", packed), [packed]))
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_memory_that_the_host_does_not_give_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zstandard says it by an error of its own, which must not become a row."""

    class Starved:
        def decompress(self, _data: bytes, _most: int) -> bytes:
            raise zstd.ZstdError("Unable to decompress Zstandard data: Allocation error : not enough memory")

    monkeypatch.setattr(zstd, "ZstdDecompressor", Starved)
    compressed._format.cache_clear()
    try:
        with pytest.raises(MemoryError):
            list(decompressed(item("a.zst", b"abc"), [b"abc"]))
    finally:
        compressed._format.cache_clear()


@pytest.mark.parametrize("ending", ENDINGS)
def test_many_frames_in_one_chunk_cost_little_each(ending: str) -> None:
    """However long the chunk is: a decompressor is never given, and never gives back, more of it than a small piece."""
    given_most = 0

    class Chunk(bytes):
        """Notes how much of it is asked for at once."""

        def __getitem__(self, place: Any) -> Any:
            nonlocal given_most
            part = super().__getitem__(place)
            given_most = max(given_most, len(part))
            return part

    frames = 3000
    packed = Chunk(PACK[ending](b"x") * frames)
    assert b"".join(decompressed(item(f"a{ending}", packed), [packed])) == b"x" * frames
    assert 0 < given_most <= FEED_BYTES


def test_padding_behind_an_xz_stream_is_none_of_its_text() -> None:
    """As `xz -d` has it."""
    packed = lzma.compress(b"one") + bytes(8) + lzma.compress(b"two") + bytes(4)
    assert b"".join(decompressed(item("a.xz", packed), cut(packed, 3))) == b"onetwo"


def test_another_object_comes_as_it_is() -> None:
    """The key's ending decides, and nothing else."""
    assert list(decompressed(item("a.jsonl", b"12"), [b"1", b"2"])) == [b"1", b"2"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_range_of_a_compressed_object_is_refused(ending: str) -> None:
    """Its bytes mean nothing without those before them."""
    with pytest.raises(ItemError) as caught:
        decompressed(item(f"a{ending}", bytes(9), first_byte=3, last_byte=5), [])
    assert caught.value.code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("ending", ENDINGS)
def test_lines_of_a_compressed_object_end_with_its_text(ending: str) -> None:
    """Not at the compressed size, which is a small part of the text's."""
    text = b"".join(b'{"number": %d}\n' % number for number in range(80_000))
    packed = PACK[ending](text)
    whole = item(f"a{ending}", packed)
    assert b"".join(lines(whole, decompressed(whole, cut(packed, 8192)))) == text


def test_lines_do_not_believe_a_size() -> None:
    """A whole object's body counts, whatever was planned."""
    assert list(lines(Item("a", 3, '"e"'), [b"one\ntwo\nthr", b"ee"])) == [b"one\n", b"two\n", b"three"]


@pytest.mark.parametrize(
    ("first", "last", "raw", "why"),
    [
        (4, 11, b"one\ntwo\n", "before its last one"),
        (4, 7, b"one\ntwo\nthree\nfour\n" * 9, None),
        (0, 11, b"", "end at byte 0"),
    ],
)
def test_a_ranges_lines_are_as_long_as_the_range(first: int, last: int, raw: bytes, why: str | None) -> None:
    """A body that ends too early is an error, not fewer lines."""
    of_range = Item("a", 12, '"e"', first_byte=first, last_byte=last)
    if why is None:
        assert list(lines(of_range, [raw])) == [b"two\n"]
        return
    with pytest.raises(ItemError, match=why) as caught:
        list(lines(of_range, [raw]))
    assert caught.value.code is ErrorCode.DAMAGED


def test_a_range_whose_bytes_go_on_behind_the_object_is_an_error() -> None:
    """As they do where somebody decompressed it."""
    of_range = Item("a", 12, '"e"', first_byte=4, last_byte=11)
    with pytest.raises(ItemError, match="behind the object's 12"):
        list(lines(of_range, [b"one\ntwo\nthree four five\n"]))


class Records:
    """Counts the records of JSON Lines files, compressed or not; as careless about ranges as can be."""

    name = "records"
    partial_suffix = ".json"
    item_suffixes: tuple[str, ...] = ()

    def __init__(self, _options: Mapping[str, Any]) -> None:
        """Takes no options."""

    def splits(self, _key: str) -> bool:
        """Yes to all."""
        return True

    def migrate(self, item: Item, body: Iterable[bytes], _outputs: Outputs) -> dict[str, int]:
        """Count."""
        return {"records": sum(1 for _ in lines(item, decompressed(item, body)))}

    def partial(self) -> Totals:
        """Sums."""
        return Totals()

    def merge(self, partials: Iterable[BinaryIO], _results: Outputs) -> dict[str, Any]:
        """Add up."""
        return Totals.merged(partials)


class RecordsOfBlocks(Records):
    """As a workload that can read ranges of its compressed objects."""

    splits_packed = True


@pytest.mark.parametrize("ending", ["", *ENDINGS])
def test_every_record_counts_however_large_the_object(ending: str) -> None:
    """A large object whose key says that it is compressed is not cut, though the workload does not say no."""
    import random  # noqa: PLC0415

    chance = random.Random(3)
    text = b"".join(b"%d\n" % chance.getrandbits(200) for _ in range(60_000))
    packed = PACK[ending](text) if ending else text
    assert len(packed) > 1 << 20
    run = RunInMemory(
        {f"in/a.jsonl{ending}": packed},
        request={"shard": {"target_bytes": 1 << 20}},
        load=lambda _name, options: Records(options),
    )
    made = run.all()
    assert run.result()["result"] == {"records": 60_000}
    assert (made.items == 1) is bool(ending)


def test_a_workload_may_say_that_it_reads_ranges_of_packed_objects() -> None:
    """Block formats can be: then its word counts."""
    run = RunInMemory(
        {"in/a.gz": bytes(3 << 20)},
        request={"shard": {"target_bytes": 1 << 20}},
        load=lambda _name, options: RecordsOfBlocks(options),
    )
    assert run.plan().items > 1


@pytest.mark.parametrize(
    ("key", "packed"),
    [("a.GZ", True), ("a.tar.zst", True), ("b.Zip", True), ("a.gz.txt", False), ("gz", False), ("a.jsonl", False)],
)
def test_which_keys_are_packed(key: str, packed: bool) -> None:  # noqa: FBT001 - the table's word
    """By their ending, in whatever case."""
    assert is_packed(key) is packed
