"""Reading through gzip."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import ErrorCode, ItemError
from millrace.workload.compressed import gunzip


def pieces(raw: bytes, size: int) -> Iterator[bytes]:
    """The bytes in chunks of this size."""
    return (raw[start : start + size] for start in range(0, len(raw), size))


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 20))
def test_members_are_joined_and_padding_is_skipped(members: list[bytes], size: int, padding: int) -> None:
    """Any number of members, some empty, in chunks of any size, zeros behind the last."""
    raw = b"".join(map(gzip.compress, members)) + bytes(padding)
    assert b"".join(gunzip(pieces(raw, size))) == b"".join(members)


@given(st.integers(0, 60), st.integers(1, 20))
def test_a_file_cut_anywhere_is_damaged(length: int, size: int) -> None:
    """Every prefix of a gzip file but the whole is refused, the empty one too."""
    raw = gzip.compress(b"the mill turns" * 3, mtime=0)
    with pytest.raises(ItemError) as caught:
        list(gunzip(pieces(raw[: min(length, len(raw) - 1)], size)))
    assert caught.value.code is ErrorCode.DAMAGED


@pytest.mark.parametrize("raw", [b"plain text", gzip.compress(b"x") + b"junk", zlib.compress(b"x")])
def test_what_is_no_gzip_is_damaged(raw: bytes) -> None:
    """Plain text under a .gz key, junk behind the last member, zlib's own format."""
    with pytest.raises(ItemError, match="not a sound gzip file"):
        list(gunzip([raw]))


def test_a_wrong_checksum_is_damaged() -> None:
    """A flipped bit of the CRC is found."""
    raw = bytearray(gzip.compress(b"the mill turns"))
    raw[-6] ^= 1
    with pytest.raises(ItemError, match="not a sound gzip file"):
        list(gunzip([bytes(raw)]))


def test_a_bomb_comes_in_small_chunks() -> None:
    """64 MB of zeros out of one chunk are never held at once."""
    assert max(map(len, gunzip([gzip.compress(bytes(64 << 20), 1)]))) <= 1 << 18


def test_a_hundred_thousand_empty_members_take_little_time() -> None:
    """What is left of a chunk is not copied for each of them: the time grows with the length, not with its square."""
    body = gzip.compress(b"") * 100_000
    started = time.process_time()
    assert list(gunzip([body])) == []
    assert time.process_time() - started < 5
