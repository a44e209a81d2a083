"""The section `reuse` of plan.json and result.json."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from millrace.errors import DamagedFileError
from millrace.records.plan import Plan
from millrace.records.reused import PlannedReuse, RunReuse

PLAN = Plan("run", "s3://s/", "s3://r/", "sizes", {}, [], [], 1, 1, 1, {}, 0, "1", "sha256:0", "2026-01-01")
REUSE = PlannedReuse("latest", "run-0", 1, 7, 2, 3, 4, 2, 700, "sha256:1", "sha256:2", "")


def test_a_plan_says_what_it_reuses() -> None:
    """It comes back from plan.json as it was."""
    plan = replace(PLAN, reuse=REUSE)
    assert Plan.from_json(plan.to_json(), "plan.json") == plan


def test_a_plan_without_reuse_says_nothing_of_it() -> None:
    """Its file has no such section."""
    assert "reuse" not in json.loads(PLAN.to_json())
    assert Plan.from_json(PLAN.to_json(), "plan.json") == PLAN


@pytest.mark.parametrize(
    "change", [{"kept": -1}, {"kept": True}, {"base": 7}, {"more": 1}, {"why_not": None}, {"kept_shards": "2"}]
)
def test_a_damaged_section_is_no_plan(change: dict[str, Any]) -> None:
    """A number that is none, and a field that is unknown, are found when the plan is read."""
    document = json.loads(replace(PLAN, reuse=REUSE).to_json())
    document["reuse"] |= change
    with pytest.raises(DamagedFileError, match="reuse"):
        Plan.from_json(json.dumps(document).encode(), "plan.json")


def test_what_could_not_be_taken_over_counts_as_changed() -> None:
    """All items are counted, whatever became of the plan to keep them."""
    came = RunReuse.of(REUSE, shards=1, items=5, size=500)
    assert asdict(came) == {
        "base": "run-0",
        "base_retry": 1,
        "kept": 5,
        "changed": 4,
        "new": 3,
        "removed": 4,
        "kept_shards": 1,
        "kept_bytes": 500,
        "why_not": "",
    }


def test_without_a_base_all_items_are_new() -> None:
    """And the section says why there is none."""
    none = PlannedReuse.without_base("latest", "no run has succeeded yet", 9)
    assert (none.new, none.kept, none.base, none.why_not) == (9, 0, "", "no run has succeeded yet")
