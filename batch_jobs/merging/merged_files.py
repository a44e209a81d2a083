"""The files of a run's result: the workload merges the partials, the job uploads what it wrote."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from os import SEEK_END
from typing import Any, BinaryIO, cast

from batch_jobs.job import Job
from batch_jobs.migrating.outputs import SpooledOutputs, file_digest
from batch_jobs.migrating.partials import open_partials
from millrace.errors import (
    ChangedError,
    InvalidRunRequest,
    ObjectNotFoundError,
    WorkloadFaultError,
)
from millrace.json_text import check_plain
from millrace.layout import MAX_RESULT_NAME_BYTES, RunFolder, S3Uri
from millrace.records.commit import PartialFile
from millrace.records.plan import Plan

OWN_FILES = frozenset(
    {
        *("_INCOMPLETE", "_SUCCESS", "failures.jsonl", "plan.json", "removed.jsonl", "report.csv", "report.html"),
        *("result.json", "run.json"),
    }
)
"""Names in the run folder that a workload's file may not have."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was uploaded; its digest as `sha256:…`."""

    name: str
    uri: str
    digest: str


def write_merged_files(
    folder: RunFolder, plan: Plan, partials: list[PartialFile], job: Job
) -> tuple[list[WrittenFile], dict[str, Any]]:
    """Let the workload merge; upload its files.

    Returns:
        The files, and the workload's part of result.json.

    Raises:
        WorkloadFaultError: JSON cannot hold what the workload returned for it.
    """
    workload = job.load(plan.workload, plan.options)
    with SpooledOutputs(_refuse) as spooled, closing(open_partials(partials, job)) as opened:
        result = workload.merge(opened, spooled)
        _check_result(result, plan.workload)
        files = [write_file(folder, held.name, cast("BinaryIO", held.file), held.content_type, job) for held in spooled]
    return files, result


def _check_result(result: object, workload: str) -> None:
    """See that result.json can hold it; the error names places and types, as values may come from objects."""
    why = "" if isinstance(result, dict) else f"a {type(result).__name__}, not an object"
    try:
        check_plain(result, "the whole")
        json.dumps(result)
    except InvalidRunRequest as error:
        why = why or f"{error.field} must be {error.allowed}"
    except (TypeError, ValueError) as error:
        why = why or str(error)
    if why:
        raise WorkloadFaultError(
            f"its merge returned what result.json cannot hold: {why}. Have it return plain JSON, and start a new run",
            operation="merge",
            target=workload,
        )


def write_file(folder: RunFolder, name: str, file: BinaryIO, content_type: str, job: Job) -> WrittenFile:
    """Upload a file of a run's result, unless just these bytes are there."""
    uri, digest = folder.file(name), file_digest(file)
    if not _is_there(uri, file.seek(0, SEEK_END), digest, job):
        job.s3.put(uri, file, content_type=content_type)
    return WrittenFile(name, str(uri), f"sha256:{digest}")


def _is_there(uri: S3Uri, size: int, digest: str, job: Job) -> bool:
    found = hashlib.sha256()
    try:
        if job.s3.head(uri).size != size:
            return False
        with job.s3.open(uri) as chunks:
            for chunk in chunks:
                job.stop.check()
                found.update(chunk)
    except (ObjectNotFoundError, ChangedError):  # another copy of merge may be writing it
        return False
    return found.hexdigest() == digest


def _refuse(name: str) -> str | None:
    if name in OWN_FILES or "/" in name or not name:
        return "the run folder's own files have such names"
    if (length := len(name.encode(errors="surrogatepass"))) > MAX_RESULT_NAME_BYTES:
        return f"it has {length} bytes; at most {MAX_RESULT_NAME_BYTES} are room enough below every destination"
    return None
