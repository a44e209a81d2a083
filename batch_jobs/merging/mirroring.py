"""`"mirror": true`: the outputs of items that are gone from the source are deleted, once the run's result is marked.

What is deleted is what the base's commits name for items that the plan found to be gone, and nothing else: no listing
of the destination is looked at. An output that a row of this run names as well stays, and so does one that was written
after this run was planned: a run that began later made it. A second merge deletes what the first one left.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from batch_jobs.job import Job
from batch_jobs.parallel import in_order
from millrace.errors import ChangedError, DamagedFileError, InvalidRunRequest, ObjectNotFoundError, RunIdentityError
from millrace.layout import RESERVED_NAME, RunFolder, S3Uri
from millrace.records.files import plan_if_there, read_commit
from millrace.records.folders import read_request
from millrace.records.generations import RowReader, read_generations
from millrace.records.plan import Plan

log = logging.getLogger(__name__)


def mirror(folder: RunFolder, plan: Plan, first: Plan, job: Job) -> int:
    """Delete the outputs of items that are gone, where the run's request asks for that.

    Args:
        folder: The folder of the run, or of a rerun of its failed items, that was merged.
        plan: Its plan.
        first: The run's own plan, which says what is gone.
        job: The job's surroundings.

    Returns:
        How many objects were deleted.

    Raises:
        DamagedFileError: The list of what is gone is not the one that the plan names.
        StorageError: An output could not be deleted.
    """
    reuse = first.reuse
    if reuse is None or not reuse.removed or not _is_asked(folder, job):
        return 0
    base = RunFolder.of(S3Uri.parse(first.destination), reuse.base)
    gone = set(_outputs(base, _read_gone(folder.base, reuse.removed_digest, job), first, job))
    gone -= _named(folder, plan, gone, job)
    planned_at = datetime.fromisoformat(first.planned_at)

    def delete(output: S3Uri) -> bool:
        job.stop.check()
        return _delete(output, planned_at, job)

    ordered = sorted(gone, key=lambda uri: uri.key.encode())
    with closing(in_order(delete, ordered, job.settings.concurrency)) as deleted:
        count = sum(deleted)
    log.info(
        "outputs of items that are gone were deleted", extra={"fields": {"items": reuse.removed, "outputs": count}}
    )
    return count


def _is_asked(folder: RunFolder, job: Job) -> bool:
    document = read_request(folder.base, job.s3)
    return document is not None and document["request"].get("mirror") is True


def _read_gone(folder: RunFolder, digest: str, job: Job) -> dict[tuple[int, int], set[str]]:
    """The keys of the items that are gone, by the base's rerun and shard that worked them."""
    uri = folder.planned_removed(digest)
    try:
        text = job.s3.read(uri)
    except ObjectNotFoundError:
        text = b""
    if f"sha256:{hashlib.sha256(text).hexdigest()}" != digest:
        raise DamagedFileError("it is not the list that plan.json names", operation="mirror", target=str(uri))
    gone: dict[tuple[int, int], set[str]] = defaultdict(set)
    for line in text.splitlines():
        row: dict[str, Any] = json.loads(line)
        gone[row["retry"], row["shard"]].add(row["key"])
    return gone


def _outputs(base: RunFolder, gone: dict[tuple[int, int], set[str]], plan: Plan, job: Job) -> Iterator[S3Uri]:
    """The outputs that the base's commits name for these items, as far as they lie among the destination's outputs."""
    destination = S3Uri.parse(plan.destination)
    plans = {retry: plan_if_there(base.of_retry(retry), job.s3) for retry in {retry for retry, _ in gone}}

    def read(place: tuple[int, int]) -> list[S3Uri]:
        job.stop.check()
        retry, shard = place
        try:
            planned = plans[retry]
            commit = None if planned is None else read_commit(base.of_retry(retry), shard, planned, job.s3)
            outcomes = commit.outcomes if commit else ()
            named = [uri for outcome in outcomes if outcome.key in gone[place] for uri in outcome.outputs]
            found = list(map(S3Uri.parse, named))
        except (DamagedFileError, RunIdentityError, InvalidRunRequest) as error:
            fields = {"base": base.run_id, "retry": retry, "shard": shard, "why": str(error)}
            log.warning("outputs of items that are gone are not known, and stay", extra={"fields": fields})
            return []
        return [uri for uri in found if destination.contains(uri) and RESERVED_NAME not in uri.key.split("/")]

    with closing(in_order(read, sorted(gone), job.settings.concurrency)) as shards:
        for outputs in shards:
            yield from outputs


def _named(folder: RunFolder, plan: Plan, gone: AbstractSet[S3Uri], job: Job) -> set[S3Uri]:
    """Which of these outputs a row of this run names."""
    texts = {str(uri): uri for uri in gone}
    reader = RowReader(job.s3, job.settings.concurrency, job.stop.check)
    with closing(reader.shards(read_generations(folder, plan, job.s3))) as shards:
        outputs: Iterable[str] = (uri for _, rows in shards for row in rows for uri in row.outcome.outputs)
        return {texts[uri] for uri in outputs if uri in texts}


def _delete(output: S3Uri, planned_at: datetime, job: Job) -> bool:
    """Delete an output, unless it is gone already or was written since; whether it was deleted."""
    try:
        found = job.s3.ask("head", output, "head_object", Bucket=output.bucket, Key=output.key)
        # Our client leaves times as S3 writes them, which is an HTTP date here.
        if parsedate_to_datetime(found["LastModified"]) > planned_at:
            return False
        job.s3.delete(output, etag=found["ETag"])
    except (ChangedError, ObjectNotFoundError):
        return False
    return True
