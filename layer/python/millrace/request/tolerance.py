"""How many failed items a run tolerates."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


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

    @staticmethod
    def accepting(failed: int, items: int) -> str:
        """The percentage, as a person would write it, that allows so many failed items and little more: `25`."""
        share = failed * 100 / items
        for decimals in range(9):
            unit = 10**decimals
            # The second is for a share that binary fractions put a hair below what it should allow.
            for steps in (ceil(share * unit), ceil(share * unit) + 1):
                percent = min(steps / unit, 100.0)
                if percent <= share * 1.1 and Tolerance(percent, 0).allows(failed, items):
                    return f"{percent:.{decimals}f}"
        return "100"

    def __str__(self) -> str:
        return f"{self.percent:g} %, or {self.count:,} items," if self.count else f"{self.percent:g} %"
