"""Working one shard, then committing it.

Order matters: an item's outputs are there before its outcome counts, the partial before the commit that names it, and
the commit is written once. If a process dies in between, the next attempt continues; of two copies, the work of
the one that commits last has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from math import inf
from typing import TypeVar

from batch_jobs.host_faults import host_fault
from batch_jobs.in_flight import InFlight
from batch_jobs.job import Job
from batch_jobs.migrating.committing import remove_failed_outputs, write_commit
from batch_jobs.migrating.contributions import Contributions
from batch_jobs.migrating.failing_fast import FailingFast
from batch_jobs.migrating.item_worker import ItemWorker
from batch_jobs.migrating.partials import write_partial
from batch_jobs.migrating.progress import Progress, ProgressFiles
from batch_jobs.parallel import until_stopped
from batch_jobs.s3.paced_requests import paced
from batch_jobs.workloads.own import own_part
from millrace.errors import HostFaultError, MillraceError, NoProgressError, StoppedError, TryAgainError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.records.files import read_commit
from millrace.records.outcome import Counts
from millrace.records.plan import Plan, Shard, items_digest
from millrace.reuse.writers import NOTED_SECONDS, note_writing
from millrace.workload.contract import NeedsPlan, SmallItems, writes_outputs

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

TRIED = 20
"""So many items, and shards, are looked at to see whether anything of a source is readable."""

SAVE_SECONDS = 60.0
"""How often progress is saved, and the claim written anew: what a crash without a signal costs at most, or one item."""

FRUITLESS = 2
"""After so many attempts in a row that got no item of a shard done, the shard fails."""


class ShardWork:
    """What is made once for all shards that a child works: the workload, the clients, how many items are in flight.

    Args:
        folder: The run's folder.
        plan: Its plan.
        job: The job's surroundings.

    Raises:
        MillraceError: One with exit code 2: the workload cannot run here.
    """

    def __init__(self, folder: RunFolder, plan: Plan, job: Job) -> None:
        self._folder = folder
        self._plan = plan
        self._job = job
        self._in_flight = InFlight(job.settings.concurrency, job.settings.most_in_flight)
        self._worker = _worker(plan, job, self._in_flight)
        # All items of a retry failed before: that twenty of them are denied says nothing of the source as a whole.
        self._readable = plan.retry > 0
        self._writes_outputs, self._noted = writes_outputs(self._worker.workload), -inf
        self._before = 0  # of the shard at work: how many of its items an attempt before had done

    def committed(self, index: int) -> Commit | None:
        """A shard's commit, if it has one; what a crash left of its failed items goes then."""
        commit = read_commit(self._folder, index, self._plan, self._job.s3)
        if commit is not None:
            log.info("the shard is committed already", extra={"fields": {"shard": index}})
            self._settle(commit)
        return commit

    def work(self, index: int, keep: Callable[[], None] = lambda: None) -> Commit:
        """Work a shard that has no commit, and commit it.

        Args:
            index: Its index.
            keep: Called every minute.

        Returns:
            The commit that counts.

        Raises:
            AccessDeniedError: Nothing of the source is readable, or an output may not be written.
            StorageError: S3 failed for many items in a row, or for a file of the run folder.
            StoppedError: The job had to stop; the progress is saved.
            TryAgainError: All items were worked but those that the workload postponed; the progress is saved.
            HostFaultError: The host failed, a full disk say; the progress is saved, if the host lets it.
            NoProgressError: No item of it got done, for the second time, in the time that an attempt has.
        """
        self._note_writing()
        job, plan, started_at = self._job, self._plan, self._job.timestamp()
        uri = self._folder.shard_items(index, plan.digest)
        lines = job.s3.read(uri)
        shard = Shard.from_lines(index, lines.split(b"\n")[:-1], str(uri))
        saved = ProgressFiles(self._folder, plan, index, job)
        contributions = Contributions(self._worker.workload)
        progress = self._progress(shard, saved, contributions, keep)
        outcomes = tuple(progress.outcomes[position] for position in range(len(shard.items)))
        mine = Commit(
            shard=index,
            plan_digest=plan.digest,
            code_version=plan.code_version,
            items_digest=items_digest(lines),
            partial=write_partial(self._folder, index, progress, self._worker.workload.partial_suffix, job.s3),
            counts=Counts.of(outcomes),
            outcomes=outcomes,
            job={
                "id": job.settings.job_id,
                "attempt": job.settings.attempt,
                # Its times say nothing about the pace then.
                **({"items_before": self._before} if self._before else {}),
            },
            started_at=started_at,
            finished_at=job.timestamp(),
            contributions=contributions.write(self._folder, index, job.s3),
        )
        commit = write_commit(self._folder, mine, job.s3)
        saved.delete()
        self._settle(commit)
        return commit

    def _note_writing(self) -> None:
        """Say at the destination that this kind of run writes outputs: nobody takes over what they replace."""
        if self._writes_outputs and self._job.clock() - self._noted >= NOTED_SECONDS:
            self._noted = self._job.clock()
            note_writing(self._plan, self._job.timestamp(), self._job.s3)

    def _settle(self, commit: Commit) -> None:
        self._readable = self._readable or commit.counts.succeeded > 0
        remove_failed_outputs(commit, self._worker, self._job)

    def _progress(
        self, shard: Shard, saved: ProgressFiles, contributions: Contributions, keep: Callable[[], None]
    ) -> Progress:
        """Work what is not done yet."""
        job, worker = self._job, self._worker
        progress = saved.load(worker.workload)
        self._before = before = len(progress.outcomes)
        left = [numbered for numbered in enumerate(shard.items) if numbered[0] not in progress.outcomes]
        fields = {"shard": shard.index, "items": len(shard.items), "done_before": before}
        log.info("working the shard", extra={"fields": fields})
        watch = FailingFast(
            progress.outcomes.values(), readable=self._readable, any_readable=lambda: self._any_readable(shard)
        )
        postponed: TryAgainError | None = None
        began = kept_at = job.clock()
        kept = before

        def meanwhile() -> None:
            nonlocal kept, kept_at
            if job.clock() - kept_at < SAVE_SECONDS:
                return
            keep()
            self._note_writing()
            if len(progress.outcomes) > kept:
                saved.save(progress)
            kept, kept_at = len(progress.outcomes), job.clock()

        working = until_stopped(
            worker.work,
            left,
            job.settings.concurrency,
            job.stop,
            in_flight=self._in_flight,
            small=lambda numbered: worker.is_small(numbered[1]),
            meanwhile=meanwhile,
        )
        with closing(working) as done_items:
            for worked in done_items:
                if worked.outcome is None:
                    postponed = worked.postponed or postponed
                    if isinstance(postponed, HostFaultError):
                        break  # the other items would fail here too
                    continue
                watch.see(worked.outcome, worked.cause)
                contributions.add(worked.position, worked.outcome, worked.contribution)
                progress.add(worked.position, worked.outcome, worked.contribution)
                meanwhile()
        if len(progress.outcomes) < len(shard.items):
            if len(progress.outcomes) > before:
                progress.fruitless = 0
            elif job.stop.is_late and job.clock() - began >= (job.settings.attempt_seconds or 0) / 2:
                progress.fruitless += 1
            raise self._unfinished(shard, progress, postponed, saved)
        return progress

    def _unfinished(
        self, shard: Shard, progress: Progress, postponed: TryAgainError | None, saved: ProgressFiles
    ) -> MillraceError:
        """Save the progress; returns what to raise."""
        job, doing = self._job, f"migrate shard {shard.index}"
        done = f"{len(progress.outcomes)} of {len(shard.items)} items are done"
        try:
            saved.save(progress)
            done += " and saved"
        except Exception as error:
            if host_fault(error) is None:
                raise
            log.warning("progress could not be saved", exc_info=error)
        if progress.fruitless >= FRUITLESS:
            item = next(item for position, item in enumerate(shard.items) if position not in progress.outcomes)
            return NoProgressError(
                f"{progress.fruitless} attempts in a row worked it until their time was up "
                f"({job.settings.attempt_seconds} s), and no item got done; {done}. Raise the stack's AttemptSeconds, "
                "or give the job more vCPUs (JobSize), then resume the run",
                operation=doing,
                target=str(S3Uri(self._worker.source.bucket, item.key)),
            )
        reason = job.stop.reason or (postponed.message if postponed else "")
        kind: type[MillraceError] = StoppedError
        if postponed and not job.stop.reason:
            kind = HostFaultError if isinstance(postponed, HostFaultError) else TryAgainError
        return kind(f"{reason}; {done}, the next attempt continues", operation=doing)

    def _any_readable(self, shard: Shard) -> bool:
        """Whether anything of the source is readable: some items of this shard are tried, then some other shards.

        For those, the commit says so; where there is none, the first item is tried.

        One prefix may be denied as a whole, and be a shard: its items are rows, as long as the role may read others.
        """
        folder, plan, job, may_read = self._folder, self._plan, self._job, self._worker.may_read
        if any(may_read(item) for item in _spread(shard.items)):
            return True
        for index in _spread(range(plan.shards)):
            job.stop.check()
            commit = read_commit(folder, index, plan, job.s3)
            if commit is not None and commit.counts.succeeded:
                return True
            if commit is not None or index == shard.index:
                continue
            uri = folder.shard_items(index, plan.digest)
            with job.s3.open(uri) as chunks:  # its beginning alone
                line = next(chunks, b"").partition(b"\n")[0]
            if any(may_read(item) for item in Shard.from_lines(index, [line], str(uri)).items):
                return True
        return False


def _worker(plan: Plan, job: Job, in_flight: InFlight) -> ItemWorker:
    workload = job.load(plan.workload, plan.options)
    if isinstance(workload, NeedsPlan):
        with own_part(plan.workload, "begin"):
            workload.begin(plan)
    source = S3Uri.parse(plan.source)
    s3 = job.item_s3(in_flight.note)
    s3 = s3.paying(source.bucket) if plan.requester_pays else s3
    return ItemWorker(
        s3=replace(s3, requests=paced(s3.requests, plan, job)),
        workload=workload,
        source=source,
        destination=S3Uri.parse(plan.destination),
        output_mark=plan.output_mark,
        stop=job.stop,
        is_small=workload.is_small if isinstance(workload, SmallItems) else lambda _item: False,
    )


def _spread(things: Sequence[Thing]) -> Sequence[Thing]:
    """Some of them, from the first to the last."""
    return things if len(things) <= TRIED else [things[at * (len(things) - 1) // (TRIED - 1)] for at in range(TRIED)]
