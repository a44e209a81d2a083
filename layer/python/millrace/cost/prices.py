"""The table of prices, `prices.toml`: dated, with the source of each figure."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def prices() -> dict[str, Any]:
    """The price table."""
    return tomllib.loads(files("millrace.cost").joinpath("prices.toml").read_text("utf-8"))


def billed_seconds(seconds: float) -> float:
    """What an attempt is paid for: from the start of its image's download, and a minute at least (AWS Fargate pricing).

    Args:
        seconds: From the first to the last moment of its process, as Batch reports them.
    """
    start = prices()["fargate_start"]
    return max(float(start["minimum_billed_seconds"]), float(start["billed_seconds"]) + seconds)


def compute_dollars(billed: float, vcpus: float, gb: float, architecture: str, compute: str) -> float:
    """The price of a job's processors and memory.

    Args:
        billed: What is paid for, in seconds.
        vcpus: The job's vCPUs.
        gb: Its memory in GiB.
        architecture: X86_64 or ARM64.
        compute: FARGATE, FARGATE_SPOT or EC2.
    """
    table = prices()
    fargate = table["fargate"][architecture]
    hour = vcpus * fargate["vcpu_hour"] + gb * fargate["gb_hour"]
    return float(billed / 3600 * table["compute"][compute] * hour)


def request_dollars(puts: float, gets: float) -> float:
    """The price of S3 requests: PUT, COPY, POST and LIST, and all others."""
    s3 = prices()["s3"]
    return float(puts / 1000 * s3["put_per_1000"] + gets / 1000 * s3["get_per_1000"])


def call_dollars(calls: int) -> float:
    """The price of calls of the stack's functions, each taken to last as long as the table says."""
    price, call = prices()["lambda"], prices()["lambda_calls"]
    return float(calls * (price["request"] + call["gb"] * call["seconds"] * price["gb_second"]))


def planning_dollars(seconds: float) -> float:
    """The price of the time that Prepare Run takes to plan a run."""
    return float(seconds * prices()["lambda_calls"]["planning_gb"] * prices()["lambda"]["gb_second"])
