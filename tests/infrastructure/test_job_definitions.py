"""What Batch refuses in a job definition, or finds out late, is seen."""

from __future__ import annotations

import pytest

from checks.template import job_definitions
from millrace import errors
from tests.infrastructure.checkout import Checkout, Plant


def attempts_by_parameter(checkout: Checkout, **bounds: int) -> None:
    """Let a parameter with these bounds say how often a job is tried."""
    checkout.template["Parameters"]["Attempts"] = {"Type": "Number", "Default": 3, **bounds}
    checkout.resource("MigrateJobDefinition")["RetryStrategy"]["Attempts"] = {"Ref": "Attempts"}


PLANTS = [
    Plant(
        "A job is tried ten times at most.",
        lambda c: c.resource("MigrateJobDefinition")["RetryStrategy"].update(Attempts=11),
        "can be 11, and Batch takes 1 to 10",
    ),
    Plant(
        "A parameter lets in what Batch refuses.",
        lambda c: attempts_by_parameter(c, MinValue=1, MaxValue=20),
        "can be 20, and Batch takes 1 to 10",
    ),
    Plant(
        "A parameter without a bound lets everything in.",
        lambda c: attempts_by_parameter(c, MinValue=1),
        "can be inf, and Batch takes 1 to 10",
    ),
    Plant(
        "Without a number of attempts a lost host fails the run.",
        lambda c: c.resource("MigrateJobDefinition")["RetryStrategy"].pop("Attempts"),
        "MigrateJobDefinition/RetryStrategy/Attempts: is not set",
    ),
    Plant(
        "A rule by words misses what has other words elsewhere, and one bad start fails an array of thousands.",
        lambda c: c.resource("MigrateJobDefinition")["RetryStrategy"]["EvaluateOnExit"].append(
            {"OnReason": "*", "Action": "EXIT"}
        ),
        "MigrateJobDefinition/RetryStrategy/EvaluateOnExit: must be",
    ),
    Plant(
        "Bad input stays bad: three attempts cost three times as much.",
        lambda c: c.resource("PlanJobDefinition")["RetryStrategy"]["EvaluateOnExit"].pop(0),
        "PlanJobDefinition/RetryStrategy/EvaluateOnExit: must be",
    ),
    Plant(
        "The digits 2* are 255 too, which is no answer of ours.",
        lambda c: c.resource("MergeJobDefinition")["RetryStrategy"]["EvaluateOnExit"][0].update(OnExitCode="2*"),
        "MergeJobDefinition/RetryStrategy/EvaluateOnExit: must be",
    ),
    Plant(
        "On EC2 a job without a Region fails at its first request.",
        lambda c: c.container("MigrateJobDefinition")["Environment"].pop(0),
        "MigrateJobDefinition: sets no AWS_REGION",
    ),
    Plant(
        "Fargate's volumes have no host.",
        lambda c: c.container("MergeJobDefinition")["Volumes"][0].update(Host={}),
        "MergeJobDefinition: its volume scratch has a Host on Fargate too",
    ),
    Plant(
        "A job without a time limit can run for ever.",
        lambda c: c.resource("MigrateJobDefinition").pop("Timeout"),
        "MigrateJobDefinition/Timeout: is not set",
    ),
    Plant(
        "A time limit below a minute is refused.",
        lambda c: c.template["Parameters"]["AttemptSeconds"].update(MinValue=30),
        "can be 30, and Batch takes at least 60",
    ),
    Plant(
        "An update deregisters the revision that runs in flight use.",
        lambda c: c.resource("MigrateJobDefinition").pop("ResourceRetentionPolicy"),
        "has no SkipDeregisterOnUpdate",
    ),
    Plant(
        "A root that can be written to keeps what an intruder brings.",
        lambda c: c.container("MigrateJobDefinition").pop("ReadonlyRootFilesystem"),
        "MigrateJobDefinition: has no ReadonlyRootFilesystem",
    ),
    Plant(
        "An image of one's own may have forgotten its user.",
        lambda c: c.container("MigrateJobDefinition").pop("User"),
        "its User is root, or the image's own choice",
    ),
    Plant(
        "Root by its number is root.",
        lambda c: c.container("MigrateJobDefinition").update(User="0:65534"),
        "its User is root, or the image's own choice",
    ),
    Plant(
        "A privileged container is the host.",
        lambda c: c.container("MigrateJobDefinition").update(Privileged=True),
        "MigrateJobDefinition: is Privileged",
    ),
    Plant(
        "Python as the first process gets no SIGTERM that it has no handler for.",
        lambda c: c.container("PlanJobDefinition")["LinuxParameters"].pop("InitProcessEnabled"),
        "PlanJobDefinition: has no InitProcessEnabled",
    ),
    Plant(
        "A tag in the definition can change between two jobs of a run.",
        lambda c: c.container("MergeJobDefinition").update(Image="millrace:latest"),
        "MergeJobDefinition: its Image must be a parameter",
    ),
    Plant(
        "A tag in the parameter can change as well.",
        lambda c: c.template["Parameters"]["Image"].update(AllowedPattern=".*"),
        "a tag can change during a run",
    ),
    Plant(
        "Without an execution role no image is pulled.",
        lambda c: c.container("PlanJobDefinition").pop("ExecutionRoleArn"),
        "PlanJobDefinition: has no ExecutionRoleArn",
    ),
    Plant(
        "Every size must be one that Fargate has.",
        lambda c: c.template["Mappings"]["JobSizes"]["1x2"].update(MiB="1024"),
        "1 vCPU with 1024 MiB: Fargate takes 2048 to 8192 MiB",
    ),
    Plant(
        "The number of vCPUs must be one that Fargate has.",
        lambda c: c.template["Mappings"]["JobSizes"]["1x2"].update(Vcpus="3"),
        "3 vCPU with 2048 MiB: Fargate takes nothing",
    ),
    Plant(
        "A constant size counts as well.",
        lambda c: c.container("MergeJobDefinition").update(
            ResourceRequirements=[{"Type": "VCPU", "Value": "4"}, {"Type": "MEMORY", "Value": "4096"}]
        ),
        "4 vCPU with 4096 MiB",
    ),
    Plant(
        "A queue can never get a fair-share policy later.",
        lambda c: c.resource("StandardJobQueue").pop("SchedulingPolicyArn"),
        "has no SchedulingPolicyArn",
    ),
    Plant(
        "A role of its own keeps a compute environment from updates in place.",
        lambda c: c.resource("FargateEnvironment").update(ServiceRole="arn:aws:iam::123456789012:role/batch"),
        "has a ServiceRole",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The rules for job definitions and queues name the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, job_definitions.check(checkout.sources())))


def test_the_final_exit_codes_are_those_of_the_errors() -> None:
    """The rules name every exit code of ours that a new attempt cannot change, and no other."""
    codes = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    assert {rule["OnExitCode"] for rule in job_definitions.FINAL_RULES} == {str(code) for code in codes - {1}}
