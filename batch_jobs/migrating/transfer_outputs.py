"""Where the output of an item goes that S3 makes for a workload."""

from __future__ import annotations

from typing import Any

from millrace.errors import ErrorCode, ItemError
from millrace.layout import S3Uri, output_fault
from millrace.workload.contract import ServerSideCopy


def transfer_output(workload: ServerSideCopy[Any], source: S3Uri, destination: S3Uri, key: str) -> S3Uri:
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
