"""The benchmark of reuse: its source is what it says, and a small case comes to what can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.changed_source import KINDS, PLACES, SOURCE, Change, ChangedSource
from benchmarks.reuse import NEXT, _case, _planned, table
from benchmarks.reuse_memory import measured
from millrace.s3.verbs import S3, ListedObject


def listed(folder: Path, change: Change) -> dict[str, ListedObject]:
    """The source's objects."""
    found = list(S3(ChangedSource(folder, change)).list(SOURCE.bucket, SOURCE.key))
    keys = [each.key for each in found]
    assert keys == sorted(set(keys), key=str.encode)
    return {each.key: each for each in found}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_changes_as_asked(tmp_path: Path, kind: str, place: str) -> None:
    """Of 2,500 objects, on three pages, 30 are new, changed or gone, and no other one."""
    before, after = listed(tmp_path, Change(2500)), listed(tmp_path, Change(2500, kind, place, 30))
    assert len(before) == 2500
    new, gone = set(after) - set(before), set(before) - set(after)
    changed = {key for key in set(before) & set(after) if before[key] != after[key]}
    assert (len(new), len(changed), len(gone)) == tuple(
        30 * (kind == each) for each in ("inserted", "changed", "deleted")
    )


@pytest.mark.parametrize(("workload", "kind"), [("word-count", "inserted"), ("images", "changed")])
def test_a_small_case(tmp_path: Path, workload: str, kind: str) -> None:
    """Twenty objects of 3,000 are all that is worked, as they are new or contributions are kept; more is billed than
    the least.
    """
    plans = {"base": _planned(tmp_path, Change(3000), "base", workload)}
    change = Change(3000, kind, "scattered", 20)
    plans["plain"] = _planned(tmp_path, change, "plain", workload)
    (tmp_path / NEXT.root.bucket / NEXT.plan.key).unlink()
    plans["next"] = _planned(tmp_path, change, "next", workload)
    found, base = _case(change, 1, workload, plans), plans["base"]
    assert (found["worked"], found["worked_ratio"], found["theory_ratio"]) == (20, 1, 1)
    assert found["kept_shards"] == base["shards"] == found["shards"] - 1
    assert kind == "changed" or found["requests"]["COPY"] == base["shards"]
    assert found["least_billed_seconds"] <= found["billed_seconds"]
    assert "20 | 1.00 | 1.00" in table([found]).markdown()


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_measured_of_the_real_comparison(kind: str) -> None:
    """All of 3,000 objects but the 30 that are gone or changed are kept, in the base's three shards."""
    found = measured(Change(3000, kind, "scattered", 30))
    assert (found["kept"], found["kept_shards"]) == (3000 - 30 * (kind != "inserted"), 3)
    assert found["shards"] == 3 + (kind != "deleted")
    assert found["peak_mb"] > 0
