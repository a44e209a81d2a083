"""A retry of more, or less, than the failed call is seen."""

from __future__ import annotations

import pytest

from checks.statemachine import retries
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "Another service's errors are named one by one too.",
        lambda c: c.state("Plan").update(
            Resource="arn:aws:states:::sns:publish", Retry=[{"ErrorEquals": ["States.ALL"]}]
        ),
        "retries States.ALL",
    ),
    Plant(
        "A retried job failure runs the whole array again.",
        lambda c: c.state("Migrate Shards")["Retry"][0]["ErrorEquals"].append("States.TaskFailed"),
        "retries States.TaskFailed",
    ),
    Plant(
        "States.ALL includes the failure of the job.",
        lambda c: c.state("Plan")["Retry"].append({"ErrorEquals": ["States.ALL"]}),
        "retries States.ALL",
    ),
    Plant(
        "A job that ran out of time would run out of it again.",
        lambda c: c.state("Merge")["Retry"][0].update(ErrorEquals=["States.Timeout"]),
        "retries States.Timeout",
    ),
    Plant(
        "A wrong request stays wrong.",
        lambda c: c.state("Plan")["Retry"][0]["ErrorEquals"].append("Batch.ClientException"),
        "retries Batch.ClientException",
    ),
    Plant(
        "Runs were lost where only one of Batch's names was listed.",
        lambda c: c.state("Plan")["Retry"][0]["ErrorEquals"].remove("Batch.AWSBatchException"),
        "does not retry Batch.AWSBatchException",
    ),
    Plant(
        "A state without any retry fails on the first throttle.",
        lambda c: c.state("Migrate And Merge").pop("Retry"),
        "does not retry Batch.TooManyRequestsException",
    ),
    Plant(
        "A throttled Lambda call passes by itself.",
        lambda c: c.state("Read Plan")["Retry"][0]["ErrorEquals"].remove("Lambda.TooManyRequestsException"),
        "does not retry Lambda.TooManyRequestsException",
    ),
    Plant(
        "An answer of Lambda that never came back is asked for again.",
        lambda c: c.state("Prepare Run")["Retry"][0]["ErrorEquals"].remove("Lambda.ClientExecutionTimeoutException"),
        "does not retry Lambda.ClientExecutionTimeoutException",
    ),
    Plant(
        "A wrong input must fail at once.",
        lambda c: c.state("Prepare Run")["Retry"][0]["ErrorEquals"].append("InvalidRunRequest"),
        "retries InvalidRunRequest",
    ),
    Plant(
        "Without jitter all runs come back at the same moment.",
        lambda c: c.state("Plan")["Retry"][0].pop("JitterStrategy"),
        "JitterStrategy FULL",
    ),
    Plant(
        "Without a bound the waits double for ever.",
        lambda c: c.state("Plan")["Retry"][0].pop("MaxDelaySeconds"),
        "MaxDelaySeconds",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The rules for retries name the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, retries.check(checkout.sources())))
