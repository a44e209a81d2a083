"""GetExecutionHistory with the members that AWS writes beside each event's own (recorded on AWS: localstack)."""

from typing import Any

_ROOTS = {"ExecutionStarted", "ExecutionAborted", "ExecutionTimedOut"}
"""Events that no other one leads to: their previousEventId is 0, and so is that of the first state."""


def as_recorded(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, each with the event before it, and with what says whether its input and output are whole.

    Branches of a Parallel or a Map, which no state machine here has, are numbered as one line.
    """
    return [_completed(event) for event in events]


def _completed(event: dict[str, Any]) -> dict[str, Any]:
    first = event["type"] in _ROOTS or event["id"] == 2
    completed = {**event, "previousEventId": 0 if first else event["id"] - 1}
    for name, details in event.items():
        if isinstance(details, dict):
            whole = {f"{each}Details": {"truncated": False} for each in ("input", "output") if each in details}
            completed[name] = {**whole, **details}
    return completed
