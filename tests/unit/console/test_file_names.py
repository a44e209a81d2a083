"""Keys are not paths: which become files, and that none leaves the folder."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from console.file_names import MAX_NAME_BYTES, NotAFileNameError, key_of, path_of
from millrace.text import visible

hostile = st.lists(
    st.sampled_from(["..", ".", "", "a", " ", "é", "e\u0301", "\n", "\\", "C:", "~", "-rf", "\x1b[2J", "\0", "x" * 256])
    | st.text(st.characters(codec="utf-8"), max_size=8),
    min_size=1,
    max_size=6,
).map("/".join)


@given(hostile)
@example("../x")
@example("/abs")
@example("a/../../b")
@example("a//b")
def test_a_key_is_a_path_inside_the_folder_or_refused(key: str) -> None:
    """A key that is not refused names exactly one file below the folder, and that file's path gives the key back."""
    try:
        path = path_of(key)
    except NotAFileNameError:
        return
    folder = Path("/folder/of/results")
    assert Path(os.path.normpath(folder / path)) == folder / path
    assert (folder / path).is_relative_to(folder)
    assert folder / path != folder
    assert key_of(Path(path)) == key


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1), min_size=1, max_size=5))
def test_a_path_of_this_machine_survives_the_way_through_s3(segments: list[str]) -> None:
    """What may be a file name on this machine is a key, and comes back as the same path."""
    if any(segment in (".", "..") or len(segment.encode()) > MAX_NAME_BYTES for segment in segments):
        return
    path = Path(*segments)
    if len(os.fsencode(path)) <= 1024:
        assert path_of(key_of(path)) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/abs", "empty"),
        ("folder/", "empty"),
        ("a//b", "empty"),
        ("../x", "another folder"),
        ("a/./b", "another folder"),
        ("a/..", "another folder"),
        ("a\0b", "NUL"),
        ("x" * 256, "longer than 255"),
        ("é" * 128, "longer than 255"),
    ],
)
def test_a_refusal_says_why(key: str, reason: str) -> None:
    """Each kind of key that cannot be a file is refused with its own reason."""
    with pytest.raises(NotAFileNameError, match=reason):
        path_of(key)


def test_a_file_name_that_is_not_utf8_is_refused() -> None:
    """S3 keys are UTF-8: another file name cannot be a key, and is not uploaded under a changed one."""
    with pytest.raises(NotAFileNameError, match="not UTF-8"):
        key_of(Path(os.fsdecode(b"caf\xe9.txt")))


def test_a_path_longer_than_a_key_is_refused() -> None:
    """A path of 1,024 bytes is a key, one of 1,025 is not."""
    assert len(key_of(Path("d" * 200, "e" * 200, "f" * 200, "g" * 200, "h" * 220))) == 1024
    with pytest.raises(NotAFileNameError, match="1025 bytes"):
        key_of(Path("d" * 200, "e" * 200, "f" * 200, "g" * 200, "h" * 221))


@given(st.text())
def test_what_is_shown_cannot_command_the_terminal(text: str) -> None:
    """Whatever a key holds, what is shown of it is printable; what is printable is shown as it is."""
    assert visible(text).isprintable()
    if text.isprintable():
        assert visible(text) == text
