"""What a command's exit codes mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from signal import Signals

from millrace.errors import InvalidRunRequest

_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExitCodes:
    """Which exit codes mean what; the first that fits counts, in this order. Any other ends the job.

    Attributes:
        success: The item is done.
        retry: The item cannot be worked now: another attempt of the job takes it up again.
        bad_item: The item is bad: it becomes its row in the report.
    """

    success: frozenset[int]
    retry: frozenset[int]
    bad_item: frozenset[int]

    @classmethod
    def parse(cls, success: Iterable[str], retry: Iterable[str], bad_item: Iterable[str]) -> ExitCodes:
        """Read the options: `["1-125", "137"]`.

        Raises:
            InvalidRunRequest: One is neither a code from 0 to 255 nor a range of them.
        """
        return cls(
            _codes("success_exit_codes", success),
            _codes("retry_exit_codes", retry),
            _codes("bad_item_exit_codes", bad_item),
        )


def shell_code(returncode: int) -> int:
    """The exit code as a shell reports it: 128 and the signal's number where a signal ended the command."""
    return returncode if returncode >= 0 else 128 - returncode


def ending(returncode: int) -> str:
    """How a command ended, in words."""
    if returncode >= 0:
        return f"the command ended with exit code {returncode}"
    try:
        name = Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    hint = "; perhaps the memory was used up" if -returncode == Signals.SIGKILL else ""
    return f"the command was killed by {name}{hint}"


def _codes(option: str, words: Iterable[str]) -> frozenset[int]:
    codes: set[int] = set()
    for word in words:
        found = _RANGE.fullmatch(word)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high <= 255:
            raise InvalidRunRequest(f"options.{option}", word, "exit codes from 0 to 255, or ranges of them: 1-125")
        codes.update(range(low, high + 1))
    return frozenset(codes)
