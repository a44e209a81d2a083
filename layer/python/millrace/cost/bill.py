"""What a run cost, from what it used: its attempts' times, its requests, its states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from millrace.aws.run_jobs import STAGES, Attempt
from millrace.cost.prices import (
    billed_seconds,
    call_dollars,
    compute_dollars,
    planning_dollars,
    prices,
    request_dollars,
)
from millrace.cost.s3_requests import S3Requests


@dataclass(frozen=True, slots=True)
class Used:
    """What a run used.

    Attributes:
        attempts: Every attempt that started, failed ones too.
        requests: Of S3.
        transitions: Of Step Functions.
        calls: Of Lambda.
        planning: About how many seconds Prepare Run planned for.
    """

    attempts: tuple[Attempt, ...]
    requests: S3Requests
    transitions: int
    calls: int
    planning: float = 0.0


def bill(used: Used) -> dict[str, Any]:
    """Multiply what was used with the table's prices.

    Returns:
        dollars, and `parts`, what they are made of; `stages`, by plan, migrate and merge: attempts, seconds,
        billed_seconds, vcpu_seconds, gb_seconds (of what is billed) and dollars; `usage`, the sums and the requests,
        transitions and calls; `compute`, the attempts by what they ran on.
    """
    table = prices()
    stages: dict[str, dict[str, float]] = {}
    compute: dict[str, int] = {}
    for attempt in used.attempts:
        stage = stages.setdefault(attempt.stage, dict.fromkeys(_SUMS, 0))
        billed = billed_seconds(attempt.seconds)
        for name, value in (
            ("attempts", 1),
            ("seconds", attempt.seconds),
            ("billed_seconds", billed),
            ("vcpu_seconds", billed * attempt.vcpus),
            ("gb_seconds", billed * attempt.gb),
            ("dollars", compute_dollars(billed, attempt.vcpus, attempt.gb, attempt.architecture, attempt.compute)),
        ):
            stage[name] += value
        compute[attempt.compute] = compute.get(attempt.compute, 0) + 1
    addresses = sum(billed_seconds(attempt.seconds) for attempt in used.attempts if attempt.public_ip)
    parts = {
        "compute": _sum(stages.values(), "dollars"),
        "public_ipv4": addresses / 3600 * table["network"]["public_ipv4_hour"],
        "s3_requests": request_dollars(used.requests.put, used.requests.get),
        "step_functions": used.transitions / 1000 * table["step_functions"]["transitions_per_1000"],
        "lambda": call_dollars(used.calls) + planning_dollars(used.planning),
    }
    return {
        "dollars": round(sum(parts.values()), 8),
        "parts": {name: round(value, 8) for name, value in parts.items()},
        "stages": {
            name: {of: round(value, 8 if of == "dollars" else 3) for of, value in stage.items()}
            for name, stage in sorted(stages.items(), key=lambda each: _order(each[0]))
        },
        "usage": {
            **{of: round(_sum(stages.values(), of), 3) for of in _SUMS[:-1]},
            "s3_put_requests": round(used.requests.put),
            "s3_get_requests": round(used.requests.get),
            "state_transitions": used.transitions,
            "lambda_calls": used.calls,
        },
        "compute": dict(sorted(compute.items())),
    }


_SUMS = ("attempts", "seconds", "billed_seconds", "vcpu_seconds", "gb_seconds", "dollars")


def _order(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _sum(stages: Iterable[dict[str, float]], name: str) -> float:
    return sum(stage[name] for stage in stages)
