"""What a run that has ended came to: worked out while Batch still knows its jobs, and kept in the run folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.events import RunEnded
from millrace.cost.run_cost import run_cost, write_cost
from millrace.errors import StorageError
from millrace.s3.verbs import S3

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient


@dataclass(frozen=True, slots=True)
class RunCosts:
    """Works out what runs cost.

    Attributes:
        batch: A boto3 Batch client.
        queues: The ARNs of the stack's queues.
    """

    batch: BatchClient
    queues: tuple[str, ...]

    def of_run(self, ended: RunEnded, s3: S3) -> dict[str, Any] | None:
        """What the run has cost; None where nothing is known of its jobs.

        A run's end is told without its cost rather than late: Batch that is busy or refuses is no error.

        Raises:
            StorageError: S3 is broken or busy: trying again helps.
        """
        if ended.folder is None or not self.queues:
            return None
        try:
            cost = run_cost(self.batch, self.queues, ended.folder, s3)
        except (ClientError, BotoCoreError):
            return None
        except StorageError as error:
            if not error.of_item:
                raise
            return None  # the folder's name is too long for S3: the run was refused, and cost nothing
        if not cost["usage"]["attempts"]:
            return None
        with suppress(StorageError):  # it is told all the same
            write_cost(ended.folder, s3, cost)
        return cost
