"""Read Plan: what of the plan has no commit yet, and how many children to start for it.

It is read before the first array and after each one, so that every array is sized from what is left. The listing of the
commits and the pace of some of them are hints for that: merge reads every commit that the plan names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.cost.known_pace import pace_so_far, record_memory
from millrace.errors import ObjectNotFoundError, StalledError
from millrace.in_order import in_order
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead
from millrace.records.files import is_marked, listed_shards, read_commit_head
from millrace.records.generations import NAMED_SHARDS
from millrace.records.plan import Plan
from millrace.records.sizing import (
    FULL,
    LEAST_ARRAY,
    SMALL,
    SMALL_MIB,
    SMALL_VCPUS,
    TAKE_OVER_SECONDS,
    Left,
    children_for,
    children_merge,
    fits_small_job,
    has_small_jobs,
)
from millrace.s3.verbs import S3, connect
from millrace.settings import FunctionSettings

logger = Logger()
tracer = Tracer()
metrics = Metrics()
settings = FunctionSettings.from_environment()
s3 = connect()

SAMPLE = 64
"""Of so many commits, from the first shard to the last, the pace is measured."""

MOST_PASSES = 500
"""So many arrays a run has at most: with 13 events a pass, and their retries, far from the 25,000 of an execution's
history (Step Functions, "Service quotas"). Each pass commits something, or it is the last."""


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The Lambda's entry point: `read_plan` with this function's client and settings."""
    plan = read_plan(event, s3, settings)
    if plan["pass"] == 1:
        metrics.add_metric("ShardsPlanned", MetricUnit.Count, plan["shards"])
        metrics.add_metric("ItemsPlanned", MetricUnit.Count, plan["items"])
        metrics.add_metric("BytesPlanned", MetricUnit.Bytes, plan["bytes"])
    metrics.add_metric("ChildrenSized", MetricUnit.Count, plan["children"])
    logger.info("plan read", extra={"plan": event["plan"], **plan})
    return plan


def read_plan(event: dict[str, Any], s3: S3, settings: FunctionSettings) -> dict[str, Any]:
    """Read what plan.json says, and what has no commit yet.

    Args:
        event: `plan`, the URI of plan.json; `merge_job`, whether the request wants a merge job behind an array;
            `before`, what this execution's last call returned (`pass` is 0 before the first); `migrate_job`, the job
            that has migrated since then, empty where there was none; `execution`, the context object's: how often it
            was redriven.
        s3: The client to read with.
        settings: How many jobs run at once, and what one has.

    Returns:
        What the state machine keeps as `$.plan`: shards (0 to 100,000), items, bytes, digest and merge_parts (0, or 2
        to 10,000) of the plan; shards_left; children (0, where nothing is left, to 10,000), the size of the next array;
        job, the size of a job that works it all alone, `small` or `full`, and the resources that Batch is asked for;
        merging, whether these merge as well, and merged, whether the last ones have; and for the next call and for Read
        Result pass (from 1), redrives, and jobs, the ids of those that migrated in this execution.

    Raises:
        StalledError: An array has ended since the last call, and no shard was committed.
        DamagedFileError: The file is not a plan.
        ObjectNotFoundError: There is none.
        StorageError: It cannot be read.
    """
    uri = S3Uri.parse(event["plan"], "plan")
    folder = RunFolder.of_plan(uri)
    plan = Plan.from_json(_text_of_plan(uri, folder, s3), str(uri))
    before, redrives = event["before"], event["execution"].get("RedriveCount", 0)
    committed = list(listed_shards(folder.commit, range(plan.shards), s3))
    left = plan.shards - len(committed)
    # After a redrive an array may try once more: what was wrong may have been put right.
    # A small job that handed back has no need to commit anything: what follows it is larger.
    if left and before["pass"] and before["redrives"] == redrives and not _was_small(before):
        _check_progress(folder, plan, committed, before)
    job = event["migrate_job"]
    to_do = Left(left, _seconds_left(folder, plan, committed, s3, first=not before["pass"]))
    children = _children(plan, to_do, settings.slots)
    return {
        "shards": plan.shards,
        "items": plan.items,
        "bytes": plan.total_bytes,
        "digest": plan.digest,
        "merge_parts": plan.merge_parts,
        "shards_left": left,
        "children": children,
        "job": _job(plan, to_do, children, before, settings),
        "merging": _merging(plan, to_do, children, merge_job=event.get("merge_job", False)),
        "merged": not left and _merged(folder, plan, before, s3),
        "pass": before["pass"] + 1,
        "redrives": redrives,
        "jobs": [*before["jobs"], *([job] if job and job not in before["jobs"] else [])],
    }


def _text_of_plan(uri: S3Uri, folder: RunFolder, s3: S3) -> bytes:
    try:
        return s3.read(uri)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(
            "there is no plan, although the plan job ended with exit code 0: did the workload's code end the process? "
            f"`millrace logs {folder.run_id}` has what the job wrote; `millrace resume {folder.run_id}` plans again",
            operation="read the plan",
            target=str(uri),
        ) from None


def _job(
    plan: Plan, left: Left, children: int, before: dict[str, Any], settings: FunctionSettings
) -> dict[str, object]:
    """The size of a job that works and merges alone. Only the first of an execution may be small."""
    if (
        children == 1
        and not before["pass"]
        and has_small_jobs(settings.compute, settings.job_vcpus, settings.job_mib)
        and fits_small_job(left, record_memory(plan.workload))
    ):
        return {"size": SMALL, "resources": _resources(SMALL_VCPUS, SMALL_MIB)}
    resources = _resources(settings.job_vcpus, settings.job_mib)
    if settings.compute == "EC2_GPU":
        resources.append({"Type": "GPU", "Value": "1"})
    return {"size": FULL, "resources": resources}


def _resources(vcpus: float, mib: int) -> list[dict[str, str]]:
    return [{"Type": "VCPU", "Value": f"{vcpus:g}"}, {"Type": "MEMORY", "Value": str(mib)}]


def _was_small(before: dict[str, Any]) -> bool:
    return (before.get("job") or {}).get("size") == SMALL


def _merging(plan: Plan, left: Left, children: int, *, merge_job: bool) -> bool:
    """Whether those who work what is left merge as well."""
    wanted_apart = children > 1 and merge_job
    return children_merge(left, children) and not plan.merge_parts and not wanted_apart


def _merged(folder: RunFolder, plan: Plan, before: dict[str, Any], s3: S3) -> bool:
    """Whether a child of the last array has merged. An older mark counts for nothing: merge compares what is there."""
    return before.get("merging", False) and is_marked(folder, plan, s3)


def _children(plan: Plan, left: Left, slots: int) -> int:
    """How many children to start. One would merge as well, and where the plan has the merge go in parts it may not."""
    children = children_for(left, slots)
    return LEAST_ARRAY if children == 1 and plan.merge_parts else children


def _check_progress(folder: RunFolder, plan: Plan, committed: Sequence[int], before: dict[str, Any]) -> None:
    """See that the last array has committed something, and that there have not been too many.

    Raises:
        StalledError: It has not, or there have.
    """
    left = plan.shards - len(committed)
    if left < before["shards_left"] and before["pass"] < MOST_PASSES:
        return
    done = set(committed)
    missing = [index for index in range(plan.shards) if index not in done]
    named = ", ".join(map(str, missing[:NAMED_SHARDS]))
    more = f" and {left - NAMED_SHARDS:,} more" if left > NAMED_SHARDS else ""
    what = (
        "its children exited 0 but committed nothing"
        if left >= before["shards_left"]
        else "no further array is allowed"
    )
    raise StalledError(
        f"array {before['pass']} of this execution has ended, {what}: {left:,} of {plan.shards:,} shards have no "
        f"commit: {named}{more}. `millrace logs {folder.run_id}` has what the children wrote; "
        f"`millrace resume {folder.run_id}` works what is missing",
        operation="size the next array",
        target=str(folder.commits),
    )


def _seconds_left(folder: RunFolder, plan: Plan, committed: Sequence[int], s3: S3, *, first: bool) -> float | None:
    """How long one child would work what is left, by the pace of some commits, or else by the plan's; None: unknown.

    Before the first array, kept shards of which none has its commit are still to be taken over, which is no work.
    """
    kept = plan.reuse.kept_shards if plan.reuse else 0
    taken = sum(index < kept for index in committed)
    to_take = kept if first and not taken else 0
    pace = pace_so_far(plan.pace, _sample(folder, committed, s3) if len(committed) < plan.shards else ())
    if pace is None:
        return None
    return pace.seconds(*_left(plan, len(committed) - taken, taken + to_take)) + to_take * TAKE_OVER_SECONDS


def _left(plan: Plan, worked: int, done: int) -> tuple[float, float]:
    """About how many items, and bytes of them, are left to be worked. Kept shards are often larger than the others.

    Args:
        plan: The plan.
        worked: How many of the other shards have their commit.
        done: How many of the kept shards have it, or only have to be taken over.
    """
    reuse = plan.reuse
    kept = (reuse.kept_shards, reuse.kept, reuse.kept_bytes) if reuse else (0, 0, 0)
    whole = (plan.shards, plan.items, plan.total_bytes)
    items = size = 0.0
    for (shards, of_items, of_bytes), there in (
        (kept, done),
        (tuple(all_ - some for all_, some in zip(whole, kept, strict=True)), worked),
    ):
        share = 1 - there / shards if shards else 0.0
        items += of_items * share
        size += of_bytes * share
    return items, size


def _sample(folder: RunFolder, committed: Sequence[int], s3: S3) -> Iterator[CommitHead]:
    def head(index: int) -> CommitHead | None:
        try:
            return read_commit_head(folder.commit(index), s3)
        except (ValueError, ObjectNotFoundError):  # merge will say what is wrong with it
            return None

    step = max(1, len(committed) // SAMPLE)
    yield from filter(None, in_order(head, committed[::step][:SAMPLE], 8))
