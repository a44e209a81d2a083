"""What the runs have written, read from the raw files: JSON and CSV alone, none of the code under test."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.in_memory_s3 import InMemoryS3Client
from tests.simulation.keys import LATEST, RESULT, number_of, retry_of, run_key


@dataclass(frozen=True)
class PlannedItem:
    """An item of the plan."""

    key: str
    etag: str
    version_id: str | None
    shard: int


@dataclass
class RunRecord:
    """What is known of a run.

    Attributes:
        run_id: The run, or the retry: `run/retries/001`.
        plan: plan.json.
        shards: The planned items, by shard.
        items: The planned items, by key.
        latest: What told of the destination's last run when the plan was made: its pace cuts the shards.
        listed: The steps at which the plan's listing began and ended.
        commits: By shard.
        parts: The commits of the merge's parts, by part.
        committed_at: The steps at which they were written.
        complete_at: The step at which `_SUCCESS` was written.
    """

    run_id: str
    plan: dict[str, Any] = field(default_factory=dict)
    shards: list[list[PlannedItem]] = field(default_factory=list)
    items: dict[str, PlannedItem] = field(default_factory=dict)
    latest: bytes | None = None
    listed: tuple[int, int] = (0, 0)
    commits: dict[int, dict[str, Any]] = field(default_factory=dict)
    parts: dict[int, dict[str, Any]] = field(default_factory=dict)
    committed_at: dict[int, int] = field(default_factory=dict)
    complete_at: int | None = None

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The rows of all commits, in the plan's order."""
        return [row for index in sorted(self.commits) for row in self.commits[index]["outcomes"]]


class Records:
    """The records of all runs.

    Args:
        s3: Where they wrote.
    """

    def __init__(self, s3: InMemoryS3Client) -> None:
        self._s3 = s3
        self.runs: dict[str, RunRecord] = {}

    def of(self, run_id: str) -> RunRecord:
        """The record of a run."""
        return self.runs.setdefault(run_id, RunRecord(run_id))

    def chain(self, run_id: str) -> list[RunRecord]:
        """A run and its retries, up to the given one."""
        return [self.of(retry_of(run_id, number)) for number in range(number_of(run_id) + 1)]

    def rows(self, run_id: str) -> list[tuple[dict[str, Any], RunRecord]]:
        """The rows that count, each with the run or retry that it comes from; in the order of the run's plan."""
        first, *retries = self.chain(run_id)
        newest = {row["key"]: (row, first) for row in first.outcomes}
        for record in retries:
            newest.update({row["key"]: (row, record) for row in record.outcomes})
        return list(newest.values())

    def file(self, run_id: str, name: str) -> bytes | None:
        """A file of a run's folder."""
        stored = self._s3.stored(RESULT, run_key(run_id, name))
        return stored.body if stored else None

    def document(self, run_id: str, name: str) -> Any:
        """A JSON file of a run's folder; None where there is none."""
        text = self.file(run_id, name)
        return None if text is None else json.loads(text)

    def read_plan(self, run_id: str, listed: tuple[int, int]) -> RunRecord:
        """Take note of plan.json and its shard files.

        Raises:
            KeyError: A shard file is not there.
        """
        record = self.of(run_id)
        record.plan = self.document(run_id, "plan.json")
        record.listed = listed
        latest = self._s3.stored(RESULT, LATEST)
        record.latest = latest.body if latest else None
        digest = record.plan["digest"].removeprefix("sha256:")[:16]
        for index in range(record.plan["shards"]):
            text = self.file(run_id, f"plan/{digest}/{index:05d}.jsonl")
            if text is None:
                raise KeyError(index)
            rows = [json.loads(line) for line in text.splitlines()]
            items = [PlannedItem(row["key"], row["etag"], row.get("version_id"), index) for row in rows]
            record.shards.append(items)
            record.items.update({item.key: item for item in items})
        return record
