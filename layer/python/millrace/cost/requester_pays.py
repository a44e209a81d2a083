"""What reading a source costs whose owner has requesters pay: the share of a run's requests, and the transfer."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from millrace.cost.prices import prices, request_dollars
from millrace.cost.s3_requests import LIST_PAGE
from millrace.text import bytes_text, dollars_text, plural


def source_bill(*, listed: int, items: float, size: float) -> dict[str, Any]:
    """What this account is billed for reading a source, instead of its owner.

    Args:
        listed: How many objects the plan listed.
        items: How many items were worked, each read once.
        size: Their bytes.

    Returns:
        list_requests and get_requests, of the run's requests those that read the source; request_dollars, which the
        run's S3 requests have in them already; bytes; and transfer_dollars, what these cost on their way to another
        Region. Within the bucket's own they cost nothing.
    """
    lists, reads = ceil(listed / LIST_PAGE), round(items)
    transfer = size / 1e9 * prices()["s3"]["transfer_to_region_per_gb"]
    return {
        "list_requests": lists,
        "get_requests": reads,
        "request_dollars": round(request_dollars(lists, reads), 8),
        "bytes": round(size),
        "transfer_dollars": round(transfer, 8),
    }


def source_bill_text(bill: Mapping[str, Any]) -> str:
    """The same as a sentence."""
    requests = f"{plural(bill['get_requests'], 'read')} and {plural(bill['list_requests'], 'listing')}"
    return (
        f"Requester pays: this account is billed for {requests} of the source, "
        f"{dollars_text(bill['request_dollars'])} of the S3 requests above, and for the transfer of "
        f"{bytes_text(bill['bytes'])}: nothing within the bucket's Region, else about "
        f"{dollars_text(bill['transfer_dollars'])} on top."
    )
