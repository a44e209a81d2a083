"""The report of an import is that of its files, in whatever order its shards come."""

from __future__ import annotations

import io
from dataclasses import asdict
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb import import_order
from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts
from batch_jobs.workloads.csv_to_dynamodb.import_order import entries_in_order
from batch_jobs.workloads.csv_to_dynamodb.import_partial import RejectedRow, entry_line
from millrace.errors import DamagedFileError

FILES = st.lists(
    st.tuples(st.sampled_from("abcdeé\U0001f600"), st.sampled_from([None, 0, 50, 1000]), st.integers(0, 3)),
    unique_by=lambda file: (file[0], file[1] or 0),
    max_size=12,
)


def entries(key: str, first_byte: int | None, rejected: int) -> list[FileCounts | RejectedRow]:
    """The counts of a zip's two files, and the rejected rows of each."""
    made: list[FileCounts | RejectedRow] = []
    for member in ("z", "a"):
        made.append(FileCounts(key, member, first_byte, read=9, written=9 - rejected, rejected=rejected))
        made += [RejectedRow(line, f"{key}{member}") for line in range(rejected)]
    return made


def partial(files: list[tuple[str, int | None, int]]) -> io.BytesIO:
    """A partial of these files."""
    found = (entry for file in sorted(files, key=lambda file: (file[0], file[1] or 0)) for entry in entries(*file))
    return io.BytesIO(
        b"".join(entry_line(asdict(entry) if isinstance(entry, FileCounts) else entry) for entry in found)
    )


@given(FILES, st.randoms(use_true_random=False), st.integers(1, 4), st.sampled_from([1, 2, 64]))
def test_the_order_of_shards_does_not_matter(
    files: list[tuple[str, int | None, int]], chance: Random, size: int, stretches: int
) -> None:
    """Files in any shards, and shards in any order, give the entries in the order of their keys."""
    expected = [entry for file in sorted(files, key=lambda file: (file[0], file[1] or 0)) for entry in entries(*file)]
    chance.shuffle(files)
    shards = [files[start : start + size] for start in range(0, len(files), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_order, "_MOST_STRETCHES", stretches)
        assert list(entries_in_order(map(partial, [*shards, []]))) == expected


def test_what_is_no_partial_is_refused() -> None:
    """A row without a file, and a file that is cut off."""
    for text in (entry_line((3, "why")), entry_line(asdict(FileCounts("a", read=1, rejected=1)))):
        with pytest.raises(DamagedFileError):
            list(entries_in_order([io.BytesIO(text)]))
