"""What a shard's items gave, kept beside its commit as far as it is small JSON, so that a later run can rebuild it."""

from __future__ import annotations

import logging

from millrace.layout import RunFolder
from millrace.records.commit import PartialFile
from millrace.records.contributions import put_contributions
from millrace.records.outcome import Outcome
from millrace.s3.verbs import S3
from millrace.workload.contribution import ContributionTexts

log = logging.getLogger(__name__)

MOST_BYTES = 16 << 20
"""Of one shard, no more is kept: it is in memory until the shard is committed."""


class Contributions:
    """What is kept of one shard.

    Args:
        workload: The workload.
    """

    def __init__(self, workload: object) -> None:
        self._texts = ContributionTexts(workload)
        self._kept: dict[int, bytes] = {}
        self._bytes = 0

    def add(self, position: int, outcome: Outcome, contribution: object) -> None:
        """Keep what the item at a place of the shard gave, if it is small; before the partial takes it."""
        if outcome.status != "SUCCEEDED" or self._bytes > MOST_BYTES:
            return
        try:
            text = self._texts.of(contribution)
        except (TypeError, ValueError, RecursionError) as error:  # of a user's own: it is worked again, some day
            log.warning("a contribution is not kept", extra={"fields": {"position": position, "why": repr(error)}})
            return
        if text is not None:
            self._kept[position] = text
            self._bytes += len(text)

    def write(self, folder: RunFolder, index: int, s3: S3) -> PartialFile | None:
        """Write what is kept; None where nothing is."""
        return put_contributions(folder, index, self._kept, s3)
