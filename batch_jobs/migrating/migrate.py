"""The migrate job: a child works its own shards, then helps with others', and hands back what it cannot do in time.

A shard without a commit is left to the next one: another child, the next attempt, the next array. So a child may
end after any shard, and does so with exit code 0 where that is the better way (`shard_order.Stay`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from batch_jobs.host_faults import host_fault
from batch_jobs.job import Job
from batch_jobs.migrating.claims import Claims
from batch_jobs.migrating.shard_order import LOOK_SECONDS, MOST_ASKED, Stay, own_shards, pages, to_help
from batch_jobs.migrating.shard_work import ShardWork
from batch_jobs.migrating.take_over import take_over
from batch_jobs.parallel import in_order
from millrace.errors import HostFaultError, InvalidRunRequest, MillraceError, StoppedError
from millrace.layout import RunFolder
from millrace.records.commit import Commit
from millrace.records.files import listed_shards
from millrace.records.plan import Plan

log = logging.getLogger(__name__)

FAILED_IN_A_ROW = 3
"""After so many shards in a row that failed a child ends: the fault is not theirs."""


def migrate(folder: RunFolder, job: Job, *, whole: bool = False) -> bool:
    """Work the shards of a child, then help with others'.

    A shard that breaks does not keep the others from being worked: its error is raised once they are.

    Args:
        folder: The run's folder.
        job: The job's surroundings: which child of how many it is.
        whole: Whether the child hands nothing back: it works until all is done, or the job has to stop.

    Returns:
        Whether nothing is left, where the child looked last: of many shards it looks at some.

    Raises:
        InvalidRunRequest: The array has no such child.
        StoppedError: The job had to stop; the progress is saved.
        HostFaultError: The host failed; the progress is saved, if the host lets it.
        MillraceError: A shard failed, all others were worked: its error. Or one with exit code 2.
    """
    began = job.clock()
    plan = job.read_plan(folder)
    child, children = job.settings.array_index, job.settings.array_size or 1
    if not 0 <= child < children:
        raise InvalidRunRequest("AWS_BATCH_JOB_ARRAY_INDEX", child, f"0 to {children - 1}, the array's children")
    claims, shards = Claims(folder, job), ShardWork(folder, plan, job)
    stay = Stay(children, job.settings.slots, job.settings.attempt)
    return _Child(folder, plan, job, shards, claims, stay, began, whole).work()


def migrate_shard(folder: RunFolder, index: int, job: Job) -> Commit:
    """Work one shard, unless it has its commit already.

    Args:
        folder: The run's folder.
        index: The shard's index.
        job: The job's surroundings.

    Returns:
        The shard's commit.

    Raises:
        InvalidRunRequest: The plan has no such shard.
        MillraceError: As `ShardWork.work`.
    """
    plan = job.read_plan(folder)
    if not 0 <= index < plan.shards:
        allowed = f"0 to {plan.shards - 1}" if plan.shards else "none: the plan has no shards"
        raise InvalidRunRequest("index", index, allowed)
    shards = ShardWork(folder, plan, job)
    return shards.committed(index) or shards.work(index)


@dataclass
class _Child:
    """A child at work.

    Attributes:
        folder: The run's folder.
        plan: Its plan.
        job: The job's surroundings.
        shards: Works a shard.
        claims: What it claims.
        stay: Says when it hands back.
        began: When it began, by the job's clock.
        whole: Whether it hands nothing back.
        failures: The errors of the shards that failed, by shard.
        in_a_row: How many failed since one did not.
        kept_left: Whether shards that the plan keeps of an earlier run had no commit when it began.
    """

    folder: RunFolder
    plan: Plan
    job: Job
    shards: ShardWork
    claims: Claims
    stay: Stay
    began: float
    whole: bool = False
    failures: dict[int, Exception] = field(default_factory=dict)
    in_a_row: int = 0
    kept_left: bool = False

    def work(self) -> bool:
        """Work its own shards, then help, until nothing is left or the child hands back; returns which."""
        done = self._work_own() and (self.stay.children == 1 or self._help())
        fields = {"shards": self.stay.worked, "failed": sorted(self.failures)}
        log.info("the child has done its part", extra={"fields": fields})
        for error in self.failures.values():
            raise error
        return done

    @property
    def _child(self) -> int:
        return self.job.settings.array_index

    def _work_own(self) -> bool:
        """Work its own shards; returns whether it may continue."""
        children = at_work = self.stay.children
        looked = self.began
        for shard, seen in self._own():
            left = len(range(shard, self.plan.shards, children)) * children
            if children > 1 and self.job.clock() - looked >= LOOK_SECONDS:
                looked = self.job.clock()
                at_work = min(children, len(self._look()[1]) + 1)
            if self._hands_back(left, at_work):
                return False
            self._take(shard, seen=seen)
        return True

    def _own(self) -> Iterator[tuple[int, bool]]:
        """Its own shards without a commit, and whether that was seen just now.

        While it finds shards that are committed, it looks at several at once.
        """
        taken_over = self._taken_over()
        own = [
            shard for shard in own_shards(self._child, self.stay.children, self.plan.shards) if shard not in taken_over
        ]
        place, ahead = 0, 1
        while place < len(own):
            some = own[place : place + ahead]
            place += len(some)
            commits = list(in_order(self.shards.committed, some, self.job.settings.concurrency))
            for shard, commit in zip(some, commits, strict=True):
                if commit is None:
                    yield shard, ahead == 1
            ahead = 1 if None in commits else self.job.settings.concurrency

    def _taken_over(self) -> frozenset[int]:
        """Take over its own of the shards that the plan keeps of an earlier run; those that have their commit now.

        None of them is read, and most have it already where the plan job has planned.
        """
        reuse = self.plan.reuse
        if reuse is None:
            return frozenset()
        own = own_shards(self._child, self.stay.children, reuse.kept_shards)
        taken = take_over(self.plan, self.folder, self.job, own)
        self.kept_left = len(taken) < reuse.kept_shards
        return taken

    def _help(self) -> bool:
        """Take others' last shards, until each one left is being worked; returns whether none is left."""
        if self.kept_left:  # of a child that has not begun: taken for work, they would ask for more children
            take_over(self.plan, self.folder, self.job)
        worked = True
        while worked:
            free, claimed = self._look()
            if not free and not claimed:
                return True
            if self._hands_back(len(free) + len(claimed), len(claimed) + 1):
                return False
            worked = self._help_with(free, claimed)
        return False

    def _help_with(self, free: set[int], claimed: set[int]) -> bool:
        """Take what no other child works; returns whether there was anything."""
        worked, asked = False, 0
        for some, is_claimed in ((free, False), (claimed, True)):
            for shard in to_help(some, self._child, self.stay.children):
                if self._hands_back(0, self.stay.children) or asked == MOST_ASKED:
                    return worked
                took = self._take(shard, is_claimed=is_claimed)
                worked, asked = worked or took, 0 if took else asked + 1
        return worked

    def _look(self) -> tuple[set[int], set[int]]:
        """The shards without a commit: those without a claim, and the others."""
        free: set[int] = set()
        claimed: set[int] = set()
        for page in pages(self._child, self.stay.children, self.plan.shards):
            self.job.stop.check()
            left = set(page).difference(listed_shards(self.folder.commit, page, self.job.s3), self.failures)
            taken = left.intersection(listed_shards(self.folder.claim, page, self.job.s3)) if left else set()
            free |= left - taken
            claimed |= taken
        return free, claimed

    def _take(self, shard: int, *, seen: bool = False, is_claimed: bool = False) -> bool:
        """Work a shard, unless it is committed or another child is at it.

        Args:
            shard: Its index.
            seen: Whether it was seen just now that it has no commit.
            is_claimed: Whether it is known to be claimed.

        Returns:
            Whether it was worked, well or not.
        """
        self.job.stop.check()
        if not seen and self.shards.committed(shard) is not None:
            return False
        alone = self.stay.children == 1
        if not alone and not self.claims.take(shard, is_claimed=is_claimed):
            return False
        started = self.job.clock()
        try:
            self.shards.work(shard, lambda: None if alone else self.claims.keep(shard))
        except (StoppedError, HostFaultError):
            if not alone:
                self.claims.give_back(shard)
            raise
        except Exception as error:  # noqa: BLE001 - raised again, once the other shards are worked
            self._failed(shard, error)
        else:
            self.in_a_row = 0
            self.stay.note(self.job.clock() - started)
        return True

    def _failed(self, shard: int, error: Exception) -> None:
        """Take note of a shard's failure.

        Raises:
            Exception: The error itself, where other shards would fail too.
        """
        if host_fault(error) is not None or (isinstance(error, MillraceError) and error.exit_code != 1):
            raise error
        self.failures[shard] = error
        self.in_a_row += 1
        if self.in_a_row == FAILED_IN_A_ROW:
            raise error
        log.warning("a shard failed, the others are worked", exc_info=error, extra={"fields": {"shard": shard}})

    def _hands_back(self, left: int, at_work: int) -> bool:
        """Whether the child ends here, after the shard that it has worked.

        Raises:
            StoppedError: It hands nothing back, and the job has to stop.
        """
        if self.whole:
            self.job.stop.check()
            return False
        why = ""
        if self.stay.is_over(self.job.clock() - self.began, self.job.stop.seconds_left):
            why = "it has stayed for its time"
        elif self.stay.more_are_due(left, at_work):
            why = "more children are due"
        if why:
            log.info("handing back", extra={"fields": {"why": why, "shards": self.stay.worked, "left": left}})
        return bool(why)
