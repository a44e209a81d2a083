"""The commit of a shard: there and back, and what its digest covers."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import DamagedFileError, ErrorCode
from millrace.records.commit import Commit, CommitText, PartialFile
from millrace.records.outcome import Counts, Outcome
from millrace.records.plan import Item

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
items = st.builds(Item, key=texts, size=st.integers(0, 10**12), etag=texts)
outcomes = st.builds(Outcome.succeeded, items, st.lists(texts, max_size=2)) | st.builds(
    Outcome.failed, items, st.sampled_from(ErrorCode), texts, st.sampled_from([None, 403])
)


def commit_of(given_outcomes: list[Outcome]) -> Commit:
    """A commit with these outcomes."""
    return Commit(
        shard=7,
        plan_digest="sha256:p",
        code_version="1",
        items_digest="sha256:i",
        partial=PartialFile("s3://b/p", "00", 3),
        counts=Counts.of(given_outcomes),
        outcomes=tuple(given_outcomes),
        job={"id": "a:7", "attempt": 1},
        started_at="2026-01-01T00:00:00.000+00:00",
        finished_at="2026-01-01T00:00:01.000+00:00",
    )


OUTCOME = Outcome.succeeded(Item("k", 5, '"e"'), ["s3://b/k.size"])


STRETCHES = st.lists(texts, max_size=3)


@given(st.lists(outcomes, max_size=5))
def test_a_commit_survives_the_way_through_its_file(given_outcomes: list[Outcome]) -> None:
    """Every outcome comes back as it was."""
    commit = commit_of(given_outcomes)

    assert Commit.from_json(commit.to_json(), "s3://b/c") == commit


def test_two_copies_of_a_child_have_one_digest() -> None:
    """Who worked the shard and when is no part of the content; what came of it is."""
    commit = commit_of([OUTCOME])
    other = replace(commit, job={"id": "b:7", "attempt": 3}, started_at="x", finished_at="y")

    assert other.content_digest == commit.content_digest
    for changed in (
        replace(commit, plan_digest="sha256:q"),
        replace(commit, code_version="2"),
        replace(commit, items_digest="sha256:j"),
        replace(commit, partial=None),
        replace(commit, outcomes=(replace(OUTCOME, bytes=4),)),
    ):
        assert changed.content_digest != commit.content_digest


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"\xff", b'{"content_digest": "x", "partial": 1}'])
def test_what_is_not_a_commit_is_refused(text: bytes) -> None:
    """A damaged file is an error that names it, never a commit with holes."""
    with pytest.raises(DamagedFileError, match="s3://b/c"):
        Commit.from_json(text, "s3://b/c")


def test_a_commit_that_was_altered_is_refused() -> None:
    """An outcome taken out of the file does not go unnoticed."""
    given = json.loads(commit_of([OUTCOME, OUTCOME]).to_json())
    given["outcomes"].pop()
    with pytest.raises(DamagedFileError, match="not as it was written"):
        Commit.from_json(json.dumps(given).encode(), "s3://b/c")


FILES = st.none() | st.builds(PartialFile, texts, texts, st.integers(0, 99))
ORIGINS = st.none() | st.fixed_dictionaries({"run_id": texts, "retry": st.integers(0, 9), "worked_in": texts})


STRETCHES = st.lists(texts, max_size=3)


@given(st.lists(outcomes, max_size=3), FILES, st.tuples(ORIGINS, STRETCHES), FILES, ORIGINS)
def test_a_commit_is_told_anew_without_its_outcomes_being_read(
    given_outcomes: list[Outcome],
    kept: PartialFile | None,
    before: tuple[dict[str, object] | None, list[str]],
    other: PartialFile | None,
    told: dict[str, object] | None,
) -> None:
    """The bytes are those of a commit that was read, changed and written, whatever its keys hold."""
    origin, runs = before
    stretches = tuple((run, 1) for run in runs) if len(runs) == len(given_outcomes) else ()
    commit = replace(commit_of(given_outcomes), contributions=kept, reused_from=origin, stretches=stretches)
    changed = replace(commit, shard=9, plan_digest="sha256:q", items_digest="x", contributions=other, reused_from=told)
    text = CommitText.of(commit.to_json(), "s3://b/c")
    head = {
        "shard": 9,
        "plan_digest": "sha256:q",
        "items_digest": "x",
        "contributions": None if other is None else asdict(other),
        "reused_from": told,
    }
    retold = replace(text, head={**text.head, **head}).to_json()
    assert CommitText.joined(text.each()) == text.outcomes
    assert len(text.each()) == len(given_outcomes)
    assert retold == changed.to_json()
    assert Commit.from_json(retold, "s3://b/d") == changed


@pytest.mark.parametrize("text", [b"", b"{}", b'{"a":1,"outcomes":[],"content_digest":"x"}\n', b'","outcomes":'])
def test_what_is_not_a_commit_is_not_told_anew(text: bytes) -> None:
    """Nor is one whose outcomes were altered."""
    altered = commit_of([OUTCOME]).to_json().replace(b'"size":5', b'"size":6')
    for each in (text, altered):
        with pytest.raises(DamagedFileError, match="s3://b/c"):
            CommitText.of(each, "s3://b/c")
