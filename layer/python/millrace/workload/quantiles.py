"""Quantiles of numbers without keeping them: a t-digest, from the package datasketches.

Dunning and Ertl, "Computing extremely accurate quantiles using t-digests", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from millrace.errors import WorkloadUnavailableError

COMPRESSION = 200
"""About how many centroids a digest keeps: some 3 kB, and a rank error well below one percent, less at the tails."""

SHOWN = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
"""The quantiles in result.json, by name."""


class Quantiles:
    """Numbers of which only quantiles are wanted: latencies, sizes.

    A workload's function returns one, alone or as a value of its dict; the run's result then has their number, minimum,
    maximum and quantiles.

    Args:
        numbers: The first numbers.

    Attributes:
        digest: The t-digest, a `datasketches.tdigest_double`.

    Raises:
        WorkloadUnavailableError: The package datasketches is not installed.
    """

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self.digest = _class()(COMPRESSION)
        self.update(numbers)

    def add(self, number: float) -> None:
        """Add one number.

        Raises:
            ValueError: It is NaN or infinite.
        """
        if not math.isfinite(number):
            raise ValueError(f"a quantile is of finite numbers, and this is {number}")
        self.digest.update(float(number))

    def update(self, numbers: Iterable[float]) -> None:
        """Add numbers."""
        for number in numbers:
            self.add(number)

    def merge(self, other: Quantiles) -> None:
        """Add another's numbers. The order of merges can change the digits behind the accuracy: keep it the same."""
        self.digest.merge(other.digest)

    def summary(self) -> dict[str, Any]:
        """`count`, `min`, `max` and the quantiles of `SHOWN`; count alone where there is no number."""
        digest = self.digest
        if digest.is_empty():
            return {"count": 0}
        shown = {name: digest.get_quantile(rank) for name, rank in SHOWN.items()}
        return {
            "count": digest.get_total_weight(),
            "min": digest.get_min_value(),
            "max": digest.get_max_value(),
            **shown,
        }

    def to_bytes(self) -> bytes:
        """For a partial."""
        return bytes(self.digest.serialize())

    @classmethod
    def from_bytes(cls, data: bytes) -> Quantiles:
        """Read what `to_bytes` gave.

        Raises:
            ValueError: It is not that.
        """
        read = cls()
        try:
            read.digest = _class().deserialize(data)
        except (RuntimeError, IndexError, ValueError) as error:
            raise ValueError(f"this is no t-digest: {error}") from None
        return read


def _class() -> Any:
    try:
        from datasketches import tdigest_double  # noqa: PLC0415 - only a workload with quantiles needs it
    except ModuleNotFoundError as error:
        raise WorkloadUnavailableError(
            "Quantiles need the Python package datasketches; name it in the workload's requirements",
            operation="load the workload",
            target="Quantiles",
        ) from error
    return tdigest_double
