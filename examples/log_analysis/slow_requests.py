"""Logs in JSON Lines: a table of the slow requests, and the quantiles of all requests' seconds."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from millrace import Item, ItemBody, Quantiles, workload


@workload(splits="lines")
def slow_requests(item: Item, body: ItemBody, *, limit: float = 1.0) -> Iterator[dict[str, Any]]:
    """Give the slow requests, one row each: rows.csv.

    Args:
        limit: How many seconds a request may take.
    """
    for record in body.json_lines():
        if record["seconds"] > limit:
            yield {"log": item.key, "path": record["path"], "seconds": record["seconds"]}


@workload(splits="lines")
def latencies(body: ItemBody) -> dict[str, Any]:
    """Count the requests by status, and give the quantiles of their seconds."""
    seconds, statuses = Quantiles(), Counter[str]()
    for record in body.json_lines():
        seconds.add(record["seconds"])
        statuses[str(record["status"])] += 1
    return {"requests": statuses.total(), "seconds": seconds, "statuses": statuses}
