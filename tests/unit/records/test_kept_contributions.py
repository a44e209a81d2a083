"""The file of a shard's contributions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.layout import RunFolder, S3Uri
from millrace.records.contributions import contributed_items, put_contributions, read_contributions
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client


@given(st.dictionaries(st.integers(0, 12), st.sampled_from([b"1", b'{"a b":" "}'])))
def test_contributions_come_back(kept: dict[int, bytes]) -> None:
    """Those of all items or of some; what a place is of is told without them."""
    s3 = S3(InMemoryS3Client("results").stub)
    file = put_contributions(RunFolder.of(S3Uri("results", ""), "run"), 3, kept, s3)
    if file is None:
        assert not kept
        return
    assert read_contributions(file, s3) == kept
    assert sorted(contributed_items(file, s3)) == sorted(kept)
