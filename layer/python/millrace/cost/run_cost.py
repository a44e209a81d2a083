"""A run's cost as it is reported: the actual one beside the estimate, stored in its folder as cost.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millrace.aws.run_jobs import Attempt, RunJobs, read_run_jobs
from millrace.cost.bill import Used, bill
from millrace.cost.estimation import Jobs, ShardSize, calls, estimate, planning_seconds, transitions
from millrace.cost.known_pace import record_memory, record_pace
from millrace.cost.prices import prices
from millrace.cost.requester_pays import source_bill
from millrace.cost.s3_requests import S3Requests
from millrace.cost.worked import Worked, read_worked
from millrace.errors import ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder
from millrace.s3.verbs import S3
from millrace.workload.pace import Pace

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

NAME = "cost.json"


def run_cost(batch: BatchClient, queues: Sequence[str], folder: RunFolder, s3: S3) -> dict[str, Any]:
    """What a run has cost until now, as `cost.json` has it; docs/cost.md describes its fields.

    Args:
        batch: A boto3 Batch client.
        queues: The ARNs of the stack's queues.
        folder: The run's folder, or a retry's.
        s3: Where to read it.

    Raises:
        ClientError: Batch refused, or is busy.
        StorageError: S3 is broken or busy. What is not there, or may not be read, is no error.
    """
    return cost_of(read_run_jobs(batch, queues, folder.base), read_worked(folder.base, s3), queues[0].split(":")[3])


def cost_of(jobs: RunJobs, worked: Worked, region: str) -> dict[str, Any]:
    """What a run cost.

    Args:
        jobs: What its jobs took.
        worked: What it worked.
        region: Where it ran.
    """
    pace = record_pace(worked.workload).given(worked.pace)
    requests = S3Requests.of(
        listed=worked.listed, items=worked.items_worked, shards=worked.shards_worked, outputs=pace.outputs
    )
    stages = jobs.by_id.values()
    table = prices()
    planning = 0.0 if "plan" in stages else planning_seconds(worked.listed, worked.shards)
    return {
        **bill(Used(jobs.attempts, requests, transitions(stages), calls(stages), planning)),
        **_estimates(jobs.attempts, worked, pace),
        **_source_bill(worked),
        "complete": not jobs.running and worked.jobs <= jobs.by_id.keys(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": region,
        "prices": {"date": table["date"], "region": table["region"]},
    }


def write_cost(folder: RunFolder, s3: S3, cost: dict[str, Any]) -> None:
    """Keep a run's cost in its folder: Batch forgets jobs after a week."""
    body = json.dumps(cost, indent=2).encode() + b"\n"
    s3.put(folder.base.file(NAME), body, content_type="application/json")


def read_cost(folder: RunFolder, s3: S3) -> dict[str, Any] | None:
    """What was kept of a run's cost; None where nothing was.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        found = read_json(s3.read(folder.base.file(NAME)))
    except (ObjectNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("dollars"), float) and "at" in found else None


def _source_bill(worked: Worked) -> dict[str, Any]:
    """What reading the source cost this account, of a run that pays for it alone."""
    if not worked.requester_pays:
        return {}
    mean = worked.bytes / worked.items if worked.items else 0.0
    bill = source_bill(listed=worked.listed, items=worked.items_worked, size=worked.items_worked * mean)
    return {"requester_pays": bill}


def _estimates(attempts: Sequence[Attempt], worked: Worked, pace: Pace) -> dict[str, float | None]:
    """What `millrace estimate` says of the plan, on what the run's jobs had; None without a plan or a job.

    Returns:
        estimated_dollars, of the shards that were to be worked; and, of a run with reuse alone, saved_dollars: how much
        more they and the shards that were taken over would cost.
    """
    if not attempts or not worked.shards:
        return {"estimated_dollars": None, **({"saved_dollars": None} if worked.reuses else {})}
    first = max(attempts, key=lambda attempt: attempt.vcpus)  # a small job's size is not the stack's
    jobs = Jobs(
        vcpus=first.vcpus,
        memory_mib=round(first.gb * 1024),
        architecture=first.architecture,
        public_ip=first.public_ip,
        compute=first.compute,
    )
    planned = all(attempt.stage != "plan" for attempt in attempts)

    def dollars(items: int, size: int, shards: int) -> float:
        each = [ShardSize(round(items / shards), round(size / shards))] * shards if shards else []
        return estimate(
            each, worked.listed, jobs, pace, planned=planned, memory_mib=record_memory(worked.workload)
        ).total_dollars

    left = worked.shards - worked.kept_shards
    cost = dollars(worked.items - worked.kept_items, worked.bytes - worked.kept_bytes, left)
    if not worked.reuses:
        return {"estimated_dollars": round(cost, 8)}
    whole = dollars(worked.items, worked.bytes, worked.shards)
    return {"estimated_dollars": round(cost, 8), "saved_dollars": round(max(0.0, whole - cost), 8)}
