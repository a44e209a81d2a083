"""How much of a run's work is done, how fast it goes, and when it may be over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from console.watch.shard_counts import Committed


@dataclass(frozen=True)
class Work:
    """The work of one execution, as far as its commits show.

    Attributes:
        committed: The shards that are done, those from before included.
        items_per_second: Of this execution alone; None before its first commit.
        bytes_per_second: Likewise.
        seconds_left: Until the last shard is committed at that pace; None where it is unknown.
    """

    committed: Committed
    items_per_second: float | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None

    @classmethod
    def of(
        cls, committed: Committed, planned: Mapping[str, int] | None, *, begun: datetime | None, now: datetime
    ) -> Work:
        """Work out the pace.

        Args:
            committed: What the commits say.
            planned: shards, items and bytes of the plan; None where they are not known.
            begun: When this execution began to migrate; None where it has not.
            now: When it was looked; when it had ended, for a run that has.
        """
        seconds = (now - begun).total_seconds() if begun else 0.0
        if seconds <= 0 or not committed.fresh.items:
            return cls(committed)
        pace = committed.fresh.items / seconds
        left = None if planned is None else max(0, planned["items"] - committed.counts.items) / pace
        return cls(committed, pace, committed.fresh.bytes / seconds, left)
