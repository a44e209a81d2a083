"""The contributions of a shard's items, kept beside its commit: a line each, as far as they are small JSON."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping

from millrace.errors import DamagedFileError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import PartialFile
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


def put_contributions(folder: RunFolder, index: int, kept: Mapping[int, bytes], s3: S3) -> PartialFile | None:
    """Write contributions, by the places of their items, to where their digest says.

    Args:
        folder: The run's folder.
        index: The shard's index.
        kept: The contributions as JSON.
        s3: Where.

    Returns:
        The file; None where there are none.
    """
    if not kept:
        return None
    lines = [b"%d %b\n" % (position, kept[position]) for position in sorted(kept)]
    body = b"".join(lines)
    digest = hashlib.sha256(body).hexdigest()
    uri = folder.contributions(index, digest)
    s3.put(uri, body, content_type="text/plain")
    return PartialFile(str(uri), digest, len(body))


def read_contributions(file: PartialFile, s3: S3) -> dict[int, bytes]:
    """The contributions of a shard, by the places of their items.

    Raises:
        ObjectNotFoundError: They are not there.
        DamagedFileError: They are not as they were written.
    """
    parted = (line.partition(b" ") for line in _read(file, s3).split(b"\n")[:-1])
    return {int(position): text for position, _, text in parted}


def contributed_items(file: PartialFile, s3: S3) -> Collection[int]:
    """Of which items of a shard there are contributions, by their places; raises as `read_contributions` does."""
    body = _read(file, s3)
    count = body.count(b"\n")
    last = body[body.rfind(b"\n", 0, -1) + 1 :]
    if last.startswith(b"%d " % (count - 1)):  # they are in order: of all
        return range(count)
    return {int(line.partition(b" ")[0]) for line in body.split(b"\n")[:-1]}


def _read(file: PartialFile, s3: S3) -> bytes:
    body = s3.read(S3Uri.parse(file.uri))
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise DamagedFileError("it is not what was committed", operation="read the contributions", target=file.uri)
    return body
