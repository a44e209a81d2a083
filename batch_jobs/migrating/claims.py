"""Who works a shard now. A claim saves double work and decides nothing: the commit, written once, does.

A child writes a claim before it works a shard, and anew every minute as long as it does. A child that finds one asks
whether its owner is alive: two live copies of a shard are harmless, and a dead child's claim stops nobody.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.shard_order import is_dead
from millrace.errors import ObjectNotFoundError, StorageError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri

log = logging.getLogger(__name__)


class Claims:
    """The claims of one child, and what it makes of others'.

    Args:
        folder: The run's folder.
        job: The job's surroundings.
    """

    def __init__(self, folder: RunFolder, job: Job) -> None:
        self._folder = folder
        self._job = job
        self._who = (job.settings.job_id, job.settings.array_index)
        self._array = job.settings.job_id.rpartition(":")[0]

    def take(self, shard: int, *, is_claimed: bool = False) -> bool:
        """Claim a shard.

        Args:
            shard: Its index.
            is_claimed: Whether there is known to be a claim.

        Returns:
            Whether to work it. False where another child of the array is at it.
        """
        return self._take(self._folder.claim(shard), is_claimed=is_claimed)

    def take_merge(self) -> bool:
        """Claim the merge; returns whether to do it."""
        return self._take(self._folder.merge_claim)

    def _take(self, uri: S3Uri, *, is_claimed: bool = False) -> bool:
        if not is_claimed and self._job.s3.put_if_absent(uri, self._text(), content_type="application/json"):
            return True
        try:
            with self._job.s3.open(uri) as found:
                text = b"".join(found)
            if self._is_alive(text):
                return False
            # Of a dead child: after a resume or a redrive the whole array comes for it, and one takes it over.
            if self._job.s3.put_if_same(uri, self._text(), found.etag, content_type="application/json"):
                return True
            return not self._is_alive(self._job.s3.read(uri))
        except ObjectNotFoundError:  # it was given back meanwhile
            self._write(uri)
            return True

    def keep(self, shard: int) -> None:
        """Write the claim anew: this child is alive, and at it."""
        self._write(self._folder.claim(shard))

    def give_back(self, shard: int) -> None:
        """Delete the claim: the child has to stop, and another may continue at once."""
        try:
            self._job.s3.delete(self._folder.claim(shard))
        except StorageError as error:  # it will be old soon
            log.warning("a claim could not be given back", extra={"fields": {"shard": shard, "why": str(error)}})

    def _write(self, uri: S3Uri) -> None:
        self._job.s3.put(uri, self._text(), content_type="application/json")

    def _text(self) -> bytes:
        job, child = self._who
        claim = {"job": job, "child": child, "attempt": self._job.settings.attempt, "at": self._job.timestamp()}
        return json.dumps(claim).encode()

    def _is_alive(self, text: bytes) -> bool:
        """Whether a claim is that of a child which may be at work.

        An earlier attempt of this child is dead, or this one would not be. So is each child of another array: Read Plan
        starts one when the one before has ended.
        """
        try:
            claim = read_json(text)
            who = (claim["job"], claim["child"])
            same_array = who[0].rpartition(":")[0] == self._array
            age = self._age(claim)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False  # nothing that a child wrote
        return same_array and who != self._who and not is_dead(age)

    def _age(self, claim: Mapping[str, Any]) -> float:
        age = self._job.now().astimezone(UTC) - datetime.fromisoformat(claim["at"])
        return age.total_seconds()
