"""Reads the progress of runs for many requests: each run for one at a time, and no more often than `watch` does."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.find.aws import Aws
from console.ui.timeline import Claim
from console.watch.progress import RunProgress
from console.watch.run_costs import cost_until_now
from console.watch.watching import AWS_SECONDS, LOCAL_SECONDS, Watcher
from millrace.aws.run_jobs import described
from millrace.layout import RunFolder

KEPT = 20
"""Of how many runs the progress is kept."""

LOOK_SECONDS = 0.2
"""For how long a page reads commits before it shows what is known; the next look reads on."""

COST_EVERY = 10
"""The cost is worked out so many times less often: every job of the run is asked for."""


@dataclass
class Watched:
    """An execution, and what was read of it last."""

    watcher: Watcher
    machine: Mapping[str, Any]
    lock: threading.RLock = field(default_factory=threading.RLock)
    at: float = field(default=float("-inf"))
    progress: RunProgress | None = None
    cost_at: float = field(default=float("-inf"))
    cost: dict[str, Any] | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    next_claims: float = field(default=float("-inf"))


class ProgressCache:
    """The last progress that was read of each execution.

    Args:
        aws: Where they run.
        queues: The ARNs of the stack's queues, for the cost.
    """

    def __init__(self, aws: Aws, queues: list[str]) -> None:
        self.every = LOCAL_SECONDS if aws.endpoint_url is not None else AWS_SECONDS
        self._lock = threading.RLock()
        self._aws = aws
        self._queues = queues
        self._watched: OrderedDict[str, Watched] = OrderedDict()

    def of(self, execution_arn: str) -> RunProgress:
        """How far an execution is, at most `every` seconds ago."""
        watched = self.watched(execution_arn)
        with watched.lock:
            if watched.progress is None or time.monotonic() - watched.at >= self.every:
                ended = watched.progress is not None and watched.progress.ended
                # A run that has ended and was read whole does not change; a redrive shows in the list, and here later.
                if not (ended and watched.watcher.complete and time.monotonic() - watched.at < COST_EVERY * self.every):
                    watched.progress = watched.watcher.look(all_at_end=False, seconds=LOOK_SECONDS)
                    watched.at = time.monotonic()
            return watched.progress or watched.watcher.look(all_at_end=False, seconds=LOOK_SECONDS)

    def cost(self, execution_arn: str, folder: RunFolder | None, progress: RunProgress) -> dict[str, Any] | None:
        """What the run has cost, now and then worked out anew; None where nothing is known."""
        watched = self.watched(execution_arn)
        with watched.lock:
            due = time.monotonic() - watched.cost_at >= COST_EVERY * self.every
            final = progress.ended and watched.cost is not None and watched.cost["complete"]
            if due and not final:
                ended = progress.execution.get("stopDate")
                watched.cost = cost_until_now(self._aws, self._queues, folder, ended)
                watched.cost_at = time.monotonic()
            return watched.cost

    def known_cost(self, execution_arn: str) -> dict[str, Any] | None:
        """What the run had cost when it was worked out last."""
        return self.watched(execution_arn).cost

    def sizes(self, execution_arn: str, arrays: set[str]) -> Mapping[str, int]:
        """How many children the array jobs have, as far as Batch still knows."""
        watched = self.watched(execution_arn)
        with watched.lock:
            if unknown := arrays - set(watched.sizes):
                found = {job["jobId"]: job for job in described(self._aws.batch, sorted(unknown))}
                for job_id in unknown:
                    watched.sizes[job_id] = found.get(job_id, {}).get("arrayProperties", {}).get("size", 0)
            return dict(watched.sizes)

    def watched(self, execution_arn: str) -> Watched:
        """What is kept of an execution."""
        with self._lock:
            watched = self._watched.get(execution_arn)
            if watched is None:
                described_machine = self._aws.step_functions.describe_state_machine_for_execution(
                    executionArn=execution_arn
                )
                machine = json.loads(described_machine["definition"])
                watched = self._watched[execution_arn] = Watched(Watcher(self._aws, execution_arn), machine)
            self._watched.move_to_end(execution_arn)
            while len(self._watched) > KEPT:
                self._watched.popitem(last=False)
            return watched
