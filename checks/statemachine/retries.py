"""One retry place per cause: the state machine retries the call of a service, never the work behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import Sources

SUBMISSION = {"Batch.ServerException", "Batch.AWSBatchException", "Batch.TooManyRequestsException"}
"""How a failed SubmitJob arrives. States.TaskFailed would be the job itself: retried, the whole array runs again."""
INVOCATION = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "States.Timeout",
    "Sandbox.Timedout",
    "Lambda.Unknown",
}
"""Step Functions developer guide, "Handle transient Lambda service exceptions"; the names of a call whose answer did
not come back; and those of one that took too long, as many cold starts at once do. Each function may be called twice:
what it wrote is found there."""
NAMES = {"arn:aws:states:::batch:submitJob": SUBMISSION, "arn:aws:states:::lambda:invoke": INVOCATION}
BOUNDS = ("IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds")


def check(sources: Sources) -> Iterator[Fault]:
    """Every Task retries exactly the errors of its service's call, with bounds and full jitter."""
    for machine in sources.machines:
        for name, state in machine.states():
            yield from _retry_faults(state, machine.where(name))


def _retry_faults(state: dict[str, Any], where: str) -> Iterator[Fault]:
    retriers = state.get("Retry", [])
    named = {error for retrier in retriers for error in retrier.get("ErrorEquals", [])}
    wanted = NAMES.get(state.get("Resource", "").partition(".sync")[0])
    if wanted is None:
        wanted = {error for error in named if not error.startswith("States.")}
    for error in sorted(wanted - named):
        yield Fault(where, f"does not retry {error}, which passes by itself")
    for error in sorted(named - wanted):
        yield Fault(where, f"retries {error}, which is more than the failed call: name only what passes by itself")
    for index, retrier in enumerate(retriers):
        if retrier.get("JitterStrategy") != "FULL":
            yield Fault(f"{where}/Retry/{index}", "has no JitterStrategy FULL: all runs would come back at once")
        for field in BOUNDS:
            if field not in retrier:
                yield Fault(f"{where}/Retry/{index}", f"has no {field}: say it, the default is not what is meant")
