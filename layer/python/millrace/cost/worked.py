"""What a run has worked until now, from its folder: what its requests to S3 follow from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from millrace.errors import AccessDeniedError, BucketNotFoundError, DamagedFileError, ObjectNotFoundError
from millrace.layout import RunFolder
from millrace.records.files import plan_if_there, read_result
from millrace.records.reused import RunReuse
from millrace.s3.verbs import S3

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Worked:
    """What a run has worked.

    Attributes:
        workload: Its workload; empty where there is no plan.
        listed: How many objects the plan listed.
        items: How many items were planned.
        bytes: Of how many bytes.
        shards: In how many shards.
        items_worked: How many items are committed, those worked again in a retry counted again.
        shards_worked: In how many shards.
        jobs: The jobs that committed them, as far as a merge has recorded them.
        pace: The pace that the plan was made with; None where it had none.
        kept_items: How many of the items were taken over of an earlier run, and not worked.
        kept_bytes: Of how many bytes.
        kept_shards: In how many shards.
        reuses: Whether the run reuses an earlier one.
        requester_pays: Whether reading the source is on this account's bill, and not on its owner's.
    """

    workload: str = ""
    listed: int = 0
    items: int = 0
    bytes: int = 0
    shards: int = 0
    items_worked: float = 0
    shards_worked: int = 0
    jobs: frozenset[str] = frozenset()
    pace: dict[str, float] | None = None
    kept_items: int = 0
    kept_bytes: int = 0
    kept_shards: int = 0
    reuses: bool = False
    requester_pays: bool = False


def read_worked(folder: RunFolder, s3: S3) -> Worked:
    """Look into a run's own folder: by its result where there is one, else by its commits.

    Raises:
        StorageError: S3 is broken or busy. What is not there, or may not be read, is no error.
    """
    plan = _known(lambda: plan_if_there(folder, s3))
    if plan is None:
        return Worked()
    result = _known(lambda: read_result(folder, s3))
    worked_by: dict[str, Any] = (result or {}).get("worked_by") or {}
    # What came of it, where there is a result; else what was planned.
    reuse = RunReuse(**result["reuse"]) if result and result.get("reuse") else plan.reuse
    kept = (reuse.kept, reuse.kept_bytes, reuse.kept_shards) if reuse else (0, 0, 0)
    if worked_by:
        shards = sum(each["shards"] for each in worked_by.values())
        items: float = sum(each["items"] for each in worked_by.values())
    else:
        place = folder.commits
        shards = _known(lambda: sum(1 for _ in s3.list(place.bucket, place.key))) or 0
        shards = max(0, shards - kept[2])
        items = (plan.items - kept[0]) * shards / (plan.shards - kept[2]) if plan.shards > kept[2] else 0
    return Worked(
        workload=plan.workload,
        listed=plan.items + sum(plan.skipped.values()),
        items=plan.items,
        bytes=plan.total_bytes,
        shards=plan.shards,
        items_worked=items,
        shards_worked=shards,
        jobs=frozenset(worked_by) - {""},
        pace=plan.pace,
        kept_items=kept[0],
        kept_bytes=kept[1],
        kept_shards=kept[2],
        reuses=reuse is not None,
        requester_pays=plan.requester_pays,
    )


def _known(ask: Callable[[], Answer]) -> Answer | None:
    """The answer; None where there is nothing, or nothing that may be seen."""
    try:
        return ask()
    except (ObjectNotFoundError, BucketNotFoundError, AccessDeniedError, DamagedFileError, ValueError):
        return None
