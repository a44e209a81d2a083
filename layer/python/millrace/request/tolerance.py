"""How many failed items a run tolerates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A share of the items, and a number of them. The larger allowance of the two counts.

    Attributes:
        percent: 0 to 100.
        count: 0 or more.
    """

    percent: float
    count: int

    def allows(self, failed: int, items: int) -> bool:
        """Whether a run of so many items may have so many failed ones."""
        return failed <= self.count or failed * 100 <= self.percent * items

    def __str__(self) -> str:
        return f"{self.percent:g} %, or {self.count:,} items," if self.count else f"{self.percent:g} %"
