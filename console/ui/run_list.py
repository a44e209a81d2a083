"""The list of runs as the page shows it: all executions, a page at a time, searched and filtered.

The executions are listed in the background, the newest first, and again only as far as something may have changed.
What stands in their inputs is read when it is shown, and, while somebody searches, in the background for all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from console.errors import RunNotFoundError
from console.find.aws import workers
from console.find.run_filter import DESCRIBED_AT_ONCE, FAILED, RunFacts, RunFilter, RunIndex, moment_of
from console.find.run_lookup import FoundRun, described_run
from console.find.target import Target
from console.watch.watching import AWS_SECONDS, LOCAL_SECONDS
from millrace.aws.events import json_object
from millrace.cost.run_cost import read_cost
from millrace.errors import StorageError
from millrace.records.files import read_result

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

PAGE = 50
"""How many runs a page lists."""

FIRST = 100
"""How many are listed first, so that the first page need not wait for all."""

FIRST_SECONDS = 5.0
"""How long the first page waits for the first answer of ListExecutions."""

SEARCH_SECONDS = 0.3
"""How long a search reads inputs before it answers with what it knows."""

WHOLE_SECONDS = 120.0
"""After so long all executions are listed again: an old one may have been redriven, or forgotten."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an execution; None where it is not known."""

    items: int | None = None
    failed: int | None = None
    kept: int | None = None
    dollars: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list."""

    execution: ExecutionListItemTypeDef
    facts: RunFacts
    outcome: Outcome

    @property
    def started_by(self) -> str:
        """Who or what started it."""
        return self.facts.started_by(self.execution["name"])


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list.

    Attributes:
        rows: Its rows.
        page: Which page it is, from 1.
        pages: How many there are, of what is known.
        found: How many executions fit, of those looked at.
        looked_at: Of how many it is known whether they fit.
        known: How many executions are known.
        complete: Whether all executions are known, and it is known of all of them whether they fit.
    """

    rows: list[Row]
    page: int
    pages: int
    found: int
    looked_at: int
    known: int
    complete: bool


class RunList:
    """The executions of a stack, for many requests.

    Args:
        target: Whose runs.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._every = LOCAL_SECONDS if target.is_local else AWS_SECONDS
        self._index = RunIndex(target.aws)
        self._executions: dict[str, ExecutionListItemTypeDef] = {}
        self._outcomes: dict[tuple[str, datetime], Outcome] = {}
        self._lock = threading.Lock()
        self._first = threading.Event()
        self._listing = threading.Lock()
        self._reading = threading.Lock()
        self._listed_at = self._whole_at = float("-inf")
        self._complete = False
        self._error: Exception | None = None

    def page(self, asked: RunFilter, number: int) -> Listed:
        """A page of the runs that are meant, the newest first.

        Args:
            asked: Which runs.
            number: The page, from 1; after the last one it is the last.

        Raises:
            ClientError: Step Functions refuses the list.
        """
        self._refresh()
        self._first.wait(FIRST_SECONDS)
        with self._lock:
            if self._error is not None and not self._executions:
                raise self._error
            every = sorted(self._executions.values(), key=lambda each: each["startDate"], reverse=True)
            complete = self._complete
        timely = [each for each in every if asked.takes(each)]
        looked_at = len(timely)
        if asked.needs_facts:
            unknown = self._read(timely)
            looked_at -= unknown
            complete = complete and not unknown
            timely = [each for each in timely if self._fits(each, asked)]
        pages = max(1, -(-len(timely) // PAGE))
        number = min(max(number, 1), pages)
        rows = self._rows(timely[(number - 1) * PAGE : number * PAGE])
        return Listed(rows, number, pages, len(timely), looked_at, len(every), complete)

    def workloads(self) -> list[str]:
        """The workloads of the executions whose inputs were read."""
        with self._lock:
            arns = list(self._executions)
        known = (self._index.known(arn) for arn in arns)
        return sorted({facts.workload for facts in known if facts is not None and facts.workload})

    def _fits(self, execution: ExecutionListItemTypeDef, asked: RunFilter) -> bool:
        facts = self._index.known(execution["executionArn"])
        return facts is not None and asked.fits(execution["name"], facts)

    def _refresh(self) -> None:
        """List the executions again, in the background, unless that was done just now or is under way."""
        if time.monotonic() - self._listed_at >= self._every and self._listing.acquire(blocking=False):
            threading.Thread(target=self._list, daemon=True).start()

    def _list(self) -> None:
        try:
            whole = not self._complete or time.monotonic() - self._whole_at >= WHOLE_SECONDS
            with self._lock:
                running = {arn for arn, each in self._executions.items() if each["status"] == "RUNNING"}
            states, machine = self._target.aws.step_functions, self._target.stack.state_machine_arn
            if not self._executions:  # a few are there at once
                few = states.list_executions(stateMachineArn=machine, maxResults=FIRST)["executions"]
                with self._lock:
                    self._executions.update((each["executionArn"], each) for each in few)
                self._first.set()
            pages = states.get_paginator("list_executions").paginate(
                stateMachineArn=machine, PaginationConfig={"PageSize": 1000}
            )
            seen: set[str] = set()
            for page in pages:
                arns = {each["executionArn"] for each in page["executions"]}
                with self._lock:
                    nothing_new = arns <= set(self._executions)
                    self._executions.update((each["executionArn"], each) for each in page["executions"])
                self._first.set()
                seen |= arns
                running -= arns
                if nothing_new and not running and not whole:
                    break
            else:
                with self._lock:
                    for forgotten in set(self._executions) - seen:
                        del self._executions[forgotten]
                    self._complete = True
                self._whole_at = time.monotonic()
            self._error = None
        except (ClientError, BotoCoreError) as error:
            self._error = error
        finally:
            self._listed_at = time.monotonic()
            self._first.set()
            self._listing.release()

    def _read(self, executions: list[ExecutionListItemTypeDef]) -> int:
        """Read the inputs of these executions, for a moment here and then in the background; how many are left."""
        unknown = [each for each in executions if self._index.known(each["executionArn"]) is None]
        until = time.monotonic() + SEARCH_SECONDS
        while unknown and time.monotonic() < until:
            some, unknown = unknown[:DESCRIBED_AT_ONCE], unknown[DESCRIBED_AT_ONCE:]
            self._learn(some)
        if unknown and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read_all, args=(unknown,), daemon=True).start()
        return len(unknown)

    def _read_all(self, executions: list[ExecutionListItemTypeDef]) -> None:
        try:
            for first in range(0, len(executions), DESCRIBED_AT_ONCE):
                self._learn(executions[first : first + DESCRIBED_AT_ONCE])
        except (ClientError, BotoCoreError):
            pass  # the next search reads on
        finally:
            self._reading.release()

    def _learn(self, executions: list[ExecutionListItemTypeDef]) -> None:
        try:
            self._index.of(executions)
        except RunNotFoundError:  # forgotten meanwhile
            with self._lock:
                self._complete = False

    def _rows(self, executions: list[ExecutionListItemTypeDef]) -> list[Row]:
        with workers() as pool:
            outcomes = list(pool.map(self._outcome, executions))
        self._learn(executions)  # those that are at work
        nothing = RunFacts("")
        return [
            Row(each, self._index.known(each["executionArn"]) or nothing, outcome)
            for each, outcome in zip(executions, outcomes, strict=True)
        ]

    def _outcome(self, execution: ExecutionListItemTypeDef) -> Outcome:
        """What came of an execution; it is looked up once, when it has ended."""
        ended = execution.get("stopDate")
        if ended is None or execution["status"] == "RUNNING":
            return Outcome()
        key = (execution["executionArn"], ended)
        if key not in self._outcomes:
            try:
                found = described_run(self._target.aws, key[0])
            except RunNotFoundError:
                return Outcome()
            self._index.learn(found)
            self._outcomes[key] = self._read_outcome(found)
        return self._outcomes[key]

    def _read_outcome(self, found: FoundRun) -> Outcome:
        output: dict[str, Any] = json_object(found.execution.get("output"))
        cost = None
        if found.folder is not None:
            try:
                if not output and found.execution["status"] == "FAILED":
                    output = read_result(found.folder, self._target.aws.s3) or {}
                cost = read_cost(found.folder, self._target.aws.s3)
            except (StorageError, ValueError):
                pass  # the list shows what there is
        counts, reuse = output.get("counts") or {}, output.get("reuse") or {}
        kept = reuse.get("kept") if reuse else None
        return Outcome(counts.get("items"), counts.get("failed"), kept, None if cost is None else cost["dollars"])


def filter_of(given: Iterable[tuple[str, str]], now: datetime) -> tuple[RunFilter, dict[str, str]]:
    """The filter that a form asks for, and the form's own words.

    Args:
        given: The fields of the form: q, state, workload, since.
        now: When it was asked.

    Raises:
        InvalidRunRequest: `since` is no age and no date.
    """
    fields = {
        name: value.strip() for name, value in given if name in ("q", "state", "workload", "since") and value.strip()
    }
    states = STATES.get(fields.get("state", ""), ())
    since = moment_of(fields["since"], now) if "since" in fields else None
    words = tuple(fields.get("q", "").split())
    return RunFilter(statuses=states, since=since, workload=fields.get("workload"), words=words), fields


STATES = {
    "running": ("RUNNING",),
    "succeeded": ("SUCCEEDED",),
    "failed": FAILED,
    "cancelled": ("ABORTED",),
}
"""What the page's states mean."""
