"""local_aws/batch/retry.py by itself: the rules of evaluateOnExit, without a server and without ministack."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.batch.retry import AttemptEnd, parse_retry_strategy, pattern_matches
from local_aws.errors import ClientError

pytestmark = pytest.mark.embedded("it needs no account: it is about a function of local_aws")

TEXT = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters=".: \t"), max_size=40)


@given(TEXT, TEXT)
def test_a_star_at_the_end_matches_what_begins_so(start: str, rest: str) -> None:
    """`start*` matches every text that begins with `start`, in any case."""
    assert pattern_matches(f"{start}*", start + rest)
    assert pattern_matches(f"{start.swapcase()}*", start + rest)


@given(TEXT, TEXT)
def test_without_a_star_the_whole_text_must_match(pattern: str, text: str) -> None:
    """A pattern without a star matches the same text only."""
    assert pattern_matches(pattern, text) == (pattern.lower() == text.lower())


@given(st.none() | TEXT)
def test_a_star_matches_everything(text: str | None) -> None:
    """`*` matches any text, and one that is not there; no pattern at all is no condition."""
    assert pattern_matches("*", text)
    assert pattern_matches(None, text)


@given(st.integers(0, 255), st.integers(1, 10), st.integers(1, 12))
def test_without_rules_only_attempts_count(exit_code: int, attempts: int, made: int) -> None:
    """A failed attempt is tried again until all attempts are made."""
    strategy = parse_retry_strategy({"attempts": attempts})

    assert strategy.retries(AttemptEnd(exit_code, None, None), made) == (made < attempts)


@given(st.integers(1, 255), TEXT, TEXT)
def test_no_match_means_retry(exit_code: int, reason: str, status_reason: str) -> None:
    """When no rule matches the job is tried again: the trap that a last rule with `*` closes."""
    rules = [{"onExitCode": "256", "action": "EXIT"}]
    end = AttemptEnd(exit_code, reason, status_reason)

    assert parse_retry_strategy({"attempts": 2, "evaluateOnExit": rules}).retries(end, 1)
    closed = [*rules, {"onReason": "*", "action": "exit"}]
    assert not parse_retry_strategy({"attempts": 2, "evaluateOnExit": closed}).retries(end, 1)


@pytest.mark.parametrize(
    ("exit_code", "status_reason", "retried"),
    [
        (1, "Host EC2 (instance i-1) terminated.", True),
        (2, "Host EC2 (instance i-1) terminated.", False),
        (1, "", False),
    ],
)
def test_all_conditions_of_a_rule_must_hold(exit_code: int, status_reason: str, retried: bool) -> None:  # noqa: FBT001
    """Conditions inside a rule are joined by AND; the first rule that matches decides."""
    rules = [
        {"onExitCode": "1", "onStatusReason": "host ec2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ]
    strategy = parse_retry_strategy({"attempts": 2, "evaluateOnExit": rules})

    assert strategy.retries(AttemptEnd(exit_code, None, status_reason), 1) is retried


@given(
    st.text(max_size=20).filter(
        lambda text: any(not (c.isascii() and c.isalnum()) and c not in ".: \t\n\r\v\f*" for c in text)
    )
)
def test_other_characters_are_refused(pattern: str) -> None:
    """A pattern with a character that the API does not allow is refused, not silently never matched."""
    with pytest.raises(ClientError):
        parse_retry_strategy({"attempts": 2, "evaluateOnExit": [{"onReason": pattern, "action": "EXIT"}]})


def test_it_needs_no_ministack() -> None:
    """The module imports with nothing but the standard library."""
    program = (
        "import sys; import local_aws.batch.retry; "
        "assert not [m for m in sys.modules if 'ministack' in m or 'boto' in m]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
