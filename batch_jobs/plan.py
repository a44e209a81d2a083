"""The plan job: list the source, cut it into shards, write the shard files and then plan.json.

The first plan wins. Shard files lie in a folder named by the plan's digest, and plan.json, which names that folder, is
written last and only if there is none: a second copy of the job, a retry, a redrive or a resumed run finds it and
keeps it, however the source has changed meanwhile. Shard files that no plan.json names are left behind, unread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from batch_jobs.job import Job
from batch_jobs.listing import ItemFilter
from batch_jobs.parallel import in_order
from batch_jobs.sharding import ItemStore
from millrace.errors import DamagedFileError, ObjectNotFoundError, RunIdentityError
from millrace.layout import RunFolder, S3Uri
from millrace.plan import Plan, items_digest, plan_digest
from millrace.request import RunRequest
from millrace.s3 import ListedObject

log = logging.getLogger(__name__)


def plan(request: RunRequest, folder: RunFolder, job: Job) -> Plan:
    """Make the run's plan, or keep the one that is there.

    Args:
        request: The checked request.
        folder: The run's folder.
        job: The job's surroundings.

    Raises:
        RunIdentityError: There is a plan, and it is for something else.
        BucketNotFoundError: A bucket is missing.
        AccessDeniedError: The source may not be listed, or the destination not be written.
        StoppedError: The job has to stop.
    """
    kept = _kept_plan(request, folder, job)
    if kept is not None:
        return kept
    source = S3Uri.parse_folder(request.source, "source")
    chosen = ItemFilter(source.key, request.include, request.exclude)
    items = ItemStore(chosen.items(_listing(source, job)))
    shards = items.cut(request.shard)
    identity = {"source": request.source, "destination": request.destination, "workload": request.workload}
    digest = plan_digest(
        **identity,
        options=request.options,
        code_version=job.settings.code_version,
        items_digests=(items_digest(items.lines(shard)) for shard in shards),
    )
    made = Plan(
        **identity,
        run_id=folder.run_id,
        options=request.options,
        include=request.include,
        exclude=request.exclude,
        shards=len(shards),
        items=len(items),
        total_bytes=items.total_bytes,
        skipped=dict(chosen.skipped),
        tolerated_failure_percent=request.tolerated_failure_percent,
        code_version=job.settings.code_version,
        digest=digest,
        planned_at=job.timestamp(),
    )

    def write(index: int) -> None:
        job.stop.check()
        body = items.lines(shards[index])
        job.s3.put(folder.shard_items(index, digest), body, content_type="application/x-ndjson")

    for _ in in_order(write, range(len(shards)), job.settings.concurrency):
        pass
    if job.s3.put_if_absent(folder.plan, made.to_json(), content_type="application/json"):
        log.info("planned", extra={"fields": _figures(made)})
        return made
    # Our own earlier try, or another copy of this job: what it wrote is the plan.
    first = _kept_plan(request, folder, job)
    if first is None:
        raise DamagedFileError("plan.json vanished; plan again", operation="plan", target=str(folder.plan))
    return first


def _listing(source: S3Uri, job: Job) -> Iterator[ListedObject]:
    for number, found in enumerate(job.s3.list(source.bucket, source.key)):
        if number % 1000 == 0:
            job.stop.check()
        yield found


def _kept_plan(request: RunRequest, folder: RunFolder, job: Job) -> Plan | None:
    try:
        text = job.s3.read(folder.plan)
    except ObjectNotFoundError:
        return None
    kept = Plan.from_json(text, str(folder.plan))
    asked = {
        "source": request.source,
        "destination": request.destination,
        "workload": request.workload,
        **{f"options.{name}": value for name, value in request.options.items()},
        "include": request.include,
        "exclude": request.exclude,
        "code version": job.settings.code_version,
    }
    planned = {
        "source": kept.source,
        "destination": kept.destination,
        "workload": kept.workload,
        **{f"options.{name}": value for name, value in kept.options.items()},
        "include": kept.include,
        "exclude": kept.exclude,
        "code version": kept.code_version,
    }
    differing = [name for name in {**planned, **asked} if planned.get(name) != asked.get(name)]
    if differing:
        what = "; ".join(f"{name} was {planned.get(name)!r}, is {asked.get(name)!r}" for name in differing)
        raise RunIdentityError(
            f"the run folder holds another plan: {what}. Start a new run, or go on with what was planned.",
            operation="plan",
            target=str(folder.plan),
        )
    log.info("keeping the plan that is there", extra={"fields": _figures(kept)})
    return kept


def _figures(made: Plan) -> dict[str, object]:
    return {
        "run_id": made.run_id,
        "shards": made.shards,
        "items": made.items,
        "bytes": made.total_bytes,
        "skipped": made.skipped,
        "plan_digest": made.digest,
    }
