"""Where the output of an item goes that S3 makes for a workload."""

from __future__ import annotations

from typing import Any

from batch_jobs.workloads import Transferring
from millrace.errors import ErrorCode, ItemError
from millrace.layout import S3Uri, output_fault


def transfer_output(workload: Transferring[Any], source: S3Uri, destination: S3Uri, key: str) -> S3Uri:
    """The output's place.

    Args:
        workload: Names it.
        source: The source folder.
        destination: The destination folder.
        key: The item's whole key.

    Raises:
        ItemError: `KEY_NOT_USABLE`: nothing can be written there.
    """
    output = destination.join(workload.output_key(key[len(source.key) :]))
    reason = output_fault(output)
    if reason:
        raise ItemError(ErrorCode.KEY_NOT_USABLE, reason)
    return output
