"""Whether a failed attempt is tried again: retryStrategy, evaluateOnExit (Batch user guide, "Automated job retries").

Standard library only, so that it can be tested and reused without the server.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws.errors import ClientError

MAX_ATTEMPTS = 10  # RetryStrategy.attempts: 1 to 10
MAX_RULES = 5  # RetryStrategy.evaluateOnExit: at most 5
MAX_PATTERN_CHARACTERS = 512  # EvaluateOnExit
_TEXT_PATTERN = re.compile(r"[0-9A-Za-z.:\s]*\*?", re.ASCII)
_EXIT_CODE_PATTERN = re.compile(r"[0-9]*\*?")


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How one attempt failed, in the words of DescribeJobs; None: that field is not there."""

    exit_code: int | None
    reason: str | None
    status_reason: str | None


@dataclass(frozen=True, slots=True)
class ExitRule:
    """One evaluateOnExit rule; a pattern that is None is no condition."""

    retry: bool
    on_exit_code: str | None = None
    on_reason: str | None = None
    on_status_reason: str | None = None

    def matches(self, end: AttemptEnd) -> bool:
        """True when every condition of the rule holds."""
        exit_code = None if end.exit_code is None else str(end.exit_code)
        return (
            pattern_matches(self.on_exit_code, exit_code)
            and pattern_matches(self.on_reason, end.reason)
            and pattern_matches(self.on_status_reason, end.status_reason)
        )


@dataclass(frozen=True, slots=True)
class RetryStrategy:
    """How often a job is tried in all, and the rules that cut this short."""

    attempts: int = 1
    rules: tuple[ExitRule, ...] = ()

    def retries(self, end: AttemptEnd, attempts_made: int) -> bool:
        """Whether to try again after a failed attempt; the first rule that matches decides, and no match means yes."""
        if attempts_made >= self.attempts:
            return False
        return next((rule.retry for rule in self.rules if rule.matches(end)), True)

    def to_api(self) -> dict[str, Any]:
        """The strategy in the API's shape."""
        rules = [
            {
                name: value
                for name, value in (
                    ("onStatusReason", rule.on_status_reason),
                    ("onReason", rule.on_reason),
                    ("onExitCode", rule.on_exit_code),
                    ("action", "RETRY" if rule.retry else "EXIT"),
                )
                if value is not None
            }
            for rule in self.rules
        ]
        return {"attempts": self.attempts, "evaluateOnExit": rules}


def pattern_matches(pattern: str | None, text: str | None) -> bool:
    """Match a glob of evaluateOnExit: only a last `*` is special, case does not count, and no pattern matches anything.

    A text that is not there equals the empty one: `*` matches an attempt without an exit code.
    """
    if pattern is None:
        return True
    wanted, found = pattern.casefold(), (text or "").casefold()
    return found.startswith(wanted[:-1]) if wanted.endswith("*") else found == wanted


def parse_retry_strategy(value: Mapping[str, Any] | None) -> RetryStrategy:
    """Check a retryStrategy of the API and make it ready for use; None: one attempt.

    Raises:
        ClientError: attempts or a rule is outside what the API allows.
    """
    if not value:
        return RetryStrategy()
    rules: Sequence[Mapping[str, Any]] = value.get("evaluateOnExit") or []
    attempts = value.get("attempts")
    if attempts is None:
        if rules:
            raise ClientError("If evaluateOnExit is specified, the attempts parameter must also be specified.")
        attempts = 1
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise ClientError(f"RetryStrategy attempts must be between 1 and {MAX_ATTEMPTS}.")
    if len(rules) > MAX_RULES:
        raise ClientError(f"RetryStrategy can have at most {MAX_RULES} evaluateOnExit rules.")
    return RetryStrategy(attempts, tuple(_parse_rule(rule) for rule in rules))


def _parse_rule(rule: Mapping[str, Any]) -> ExitRule:
    action = str(rule.get("action", "")).upper()  # "The values aren't case sensitive."
    if action not in {"RETRY", "EXIT"}:
        raise ClientError("evaluateOnExit action must be RETRY or EXIT.")
    for field, allowed in (
        ("onExitCode", _EXIT_CODE_PATTERN),
        ("onReason", _TEXT_PATTERN),
        ("onStatusReason", _TEXT_PATTERN),
    ):
        pattern = rule.get(field)
        if pattern is not None and (len(pattern) > MAX_PATTERN_CHARACTERS or not allowed.fullmatch(pattern)):
            raise ClientError(f"evaluateOnExit {field} '{pattern}' is not a valid pattern.")
    return ExitRule(action == "RETRY", rule.get("onExitCode"), rule.get("onReason"), rule.get("onStatusReason"))
