"""A folder of this machine as a source or destination."""

from pathlib import Path

import pytest

from console.transfer.directories import Place, refuse_overlap
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri


def test_a_folder_always_has_the_same_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a folder is named - relative, with a slash, over a link - its prefix is the same, so a run finds it."""
    folder = tmp_path / "My Texts"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    names = ["My Texts", "./My Texts/", str(folder), "link", "link/../My Texts"]
    prefixes = {Place.parse(name, "source").uri("bucket") for name in names}
    assert len(prefixes) == 1
    assert str(prefixes.pop()).startswith("s3://bucket/directories/My-Texts-")


def test_two_folders_never_share_a_prefix(tmp_path: Path) -> None:
    """Folders of the same name in different places have different prefixes, also where nothing of the name is plain."""
    folders = [tmp_path / "a" / "x", tmp_path / "b" / "x", tmp_path / "水", tmp_path / "麦"]
    for folder in folders:
        folder.mkdir(parents=True)
    uris = [Place.parse(str(folder), "source").uri("bucket") for folder in folders]
    assert len(set(uris)) == len(folders)
    assert not any(one is not other and one.contains(other) for one in uris for other in uris)


def test_an_s3_uri_is_taken_as_it_is() -> None:
    """A URI's prefix gets its slash and nothing else."""
    place = Place.parse("s3://some-bucket/a//b c", "source")
    assert place.uri("stack-bucket") == S3Uri("some-bucket", "a//b c/")


def test_a_file_as_a_source_is_refused_with_the_line_that_works_it(tmp_path: Path) -> None:
    """A source is a folder: a file's own folder and a pattern that matches it alone are named, quoted for a shell."""
    file = tmp_path / "a [1].txt"
    file.touch()
    with pytest.raises(InvalidRunRequest) as raised:
        Place.parse(str(file), "source")
    assert f"this is a file: --source {tmp_path} --include 'a [[]1].txt'" in raised.value.allowed


@pytest.mark.parametrize("given", ["s3:/x", "s3://", "s3://Bucket/x", "https://example.com/x", "S3://bucket/x", ""])
def test_what_is_neither_folder_nor_uri_is_refused(given: str) -> None:
    """A slip in a URI is an error that names it, not a folder of that odd name."""
    with pytest.raises(InvalidRunRequest, match="destination"):
        Place.parse(given, "destination")


def test_a_source_must_be_there_and_a_destination_need_not(tmp_path: Path) -> None:
    """A missing source folder is refused; a missing destination folder is made later; a file is neither."""
    missing = str(tmp_path / "missing")
    assert Place.parse(missing, "destination").directory == tmp_path / "missing"
    with pytest.raises(InvalidRunRequest, match="no such folder"):
        Place.parse(missing, "source")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRunRequest, match="this is a file"):
        Place.parse(str(tmp_path / "file"), "destination")


@pytest.mark.parametrize(("source", "destination"), [("in", "in/out"), ("out/in", "out"), ("in", "in"), ("in", "link")])
def test_folders_inside_each_other_are_refused(tmp_path: Path, source: str, destination: str) -> None:
    """Neither folder may be in the other, also not by way of a link."""
    for folder in ("in/out", "out/in"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in" / "out")
    places = [Place.parse(str(tmp_path / name), "destination") for name in (source, destination)]
    with pytest.raises(InvalidRunRequest, match="neither may be inside the other"):
        refuse_overlap(*places)


def test_neighbours_with_a_common_beginning_are_not_inside_each_other(tmp_path: Path) -> None:
    """`texts` and `texts-out` are two folders."""
    (tmp_path / "texts").mkdir()
    refuse_overlap(
        Place.parse(str(tmp_path / "texts"), "source"), Place.parse(str(tmp_path / "texts-out"), "destination")
    )
