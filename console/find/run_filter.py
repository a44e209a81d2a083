"""Which runs are meant: by state, time, workload, name and tags. What an execution's input says of a run is read once.

ListExecutions tells state and time; all else stands in the input, which takes a DescribeExecution per execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from console.find.aws import Aws, workers
from console.find.run_lookup import FoundRun, described_run, executions_of
from millrace.errors import InvalidRunRequest
from millrace.request.chained import STARTED_BY
from millrace.request.labels import labels_of

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef

FAILED = ("FAILED", "TIMED_OUT")
"""What `--failed` means: the run broke, or had too many failures. A cancelled run did not fail."""

DESCRIBED_AT_ONCE = 100
"""How many executions are described together: DescribeExecution allows 300 at once, then 15 a second."""

_AGE = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_BY_RULE = re.compile(rf"{_UUID}_{_UUID}")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What an execution's input says of its run: small, so that those of ten thousand runs can be kept.

    Attributes:
        run_id: The run's id.
        workload: The workload's name; empty where the input is no request.
        source: The source folder.
        destination: The destination folder.
        name: What people call the run.
        tags: Its tags.
        first_key: The first of the keys that the request names; empty where it names none.
        keys: How many keys it names.
    """

    run_id: str
    workload: str = ""
    source: str = ""
    destination: str = ""
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    first_key: str = ""
    keys: int = 0

    @classmethod
    def of(cls, found: FoundRun) -> RunFacts:
        """Read them; what the input has in another form is left out."""
        request = found.request
        name, tags = labels_of(request)
        keys = request.get("keys")
        keys = [str(key) for key in keys] if isinstance(keys, list) else []
        words = {each: str(request.get(each) or "") for each in ("workload", "source", "destination")}
        if request and not words["workload"]:
            words["workload"] = "word-count"
        return cls(found.run_id, **words, name=name or "", tags=tags, first_key=(keys or [""])[0], keys=len(keys))

    def started_by(self, execution_name: str) -> str:
        """Who or what started an execution, by its tag or by its name."""
        if who := self.tags.get(STARTED_BY):
            return who
        if execution_name.startswith("upload-"):
            return "an upload"
        # A rule's target gets a name of two UUIDs: EventBridge, "StartExecution" targets.
        if _BY_RULE.fullmatch(execution_name):
            return "the schedule"
        return "a resume" if execution_name != self.run_id else "a person"


class RunIndex:
    """What is known of executions by their inputs, which never change: each is asked for once.

    Args:
        aws: Where they are.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._facts: dict[str, RunFacts] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def of(self, executions: Iterable[ExecutionListItemTypeDef]) -> list[RunFacts]:
        """The facts of these executions, in their order."""
        arns = [each["executionArn"] for each in executions]
        unknown = [arn for arn in arns if arn not in self._facts]
        with workers() as pool:
            for found in pool.map(lambda arn: described_run(self._aws, arn), unknown):
                self.learn(found)
        return [self._facts[arn] for arn in arns]

    def learn(self, found: FoundRun) -> None:
        """Keep the facts of an execution that somebody else has asked for."""
        self._facts[found.execution_arn] = RunFacts.of(found)

    def known(self, execution_arn: str) -> RunFacts | None:
        """The facts of an execution, if they were read before."""
        return self._facts.get(execution_arn)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are meant; what is empty is not asked for.

    Attributes:
        statuses: The states of their executions, as Step Functions names them.
        since: Only those that were started then or later.
        workload: Their workload.
        name: A part of their name, in any case.
        tags: Tags that they have: a value of None means any value.
        words: Parts of anything that is known of a run, in any case: each has to be there.
    """

    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    workload: str | None = None
    name: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @property
    def needs_facts(self) -> bool:
        """Whether the input has to be read to know."""
        return bool(self.workload or self.name or self.tags or self.words)

    def takes(self, execution: Mapping[str, Any]) -> bool:
        """Whether an execution's state and time fit."""
        in_time = self.since is None or execution["startDate"] >= self.since
        return in_time and (not self.statuses or execution["status"] in self.statuses)

    def fits(self, execution_name: str, facts: RunFacts) -> bool:
        """Whether what the input says fits."""
        if self.workload and facts.workload != self.workload:
            return False
        if self.name and self.name.casefold() not in facts.name.casefold():
            return False
        for key, value in self.tags.items():
            if key not in facts.tags or value not in (None, facts.tags[key]):
                return False
        if not self.words:
            return True
        told = (execution_name, facts.run_id, facts.workload, facts.source, facts.destination, facts.name)
        text = "\n".join([*told, facts.first_key, *(f"{key}={value}" for key, value in facts.tags.items())]).casefold()
        return all(word.casefold() in text for word in self.words)


def matching(
    aws: Aws, state_machine_arn: str, asked: RunFilter, index: RunIndex
) -> Iterator[tuple[ExecutionListItemTypeDef, RunFacts]]:
    """The executions that are meant, the newest first, each with what its input says.

    Args:
        aws: Where they are.
        state_machine_arn: The stack's state machine.
        asked: Which ones.
        index: What was read before, and is kept.
    """
    chosen: dict[str, Any] = {"statusFilter": asked.statuses[0]} if len(asked.statuses) == 1 else {}
    listed = (
        each for each in _since(executions_of(aws, state_machine_arn, **chosen), asked.since) if asked.takes(each)
    )
    size = DESCRIBED_AT_ONCE if asked.needs_facts else 20
    while some := list(islice(listed, size)):
        for execution, facts in zip(some, index.of(some), strict=True):
            if asked.fits(execution["name"], facts):
                yield execution, facts


def _since(
    executions: Iterator[ExecutionListItemTypeDef], since: datetime | None
) -> Iterator[ExecutionListItemTypeDef]:
    """Those that are new enough; the newest come first (Step Functions API reference, ListExecutions)."""
    for each in executions:
        if since is not None and each["startDate"] < since:
            return
        yield each


def moment_of(text: str, now: datetime) -> datetime:
    """The moment that `--since` means.

    Args:
        text: An age, `30m`, `12h`, `2d` or `1w`, or a date or time, `2026-11-21` or `2026-11-21T09:00`, in local time
            unless it says otherwise.
        now: When it is asked.

    Raises:
        InvalidRunRequest: It is none of these.
    """
    if age := _AGE.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRunRequest("since", text, "an age, 30m, 12h, 2d or 1w, or a date, 2026-11-21") from None


def tags_asked(given: Iterable[str]) -> dict[str, str | None]:
    """Tags to search by, from words `KEY=VALUE`, or `KEY` for any value."""
    pairs = (words.partition("=") for words in given)
    return {key: value if equals else None for key, equals, value in pairs}
