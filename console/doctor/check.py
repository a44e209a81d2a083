"""What one check of `millrace doctor` comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What came of one check.

    Attributes:
        name: What was looked at.
        outcome: ok, warn (a run may be slow or surprise), or fail (a run will fail).
        message: What was found.
        todo: What to do about it; empty where nothing needs doing.
    """

    name: str
    outcome: Outcome
    message: str
    todo: str = ""
