"""How many failed items a run tolerates."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.request.tolerance import Tolerance


@given(st.integers(0, 100), st.integers(0, 50), st.integers(0, 200), st.integers(0, 200))
def test_the_larger_allowance_counts(percent: int, count: int, failed: int, more: int) -> None:
    """Failures are tolerated up to the larger of the share and the number, both inclusive."""
    items = failed + more
    allowed = max(Fraction(percent * items, 100), Fraction(count))
    assert Tolerance(percent, count).allows(failed, items) == (failed <= allowed)


@pytest.mark.parametrize(
    ("tolerance", "text"),
    [(Tolerance(0, 0), "0 %"), (Tolerance(2.5, 0), "2.5 %"), (Tolerance(1, 20), "1 %, or 20 items,")],
)
def test_it_reads_well(tolerance: Tolerance, text: str) -> None:
    """The number is named where there is one."""
    assert str(tolerance) == text
