"""What the simulator raises. Those that a job must not catch are no Exceptions, as a SIGKILL is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.promises import Promise


class Crash(BaseException):
    """The end of a process, without a word: nothing that it calls from now on has an effect."""


class Abandoned(BaseException):
    """The simulation is over, and so is every thread of it."""


class Violation(BaseException):
    """A promise was broken.

    Args:
        promise: Which one.
        details: What was seen.
    """

    def __init__(self, promise: Promise, details: str) -> None:
        self.promise = promise
        self.details = details
        super().__init__(f"{promise}: {details}")


class EndlessRunError(Exception):
    """The run does not end."""


class UnknownStateError(Exception):
    """The state machine has something that the simulator does not know: teach it, or it would prove nothing."""
