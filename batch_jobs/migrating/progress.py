"""What of a shard is done so far, and how that outlives the job.

A progress file is one object, so that it is there whole or not at all: a JSON line that holds the outcomes, then the
bytes of the partial. Every attempt writes its own; the next one continues from the best, and ignores what is
of no use.
"""

from __future__ import annotations

import json
import logging
import shutil
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.outputs import file_digest, temporary_file
from millrace.errors import DamagedFileError, ErrorCode, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.outcome import Outcome
from millrace.records.plan import Plan
from millrace.workload.contract import Partial, Workload

log = logging.getLogger(__name__)


class Progress:
    """The items of one shard that are done.

    Args:
        partial: The shard's partial so far.

    Attributes:
        outcomes: By the item's place in the shard.
        partial: The contributions of the succeeded ones.
        fruitless: How many attempts in a row spent their time on the shard, and no item of it got done.
    """

    def __init__(self, partial: Partial[Any]) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.partial = partial
        self.fruitless = 0

    def add(self, position: int, outcome: Outcome, contribution: Any) -> None:
        """Add an item that is done."""
        self.outcomes[position] = outcome
        if outcome.status == "SUCCEEDED":
            self.partial.add(contribution)


class ProgressFiles:
    """The progress files of one shard.

    Args:
        folder: The run's folder.
        plan: Its plan.
        index: The shard's index.
        job: The job's surroundings.
    """

    def __init__(self, folder: RunFolder, plan: Plan, index: int, job: Job) -> None:
        self._folder = folder.progress_folder(index)
        self._mine = folder.progress(index, f"{job.settings.job_id}/{job.settings.attempt}")
        self._head = {"plan_digest": plan.digest, "code_version": plan.code_version, "shard": index}
        self._job = job
        self._found: set[S3Uri] = set()

    def load(self, workload: Workload[Any]) -> Progress:
        """The progress of the attempt that came furthest; none where there is no file of use."""
        best = Progress(workload.partial())
        for found in self._job.s3.list(self._folder.bucket, self._folder.key):
            uri = S3Uri(self._folder.bucket, found.key)
            self._found.add(uri)
            try:
                progress = self._read(uri, workload)
            except (ObjectNotFoundError, DamagedFileError) as error:
                log.warning("a progress file is of no use", extra={"fields": {"uri": str(uri), "why": str(error)}})
                continue
            if _reach(progress) > _reach(best):
                best = progress
        return best

    def save(self, progress: Progress) -> None:
        """Write this attempt's progress file anew.

        Items that S3 failed to give are left out: the next attempt asks again.
        """
        outcomes = [
            [position, outcome.to_json()]
            for position, outcome in sorted(progress.outcomes.items())
            if outcome.error_code is not ErrorCode.READ_FAILED
        ]
        with temporary_file() as partial, temporary_file() as file:
            progress.partial.write(partial)
            done = {"sha256": file_digest(partial), "outcomes": outcomes, "fruitless": progress.fruitless}
            head = {**self._head, **done}
            file.write(json.dumps(head, ensure_ascii=False).encode() + b"\n")
            partial.seek(0)
            shutil.copyfileobj(partial, file)
            self._job.s3.put(self._mine, file)
        self._found.add(self._mine)
        log.info("progress saved", extra={"fields": {"shard": self._head["shard"], "items_done": len(outcomes)}})

    def delete(self) -> None:
        """Delete the files that were seen or written: the shard has its commit."""
        for uri in sorted(self._found, key=str):
            self._job.s3.delete(uri)

    def _read(self, uri: S3Uri, workload: Workload[Any]) -> Progress:
        with temporary_file() as file, temporary_file() as partial, self._job.s3.open(uri) as chunks:
            for chunk in chunks:
                file.write(chunk)
            file.seek(0)
            progress = Progress(workload.partial())
            try:
                head = read_json(file.readline())
                digest, outcomes = head.pop("sha256"), head.pop("outcomes")
                progress.fruitless = int(head.pop("fruitless"))
                progress.outcomes = {position: Outcome.from_json(outcome) for position, outcome in outcomes}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise _of_no_use(uri, f"it is not a progress file: {error!r}") from error
            if head != self._head:
                raise _of_no_use(uri, f"it belongs to another shard, plan or code version: {head}")
            shutil.copyfileobj(file, partial)
            if file_digest(partial) != digest:
                raise _of_no_use(uri, "its partial is damaged")
            partial.seek(0)
            progress.partial.read(partial)
            return progress


def _reach(progress: Progress) -> tuple[int, int]:
    return len(progress.outcomes), progress.fruitless


def _of_no_use(uri: S3Uri, why: str) -> DamagedFileError:
    return DamagedFileError(why, operation="read the progress", target=str(uri))
