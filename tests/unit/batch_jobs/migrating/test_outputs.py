"""The files that a workload writes: held back, kept when closed, refused under wrong names."""

import hashlib

import pytest

from batch_jobs.migrating.outputs import SPOOL_BYTES, SpooledOutputs, file_digest, temporary_file


@pytest.mark.parametrize("size", [0, 10, SPOOL_BYTES + 1])
def test_a_closed_file_is_kept(size: int) -> None:
    """A workload may close what it wrote, in memory or on disk: the job can still read it."""
    with SpooledOutputs(lambda _name: None) as files:
        with files.open(".a", "text/plain") as file:
            file.write(b"x" * size)
        files.open(".b").close()
        held = {one.name: one for one in files}

        held[".a"].file.seek(0)
        assert held[".a"].file.read() == b"x" * size
        assert (held[".a"].content_type, held[".b"].content_type) == ("text/plain", "application/octet-stream")


def test_left_files_are_gone() -> None:
    """After the block nothing can be read any more."""
    with SpooledOutputs(lambda _name: None) as files:
        file = files.open(".a")
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")


def test_a_name_is_refused() -> None:
    """A name that may not be used, or is in use, is a fault of the workload."""
    with SpooledOutputs(lambda name: "not declared" if name == ".x" else None) as files:
        files.open(".a")
        with pytest.raises(ValueError, match="it is open already"):
            files.open(".a")
        with pytest.raises(ValueError, match="not declared"):
            files.open(".x")


def test_a_digest_covers_the_whole_file() -> None:
    """Wherever the file's position is."""
    with temporary_file() as file:
        file.write(b"abc")
        assert file_digest(file) == hashlib.sha256(b"abc").hexdigest()
