"""slow_requests and latencies, called as the jobs call them."""

import gzip
import json

import pytest
from slow_requests import latencies, slow_requests

from millrace import ItemError, try_on

REQUESTS = [
    {"path": f"/{number}", "status": 200 + 300 * (number > 98), "seconds": number / 50} for number in range(101)
]
LOG = gzip.compress("".join(json.dumps(request) + "\n" for request in REQUESTS).encode())


def test_slow_requests_are_rows() -> None:
    rows = try_on(slow_requests, LOG, key="a.log.gz", options={"limit": 1.97}).given
    assert rows == [{"log": "a.log.gz", "path": f"/{number}", "seconds": number / 50} for number in (99, 100)]


def test_quantiles_are_those_of_all_requests() -> None:
    given = try_on(latencies, LOG).given
    assert (given["requests"], given["statuses"]) == (101, {"200": 99, "500": 2})
    assert given["seconds"].summary()["p50"] == pytest.approx(1.0, abs=0.05)


def test_a_line_that_is_no_json_is_the_items_row() -> None:
    with pytest.raises(ItemError, match="line 2 is not JSON"):
        try_on(latencies, '{"status": 200, "seconds": 1}\n{"status"\n')
