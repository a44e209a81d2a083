"""The CSV files of an object: plain, gzipped, zipped, and the archives that are refused."""

from __future__ import annotations

import errno
import gzip
import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb.files import zip_members as zips
from batch_jobs.workloads.csv_to_dynamodb.files.files import Unpacking, csv_files
from millrace.errors import ErrorCode, ItemError
from millrace.records.plan import Item

CSV = b"a,b\n1,2\n"


def zip_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def files_of(raw: bytes, key: str = "rows.csv", unpacking: Unpacking | None = None) -> list[tuple[str, bytes]]:
    """The files of an object that comes in small chunks."""
    chunks = [raw[start : start + 5] for start in range(0, min(len(raw), 50), 5)] + [raw[50:]]
    item = Item(key, len(raw), '"etag"')
    return [(name, b"".join(content)) for name, content in csv_files(item, chunks, unpacking or Unpacking())]


def refused(raw: bytes, key: str = "rows.zip", unpacking: Unpacking | None = None) -> ItemError:
    """What opening an object raises, before a byte of a member is handed out."""
    with pytest.raises(ItemError) as caught:
        next(csv_files(Item(key, len(raw), '"etag"'), [raw], unpacking or Unpacking()))
    return caught.value


def test_a_plain_file_is_itself() -> None:
    """An object that is no archive is one file without a name, also an empty one."""
    assert files_of(CSV) == [("", CSV)]
    assert files_of(b"") == [("", b"")]


@pytest.mark.parametrize("key", ["rows.csv.gz", "rows.GZ", "rows"])
def test_gzip_is_told_by_its_content(key: str) -> None:
    """A gzipped object is unpacked whatever it is called."""
    assert files_of(gzip.compress(CSV), key) == [("", CSV)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_every_member_of_a_zip_that_matches(method: int) -> None:
    """All members that match come in the archive's order; folders, other files and macOS's copies do not."""
    raw = zip_of(
        ("b/two.CSV", CSV * 2),
        ("readme.md", b"no"),
        ("b/", b""),
        ("__MACOSX/b/._two.csv", b"no"),
        ("._one.csv", b"no"),
        ("one.tsv", CSV),
        method=method,
    )
    assert files_of(raw, "anything") == [("b/two.CSV", CSV * 2), ("one.tsv", CSV)]


def test_members_are_chosen_by_pattern() -> None:
    """The option members says which files count."""
    raw = zip_of(("2024/a.dat", CSV), ("2025/a.dat", CSV * 2), ("a.csv", b"no"))
    assert files_of(raw, unpacking=Unpacking(("2025/*",))) == [("2025/a.dat", CSV * 2)]


def test_names_in_a_zip_are_never_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that lead out of a folder are labels: they are read, and nothing is written anywhere."""
    monkeypatch.chdir(tmp_path)
    raw = zip_of(("../../evil.csv", CSV), ("/abs.csv", CSV), ("a\\..\\b.csv", CSV))
    assert [name for name, _ in files_of(raw)] == ["../../evil.csv", "/abs.csv", "a\\..\\b.csv"]
    assert not list(tmp_path.iterdir())


def test_the_rest_of_a_split_object_is_taken_as_it_is() -> None:
    """A later part of an object may begin with any bytes: they are no archive's."""
    item = Item("rows.csv", 100, '"etag"', first_byte=50, last_byte=99, first_line=7, head_bytes=5)
    assert [b"".join(content) for _, content in csv_files(item, [b"PK\x03\x04,1\n"], Unpacking())] == [
        b"PK\x03\x04,1\n"
    ]


def encrypted() -> bytes:
    """A zip file whose member says that it is encrypted, in both of its headers (APPNOTE.TXT 4.4.4)."""
    raw = bytearray(zip_of(("a.csv", CSV)))
    raw[6] |= 1
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def wrong_checksum() -> bytes:
    """A zip file with a member whose content was changed."""
    raw = bytearray(zip_of(("a.csv", CSV), method=zipfile.ZIP_STORED))
    raw[raw.find(CSV)] ^= 1
    return bytes(raw)


def lying_size() -> bytes:
    """A zip file with a member that is said to be smaller than it is."""
    raw = bytearray(zip_of(("a.csv", CSV * 100)))
    struct.pack_into("<I", raw, raw.rfind(b"PK\x01\x02") + 24, 10)
    return bytes(raw)


def many_entries() -> bytes:
    """A zip file whose table of contents says that it has too many entries."""
    raw = bytearray(zip_of(("a.csv", CSV)))
    struct.pack_into("<H", raw, raw.rfind(b"PK\x05\x06") + 10, 20_000)
    return bytes(raw)


def long_directory() -> bytes:
    """A zip file whose table of contents says that it is long."""
    raw = bytearray(zip_of(("a.csv", CSV)))
    struct.pack_into("<I", raw, raw.rfind(b"PK\x05\x06") + 12, 1 << 30)
    return bytes(raw)


SOUND = zip_of(("a.csv", CSV * 1000))


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (SOUND[:-30], ErrorCode.DAMAGED, "cut off"),
        (SOUND[:100], ErrorCode.DAMAGED, "cut off"),
        (b"PK\x03\x04", ErrorCode.DAMAGED, "cut off"),
        (SOUND[:40] + bytes(20) + SOUND[60:], ErrorCode.DAMAGED, "this zip file is damaged"),
        (CSV, ErrorCode.DAMAGED, "not a zip file"),
        (b"", ErrorCode.DAMAGED, "not a zip file"),
        (wrong_checksum(), ErrorCode.DAMAGED, "CRC"),
        (lying_size(), ErrorCode.DAMAGED, "CRC"),
        (encrypted(), ErrorCode.NOT_SUPPORTED, "'a.csv' in the zip file is encrypted"),
        (zip_of(("a.csv", CSV), method=zipfile.ZIP_LZMA), ErrorCode.NOT_SUPPORTED, "method 14"),
        (zip_of(("inner.zip", SOUND)), ErrorCode.NOT_SUPPORTED, "it holds 'inner.zip'"),
        (zip_of(("inner.csv", SOUND)), ErrorCode.NOT_SUPPORTED, "an archive itself"),
        (zip_of(("inner.csv", gzip.compress(CSV))), ErrorCode.NOT_SUPPORTED, "an archive itself"),
        (zip_of(), ErrorCode.NOT_SUPPORTED, "it holds nothing"),
        (zip_of(("a.csv", bytes(50_000_000))), ErrorCode.TOO_LARGE, "more than 200 times"),
        (many_entries(), ErrorCode.TOO_LARGE, "entries"),
        (long_directory(), ErrorCode.TOO_LARGE, "entries"),
    ],
)
def test_bad_zip_files_are_refused_whole(raw: bytes, code: ErrorCode, words: str) -> None:
    """A zip file that is damaged, a bomb or of another kind gives nothing at all, with the reason."""
    error = refused(raw)
    assert error.code is code
    assert words in error.message


def test_what_a_zip_unpacks_to_is_limited() -> None:
    """The limit holds for all members together, and the message names the option."""
    raw = zip_of(("a.csv", CSV * 100), ("b.csv", CSV * 100))
    assert refused(raw, unpacking=Unpacking(max_bytes=1500)).code is ErrorCode.TOO_LARGE
    assert "max_unpacked_mib" in refused(raw, unpacking=Unpacking(max_bytes=1500)).message
    assert len(files_of(raw, unpacking=Unpacking(max_bytes=1600))) == 2


def test_a_zip_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive takes of the disk is limited."""
    monkeypatch.setattr(zips, "MAX_ARCHIVE_BYTES", 100)
    assert refused(SOUND).code is ErrorCode.TOO_LARGE


def test_a_zip_with_a_64_bit_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 64-bit table of contents is read, and limited too."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    raw = zip_of(("a.csv", CSV))
    assert b"PK\x06\x06" in raw
    assert files_of(raw) == [("a.csv", CSV)]
    bomb = bytearray(raw)
    struct.pack_into("<Q", bomb, raw.rfind(b"PK\x06\x06") + 32, 1 << 40)
    assert refused(bytes(bomb)).code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (gzip.compress(CSV * 1000)[:-5], ErrorCode.DAMAGED, "cut off"),
        (CSV, ErrorCode.DAMAGED, "gzip"),
        (b"", ErrorCode.DAMAGED, "cut off"),
        (gzip.compress(bytes(50_000_000)), ErrorCode.TOO_LARGE, "more than 200 times"),
        (gzip.compress(SOUND), ErrorCode.NOT_SUPPORTED, "another archive"),
        (gzip.compress(gzip.compress(CSV)), ErrorCode.NOT_SUPPORTED, "another archive"),
    ],
)
def test_bad_gzip_files_are_refused(raw: bytes, code: ErrorCode, words: str) -> None:
    """A gzip file that is damaged, a bomb or holds another archive is refused, with the reason."""
    with pytest.raises(ItemError) as caught:
        files_of(raw, "rows.csv.gz")
    assert caught.value.code is code
    assert words in caught.value.message


def test_what_a_gzip_unpacks_to_is_limited() -> None:
    """The limit holds for what really comes out."""
    with pytest.raises(ItemError, match="max_unpacked_mib"):
        files_of(gzip.compress(CSV * 100), "rows.csv.gz", Unpacking(max_bytes=100))


def test_a_broken_download_is_not_a_broken_archive() -> None:
    """What goes wrong while the object is read passes through as it is."""

    def body() -> Iterator[bytes]:
        yield SOUND[:50]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        next(csv_files(Item("rows.zip", 100, '"etag"'), body(), Unpacking()))


def without_a_name() -> bytes:
    """A zip file with a sound member, and one whose name is empty in both of its headers."""
    raw = bytearray(zip_of(("good.csv", CSV), ("x", b"")))
    local = raw.index(b"PK\x03\x04", 4)
    raw[local + 26 : local + 28] = bytes(2)
    del raw[local + 30]
    entry = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 4)
    raw[entry + 28 : entry + 30] = bytes(2)
    del raw[entry + 46]
    end = raw.index(b"PK\x05\x06")
    size, offset = struct.unpack_from("<II", raw, end + 12)
    struct.pack_into("<II", raw, end + 12, size - 1, offset - 1)
    return bytes(raw)


def test_a_member_without_a_name_takes_nothing_from_the_others() -> None:
    """No pattern matches it, not even `*`."""
    found = csv_files(Item("a.zip", 1, '"etag"'), [without_a_name()], Unpacking(("*",)))
    assert [(name, b"".join(content)) for name, content in found] == [("good.csv", CSV)]


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 60))
def test_a_damaged_zip_is_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    """Whatever bytes are changed, from the end as well, nothing but a declared error comes out."""
    raw = bytearray(zip_of(("a.csv", CSV), ("b/c.csv", CSV * 9), ("d.bin", b"")))
    for place, byte in changes:
        raw[-1 - place % len(raw)] = byte
    del raw[len(raw) - cut // 4 :]
    with suppress(ItemError):
        found = csv_files(Item("a.zip", 1, '"etag"'), [bytes(raw)], Unpacking(("*",)))
        assert all(isinstance(b"".join(content), bytes) for _, content in found)


def test_a_broken_disk_is_no_damaged_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the machine that reads the temporary file is not the object's."""

    def broken(_archive: zipfile.ZipFile, _member: zipfile.ZipInfo) -> Iterator[bytes]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zips, "_read", broken)
    with pytest.raises(OSError, match="Input/output error"):
        list(csv_files(Item("a.zip", 1, '"etag"'), [zip_of(("a.csv", CSV))], Unpacking()))
