"""Which faults a seed's run meets, how often, and what each one looks like to botocore."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tests.in_memory_s3 import error, slow_down
from tests.simulation.process import JOBS

URL = "https://s3.example"

REFUSALS = ("503 SlowDown", "500 InternalError", "connection refused")
"""Before the call took effect."""
LOST_ANSWERS = ("500 after success", "time-out after success", "connection lost after success")
CONDITIONAL = ("409 on a conditional write", "412 after own success")
BODIES = ("slow body", "truncated body", "reset in mid-body", "time-out in mid-body")
LISTINGS = ("key listed twice", "page listed again", "keys listed in no order")
"""What a listing of the source answers that S3 never would; drawn apart, at one listing in thirty."""
ENDS = ("crash before", "crash after", "SIGTERM", "SIGTERM, then killed", "zombie")
"""What befalls a process."""
OTHERS = ("SlowDown storm", "slow answer")

RATES = {
    **dict.fromkeys(REFUSALS, 0.02),
    **dict.fromkeys(LOST_ANSWERS, 0.03),
    **dict.fromkeys(CONDITIONAL, 0.25),
    **dict.fromkeys(BODIES, 0.1),
    "crash before": 0.015,
    "crash after": 0.015,
    "SIGTERM": 0.02,
    "SIGTERM, then killed": 0.01,
    "zombie": 0.03,
    "SlowDown storm": 0.003,
    "slow answer": 0.05,
}
"""How likely each is, at a call where it can happen, in a run that knows it."""
WRITES = frozenset({"put_object", "copy_object", "delete_object"})
AT_WRITES = 5
"""A crash, or being taken for dead, is so many times likelier at one of these: it leaves something half done."""
PARTS = ("part", "part commit")
FOR_PARTS = 3
"""So many faults are kept for the parts of a merge: they come late, when most runs have had theirs."""


class Faults:
    """Draws faults.

    Args:
        chance: Decides.
        budget: How many a run meets at most, so that it ends.

    Attributes:
        injected: How many there were, by kind.
        on: Whether there are any.
        storm: How many more calls are refused, whoever makes them.
    """

    def __init__(self, chance: random.Random, budget: int) -> None:
        self.injected: Counter[str] = Counter()
        self.on = False
        self.storm = 0
        self._chance = chance
        self._left = {"parts": FOR_PARTS if budget else 0, "others": budget}
        known = sorted(RATES) if budget else []
        self._rates = {kind: RATES[kind] for kind in known if chance.random() < 0.6}

    def draw(self, verb: str, kind: str, process: str, *, conditional: bool) -> str | None:
        """The fault that a call meets, if any.

        Args:
            verb: The client's method.
            kind: What the object is.
            process: What the process runs; a Lambda meets no SIGTERM and is not declared dead.
            conditional: Whether it is a conditional write.
        """
        if self.storm:
            self.storm -= 1
            return self.note("503 SlowDown")
        where = "parts" if kind in PARTS else "others"
        if not self.on or not self._left[where]:
            return None
        for fault, rate in self._rates.items():
            if not _applies(fault, verb, process, conditional=conditional):
                continue
            likelier = AT_WRITES if fault.startswith(_HALF_DONE) and verb in WRITES else 1
            if self._chance.random() < rate * likelier:
                self._left[where] -= 1
                if fault == "SlowDown storm":
                    self.storm = self._chance.randrange(5, 80)
                named = fault if not fault.startswith("crash") else f"{fault} {_named(verb, kind)}"
                self.note(named)
                return "503 SlowDown" if fault == "SlowDown storm" else fault
        return None

    def happens(self, kind: str, rate: float, chance: random.Random | None = None) -> bool:
        """Whether something else happens that the simulation knows, and note it."""
        if not self.on or (chance or self._chance).random() >= rate:
            return False
        self.note(kind)
        return True

    def note(self, kind: str) -> str:
        """Count a fault."""
        self.injected[kind] += 1
        return kind


_HALF_DONE = ("crash", "zombie")


def _applies(fault: str, verb: str, process: str, *, conditional: bool) -> bool:
    if fault in CONDITIONAL:
        return conditional
    if fault in BODIES:
        return verb == "get_object"
    if fault in {"SIGTERM", "SIGTERM, then killed", "zombie"}:
        return process in JOBS
    return True


def _named(verb: str, kind: str) -> str:
    return {"get_object": "reading", "put_object": "writing"}.get(verb, verb.partition("_")[0]) + f" {kind}"


def refusal(fault: str) -> Exception:
    """What botocore raises."""
    made: dict[str, Any] = {
        "503 SlowDown": slow_down(),
        "500 InternalError": error("InternalError", 500, message="We encountered an internal error."),
        "500 after success": error("InternalError", 500, message="We encountered an internal error."),
        "connection refused": EndpointConnectionError(endpoint_url=URL),
        "time-out after success": ReadTimeoutError(endpoint_url=URL),
        "connection lost after success": ConnectionClosedError(endpoint_url=URL),
        "409 on a conditional write": error("ConditionalRequestConflict", 409),
        "412 after own success": error("PreconditionFailed", 412),
        "truncated body": IncompleteReadError(actual_bytes=0, expected_bytes=1),
        "reset in mid-body": ResponseStreamingError(error=ConnectionResetError(104, "Connection reset by peer")),
        "time-out in mid-body": ReadTimeoutError(endpoint_url=URL),
    }
    chosen: Exception = made[fault]
    return chosen
