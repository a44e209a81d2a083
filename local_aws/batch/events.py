"""EventBridge events "Batch Job State Change" (Batch user guide, "AWS Batch job state change events").

An event is built only when a rule could match it: 10,000 children that nobody listens to cost nothing.
Rules are matched and targets called in a thread of their own, never in a request.
"""

import functools
import json
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from local_aws.batch.job_descriptions import describe
from local_aws.batch.jobs import ArrayJob, Record, Status
from local_aws.scope import Scope

SOURCE = "aws.batch"
DETAIL_TYPE = "Batch Job State Change"


class EventBus(Protocol):
    """The default event bus of each account and region."""

    def event_patterns(self, scope: Scope) -> Iterable[str]:
        """The event patterns of its enabled rules, as JSON text."""

    def put_event(self, scope: Scope, *, source: str, detail_type: str, detail: dict[str, Any], resource: str) -> None:
        """Match an event against the rules and call the targets."""


class JobEvents:
    """Publishes the changes that the scheduler reports."""

    def __init__(self, bus: EventBus) -> None:
        """Start the thread that puts events on the bus."""
        self._bus = bus
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="local-aws-events", daemon=True).start()

    def job_changed(self, record: Record) -> None:
        """Publish a job's new state, as it is now."""
        scope = record.spec.scope
        if self._wanted(scope, record.status):
            self._publish(scope, describe(record))

    def untouched_changed(self, array: ArrayJob) -> None:
        """Publish the new state of every untouched child."""
        scope, status = array.spec.scope, array.untouched_status
        if status is Status.SUBMITTED or not self._wanted(scope, status):
            return
        for index in array.untouched():
            self._publish(scope, describe(array.preview(index)))

    def _wanted(self, scope: Scope, status: Status) -> bool:
        return any(may_match(pattern, str(status)) for pattern in self._bus.event_patterns(scope))

    def _publish(self, scope: Scope, detail: dict[str, Any]) -> None:
        detail["tags"] = {"resourceArn": detail["jobArn"], **detail["tags"]}  # recorded on AWS: umccr/data-portal-apis
        put = functools.partial(self._bus.put_event, scope, source=SOURCE, detail_type=DETAIL_TYPE)
        self._work.put(functools.partial(put, detail=detail, resource=detail["jobArn"]))

    def _run(self) -> None:
        while True:
            self._work.get()()


@functools.lru_cache(maxsize=4096)
def may_match(pattern: str, status: str) -> bool:
    """False when a rule surely does not match a job event with this status; the bus decides the rest."""
    try:
        wanted = json.loads(pattern)
    except ValueError:
        return True
    if not isinstance(wanted, dict):
        return True
    detail = wanted.get("detail")
    return (
        _may_hold(wanted.get("source"), SOURCE)
        and _may_hold(wanted.get("detail-type"), DETAIL_TYPE)
        and _may_hold(detail.get("status") if isinstance(detail, dict) else None, status)
    )


def _may_hold(alternatives: Any, value: str) -> bool:
    """Only a list of plain values is decided here."""
    if not isinstance(alternatives, list) or any(isinstance(item, dict) for item in alternatives):
        return True
    return value in alternatives
