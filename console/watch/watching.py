"""Looking at a run, once or until its end: its states, its shards, what is committed, and why nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

from console.errors import RunFailedError, RunInterrupted
from console.find.aws import Aws
from console.terminal import Terminal
from console.watch.display import Show, shown
from console.watch.explanation import explain
from console.watch.progress import RunProgress, observe
from console.watch.shard_counts import ShardCounts, Work
from console.watch.steps import TOGETHER
from console.watch.waiting import waiting_reason
from millrace.aws.events import json_object
from millrace.errors import DamagedFileError, StorageError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead
from millrace.records.files import plan_if_there

LOCAL_SECONDS = 0.4
"""Between two looks on the embedded AWS."""

FIRST_LOCAL_SECONDS = 0.05
"""Between the first two; then ever longer, as a run there may be over within a second."""

AWS_SECONDS = 3.0
"""Between two looks on AWS: DescribeExecution and GetExecutionHistory are throttled there."""

LISTING_SHARE = 5
"""The commits are listed again after so many times what it took: 100,000 of them are a hundred requests."""

WORKING = ("Migrate", TOGETHER)
"""The steps that commit shards."""

COMMITS_A_LOOK = 256
"""How many commits one look of a watcher reads at most: the beginning of each."""

COMMITS_OF_A_STATUS = 1000
"""How many a single look reads: a run of more shards is counted by its listing and estimated from these."""


class Watcher:
    """Polls one execution.

    Args:
        aws: Where it runs.
        execution_arn: The execution.
    """

    def __init__(self, aws: Aws, execution_arn: str) -> None:
        self._aws = aws
        self._arn = execution_arn
        self._counts: ShardCounts | None = None
        self._children: object = None
        self._work: Work | None = None
        self._pace: Mapping[str, float] | None = None
        self._next_listing = 0.0
        self._reuse: Mapping[str, Any] | None = None

    @property
    def complete(self) -> bool:
        """Whether every commit that was there at the last look was read."""
        return self._counts is None or self._counts.complete

    @property
    def heads(self) -> Collection[CommitHead]:
        """The beginnings of the commits that were read so far."""
        return () if self._counts is None else self._counts.heads

    @property
    def committed(self) -> set[int]:
        """The shards that were committed at the last look, whether their commits were read or not."""
        return set() if self._counts is None else self._counts.shards

    @property
    def folder(self) -> RunFolder | None:
        """The folder that the execution works in: that of the run, or of a retry; None before it is known."""
        return None if self._counts is None else self._counts.folder

    def look(self, most: int | None = COMMITS_A_LOOK, *, all_at_end: bool = True, seconds: float = inf) -> RunProgress:
        """Look at it.

        Args:
            most: How many commits of a run at work are read at most; None: all. 0: none, whether it is at work or not.
            all_at_end: Whether all of them are read at once when the run has ended.
            seconds: For how long commits are read at most.
        """
        progress = observe(self._aws, self._arn)
        step = progress.at_work
        job = step.job_id if step else None
        waiting = waiting_reason(self._aws, job, datetime.now(UTC)) if job else ""
        if progress.overlap and not progress.ended:
            waiting = f"queued: {progress.overlap}"
        return replace(
            progress,
            work=self._look_at_commits(progress, most, seconds, all_at_end=all_at_end),
            waiting=waiting,
            reuse=self._look_at_reuse(progress),
        )

    def _look_at_reuse(self, progress: RunProgress) -> Mapping[str, Any] | None:
        """What is taken over of an earlier run: as the result says, else as the plan does, which is read once."""
        output = json_object(progress.execution.get("output"))
        if isinstance(output.get("reuse"), dict):
            return dict(output["reuse"])
        asked = json_object(progress.execution.get("input")).get("reuse")
        if self._reuse is None and asked and progress.plan and progress.planned:
            self._reuse = _planned_reuse(self._aws, S3Uri.parse(progress.plan))
        return self._reuse or None

    def _look_at_commits(
        self, progress: RunProgress, most: int | None, seconds: float, *, all_at_end: bool
    ) -> Work | None:
        working = [step for step in progress.steps if step.name in WORKING and step.started]
        if progress.plan is None or not working:
            return None
        migrate = working[-1]
        begun = min(step.started for step in working if step.started)
        if self._counts is None:
            # The plan's folder: that of the run, or of the retry that this execution is.
            folder = RunFolder.of_plan(S3Uri.parse(progress.plan))
            self._counts, self._pace = ShardCounts(self._aws, folder), _planned_pace(self._aws, folder)
        looked = time.monotonic()
        known = migrate.children is not None and migrate.children == self._children
        due = not known or looked >= self._next_listing or progress.ended
        if due or not self._counts.complete:
            self._children = migrate.children
            at_once = None if progress.ended and most and all_at_end else most
            committed = self._counts.look(progress.since, at_once, seconds, list_anew=due)
            self._work = Work.of(
                committed,
                progress.planned,
                since=max(begun, progress.since),
                now=migrate.ended or datetime.now(UTC),
                pace=self._counts.pace(self._pace),
                children=1 if migrate.children is None else migrate.children.at_work,
            )
            if due:
                self._next_listing = time.monotonic() + LISTING_SHARE * (time.monotonic() - looked)
        return self._work


def _planned_reuse(aws: Aws, plan: S3Uri) -> Mapping[str, Any]:
    """What a plan says of an earlier run; nothing where it cannot be read: it is shown, and nothing depends on it."""
    try:
        found = json_object(aws.s3.read(plan).decode(errors="replace")).get("reuse")
    except StorageError:
        return {}
    return found if isinstance(found, dict) else {}


def _planned_pace(aws: Aws, folder: RunFolder) -> Mapping[str, float] | None:
    """The pace that a run's plan was made with; None where it has none, or cannot be read: it is a hint."""
    try:
        plan = plan_if_there(folder, aws.s3)
    except (StorageError, DamagedFileError):
        return None
    return plan.pace if plan else None


def watch(aws: Aws, execution_arn: str, show: Show) -> RunProgress:
    """Look at a run until it has ended.

    Args:
        aws: Where it runs.
        execution_arn: The execution.
        show: Called with each look, the last one included.

    Returns:
        The last look.
    """
    watcher = Watcher(aws, execution_arn)
    pause, longest = (AWS_SECONDS, AWS_SECONDS) if aws.endpoint_url is None else (FIRST_LOCAL_SECONDS, LOCAL_SECONDS)
    while True:
        progress = watcher.look()
        show(progress)
        if progress.ended:
            return progress
        time.sleep(pause)
        pause = min(pause * 1.25, longest)


def watch_several(
    aws: Aws, execution_arns: Sequence[str], show: Callable[[Sequence[RunProgress]], None]
) -> list[RunProgress]:
    """Look at several runs until the last of them has ended; one that has ended is not looked at again.

    Args:
        aws: Where they run.
        execution_arns: Their executions.
        show: Called with the last look at each, after each round.
    """
    watchers = [Watcher(aws, arn) for arn in execution_arns]
    seen = [watcher.look() for watcher in watchers]
    while True:
        show(seen)
        if all(each.ended for each in seen):
            return seen
        # Each look is a handful of requests, which are throttled for all of them together.
        time.sleep(AWS_SECONDS * sum(not each.ended for each in seen) if aws.endpoint_url is None else LOCAL_SECONDS)
        seen = [each if each.ended else watcher.look() for watcher, each in zip(watchers, seen, strict=True)]


def watch_to_the_end(
    aws: Aws, execution_arn: str, run_id: str, terminal: Terminal, *, watch_again: str, cancel: str
) -> tuple[RunProgress, RunFailedError | None]:
    """Watch a run to its end in a terminal.

    Args:
        aws: Where it runs.
        execution_arn: The execution.
        run_id: The run.
        terminal: Where to show its progress.
        watch_again: The command that watches it again.
        cancel: The command that cancels it.

    Returns:
        The last look, and why the run failed; None where it succeeded.

    Raises:
        RunInterrupted: Ctrl-C; the run continues.
    """
    try:
        with shown(terminal.notes) as show:
            progress = watch(aws, execution_arn, show)
    except KeyboardInterrupt:
        terminal.note(f"\nThe run {run_id} continues in the background.")
        terminal.note(f"  watch it  {watch_again}")
        terminal.note(f"  stop it   {cancel}")
        raise RunInterrupted("interrupted; the run continues", operation="watch the run", target=run_id) from None
    return progress, None if progress.status == "SUCCEEDED" else explain(aws, progress.execution)
