"""Reading what a run wrote down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.layout import RunFolder, S3Uri
from millrace.records.files import listed_shards
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

FOLDER = RunFolder(S3Uri("result", "out/_millrace/run/"))
STRAY = ("shards/00003.json.tmp", "shards/0003.json", "shards/000031.json", "shards/٠٠٠٠٣.json", "shards/", "shardsx")


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.integers(0, 40), st.integers(0, 40))
def test_a_listing_shows_the_shards_that_have_the_file(
    committed: set[int], claimed: set[int], start: int, stop: int
) -> None:
    """Exactly those of the asked ones, in order; no stray key of the folder or of its neighbours counts."""
    client = InMemoryS3Client("result")
    for key in (*(FOLDER.commit(n).key for n in committed), *(FOLDER.claim(n).key for n in claimed)):
        client.put_object(Bucket="result", Key=key, Body=b"")
    for name in STRAY:
        client.put_object(Bucket="result", Key=FOLDER.root.join(name).key, Body=b"")
    shards, s3 = range(start, stop), S3(client.stub)
    assert list(listed_shards(FOLDER.commit, shards, s3)) == sorted(committed & set(shards))
    assert list(listed_shards(FOLDER.claim, shards, s3)) == sorted(claimed & set(shards))
