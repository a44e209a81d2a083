"""Merging in parts: several jobs merge the partials of some shards each, before one merges what they made.

A part is committed as a shard is: its partial first, named by its content, then its commit, once. It saves time and
nothing else: merge takes the shards' own partials where a part has no commit, and its result is the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace

from batch_jobs.job import Job
from batch_jobs.migrating.partials import open_partials, put_partial
from batch_jobs.parallel import in_order
from millrace.errors import (
    ChangedError,
    DamagedFileError,
    InvalidRunRequest,
    MissingCommitError,
    ObjectNotFoundError,
    RunIdentityError,
)
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import PartialFile
from millrace.records.files import copy_file, read_commit
from millrace.records.generations import Generation
from millrace.records.plan import Plan
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartCommit:
    """What `parts/00003.json` says.

    Attributes:
        part: The part's number, from 0.
        plan_digest: The plan that its shards are of.
        code_version: The version of the code that merged it.
        merged_digest: `sha256:…` over the digests of the shards' partials that are in it.
        partial: Them, merged; None where there was none.
        job: Who merged it: the Batch job's id and attempt.
        finished_at: ISO 8601, UTC.
    """

    part: int
    plan_digest: str
    code_version: str
    merged_digest: str
    partial: PartialFile | None
    job: dict[str, str | int]
    finished_at: str

    def to_json(self) -> bytes:
        """The commit's file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"


def merge_part(folder: RunFolder, part: int, job: Job) -> None:
    """Merge the partials of a part's shards, unless it has its commit already.

    Args:
        folder: The run's folder, or the retry's.
        part: The part's number, from 0.
        job: The job's surroundings.

    Raises:
        InvalidRunRequest: The plan has no such part, or the array has another size than the plan has parts.
        MissingCommitError: One of its shards has no commit.
        RunIdentityError: A commit belongs to another plan or code version.
        DamagedFileError: A commit or a partial is not as it was written.
        StoppedError: The job has to stop.
    """
    plan = job.read_plan(folder)
    _check_part(part, plan, job)
    fields = {"part": part, "shards": len(plan.shards_of_part(part))}
    if _read_part(folder, part, plan, job.s3) is not None:
        log.info("the part is already committed", extra={"fields": fields})
        return

    def partial_of(index: int) -> PartialFile | None:
        job.stop.check()
        commit = read_commit(folder, index, plan, job.s3)
        if commit is None:
            raise MissingCommitError(
                f"shard {index} has no commit; run migrate for it first", operation="merge", target=str(folder.root)
            )
        return commit.partial

    partials = _present(in_order(partial_of, plan.shards_of_part(part), job.settings.concurrency))
    digest, partial = _merged_digest(partials), None
    if partials:
        partial = _of_base(folder, part, plan, digest, job) or _merged(folder, part, plan, partials, job)
    commit = PartCommit(
        part=part,
        plan_digest=plan.digest,
        code_version=plan.code_version,
        merged_digest=digest,
        partial=partial,
        job={"id": job.settings.job_id, "attempt": job.settings.attempt},
        finished_at=job.timestamp(),
    )
    written = job.s3.put_if_absent(folder.part_commit(part), commit.to_json(), content_type="application/json")
    log.info("part committed" if written else "another copy of this child committed first", extra={"fields": fields})


def partials_to_merge(generation: Generation, job: Job) -> Iterator[PartialFile]:
    """What holds the results of a generation whose commits were all read: its parts', else its shards' partials.

    Raises:
        RunIdentityError: A part's commit belongs to another plan or code version.
        DamagedFileError: It is no commit, or not of its shards' partials.
    """
    folder, plan = generation.folder, generation.plan
    if not plan.merge_parts:
        yield from _present(generation.partials)
    for part in range(plan.merge_parts):
        job.stop.check()
        shards = plan.shards_of_part(part)
        partials = _present(generation.partials[shards.start : shards.stop])
        commit = _read_part(folder, part, plan, job.s3)
        if commit is None:
            yield from partials
        elif commit.merged_digest != _merged_digest(partials) or (commit.partial is None) != (not partials):
            raise DamagedFileError(
                "it is not the merge of its shards' partials", operation="merge", target=str(folder.part_commit(part))
            )
        elif commit.partial is not None:
            yield commit.partial


def _of_base(folder: RunFolder, part: int, plan: Plan, merged_digest: str, job: Job) -> PartialFile | None:
    """The part as the run that is reused has it, copied by S3: if it is of the very same partials. Else None."""
    if plan.reuse is None or not plan.reuse.base:
        return None
    base = RunFolder.of(S3Uri.parse(plan.destination), plan.reuse.base)
    try:
        there = _part_of(job.s3.read(base.part_commit(part)))
        stem = str(base.part_partial(part, there.partial.sha256, "")) if there.partial else ""
        same = (there.code_version, there.merged_digest) == (plan.code_version, merged_digest)
        if there.partial is None or not same or not there.partial.uri.startswith(stem):
            return None
        mine = folder.part_partial(part, there.partial.sha256, there.partial.uri.removeprefix(stem))
        copy_file(S3Uri.parse(there.partial.uri), mine, job.s3, size=there.partial.bytes)
    except (ObjectNotFoundError, ChangedError, DamagedFileError, ValueError, TypeError, KeyError) as error:
        log.info("the part is merged anew", extra={"fields": {"part": part, "why": str(error)}})
        return None
    return replace(there.partial, uri=str(mine))


def _merged(folder: RunFolder, part: int, plan: Plan, partials: list[PartialFile], job: Job) -> PartialFile:
    workload = job.load(plan.workload, plan.options)
    merged = workload.partial()
    with closing(open_partials(partials, job)) as opened:
        for file in opened:
            merged.read(file)
    return put_partial(merged, lambda digest: folder.part_partial(part, digest, workload.partial_suffix), job.s3)


def _read_part(folder: RunFolder, part: int, plan: Plan, s3: S3) -> PartCommit | None:
    uri = folder.part_commit(part)
    try:
        commit = _part_of(s3.read(uri))
    except ObjectNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedFileError(
            f"this is not the commit of a part: {error!r}", operation="read the commit", target=str(uri)
        ) from error
    if (commit.part, commit.plan_digest, commit.code_version) != (part, plan.digest, plan.code_version):
        raise RunIdentityError(
            f"it commits part {commit.part} of plan {commit.plan_digest} by version {commit.code_version}, "
            f"where part {part} of plan {plan.digest} by version {plan.code_version} belongs",
            operation="read the commit",
            target=str(uri),
        )
    return commit


def _part_of(text: bytes) -> PartCommit:
    given = read_json(text)
    partial = given["partial"]
    return PartCommit(**{**given, "partial": None if partial is None else PartialFile(**partial)})


def _check_part(part: int, plan: Plan, job: Job) -> None:
    if not 0 <= part < plan.merge_parts:
        allowed = f"0 to {plan.merge_parts - 1}" if plan.merge_parts else "none: one job merges this run"
        raise InvalidRunRequest("part", part, allowed)
    size = job.settings.array_size
    if size is not None and size != plan.merge_parts:
        raise InvalidRunRequest("AWS_BATCH_JOB_ARRAY_SIZE", size, f"{plan.merge_parts}, the plan's number of parts")


def _present(partials: Iterable[PartialFile | None]) -> list[PartialFile]:
    return [partial for partial in partials if partial is not None]


def _merged_digest(partials: Iterable[PartialFile]) -> str:
    return f"sha256:{hashlib.sha256(' '.join(partial.sha256 for partial in partials).encode()).hexdigest()}"
