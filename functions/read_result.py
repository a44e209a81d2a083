"""Read Result: the run's counts and addresses, as the execution's output."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.errors import DamagedFileError, HandedBackError, ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.records import files as run_files
from millrace.records.sizing import SMALL
from millrace.s3.verbs import S3, connect

logger = Logger()
tracer = Tracer()
metrics = Metrics()
s3 = connect()

PARTS = ("run_id", "status", "counts", "failures", "retry", "files", "report", "failure_rows")
"""What the execution's output takes over from result.json."""

CHECKED_BYTES = 64 * 2**20
"""The largest file whose digest is compared: a second or two of reading. Merge has just compared all of them."""


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The Lambda's entry point: `read_result` with this function's client."""
    result = read_result(event, s3)
    metrics.add_metric("ItemsSucceeded", MetricUnit.Count, result["counts"]["succeeded"])
    metrics.add_metric("ItemsFailed", MetricUnit.Count, result["counts"]["failed"])
    logger.info("run finished", extra={"run_id": result["run_id"], "status": result["status"], **result["counts"]})
    return result


def read_result(event: dict[str, Any], s3: S3) -> dict[str, Any]:
    """Read what result.json says, without the workload's own part, which may be large.

    Args:
        event: `plan`, the URI of the plan.json that was worked, of the run or of a retry; `migrate_jobs`, the ids
            of the jobs that this execution migrated shards with, and `migrate_job`, the last one; empty where none;
            `size`, that of a job that worked alone.
        s3: The client to read with.

    Returns:
        run_id, status, counts, failures (rows by error code), retry (of failed items: number, items, succeeded, failed;
        else null), reuse (of a run with reuse, what it took over of an earlier one), reused (the shards and items that
        were done before, by other jobs), files (URIs by name), report and
        failure_rows (URIs), and result, the URI of result.json: the execution's output, well under its limit of
        256 KiB.

    Raises:
        HandedBackError: The job was small, and has left what is left to a full one: what is there is no result of it.
        ObjectNotFoundError: There is none.
        DamagedFileError: The file is not a result, not that of the plan, or does not go with its files.
        StorageError: It cannot be read.
    """
    folder = RunFolder.of_plan(S3Uri.parse(event["plan"], "plan"))
    uri = folder.file("result.json")
    if event.get("size") == SMALL:
        _check_handed_back(folder, event["migrate_job"], s3)
    found = run_files.read_result(folder, s3)
    if found is None:
        raise ObjectNotFoundError(
            "there is no result, although the job that merges ended with exit code 0: did the workload's code end the "
            f"process? `millrace logs {folder.run_id}` has what the job wrote; `millrace resume {folder.run_id}` "
            "merges again",
            operation="read the result",
            target=str(uri),
        )
    run_files.check_files(folder, found, s3, CHECKED_BYTES)
    try:
        output = {name: found[name] for name in PARTS}
        if found.get("reuse") is not None:
            output["reuse"] = found["reuse"]
        output["reused"] = _reused(found, {*event["migrate_jobs"], event["migrate_job"]})
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"this is not a result: {error!r}", operation="read the result", target=str(uri)
        ) from error
    return {**output, "result": str(uri)}


def _check_handed_back(folder: RunFolder, job_id: str, s3: S3) -> None:
    mark = folder.handed_back(job_id)
    try:
        s3.read(mark)
    except ObjectNotFoundError:
        return
    raise HandedBackError(
        "the small job lost an attempt, out of memory maybe: a job of the stack's JobSize continues",
        operation="read the result",
        target=str(mark),
    )


def _reused(found: dict[str, Any], migrate_jobs: AbstractSet[str]) -> dict[str, int]:
    """What other jobs than this execution's have committed, and what was taken over of an earlier run."""
    others = [worked for job, worked in found["worked_by"].items() if job not in migrate_jobs]
    mine = sum(worked["items"] for job, worked in found["worked_by"].items() if job in migrate_jobs)
    taken_over = (found.get("reuse") or {}).get("kept_shards", 0)
    return {"shards": taken_over + sum(worked["shards"] for worked in others), "items": found["counts"]["items"] - mine}
