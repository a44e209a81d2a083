"""What an API would refuse in a state's Parameters is seen."""

from __future__ import annotations

import pytest

from checks.statemachine import task_arguments
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A required member is missing.",
        lambda c: c.arguments("Migrate Shards").pop("JobDefinition"),
        "JobDefinition is required",
    ),
    Plant(
        "A member of the API's own spelling is taken no notice of.",
        lambda c: c.arguments("Migrate Shards").update(jobQueue="x"),
        "jobQueue is no member of SubmitJobRequest; JobQueue is",
    ),
    Plant(
        "A misspelt member is taken no notice of.",
        lambda c: c.arguments("Migrate Shards").update({"ArrayProperty": {"Size": 2}}),
        "ArrayProperty is no member of SubmitJobRequest; ArrayProperties is",
    ),
    Plant(
        "A misspelt member inside another one counts as well.",
        lambda c: c.arguments("Migrate Shards")["ArrayProperties"].update(size=3),
        "size is no member of ArrayProperties; Size is",
    ),
    Plant(
        "A size that is a string aborts the execution.",
        lambda c: c.arguments("Migrate Shards").update(ArrayProperties={"Size": "2"}),
        "ArrayProperties/Size: must be of type integer, not '2'",
    ),
    Plant(
        "True is no number, whatever Python says.",
        lambda c: c.arguments("Migrate Shards").update(SchedulingPriorityOverride=True),
        "SchedulingPriorityOverride: must be of type integer, not True",
    ),
    Plant(
        "A command is a list.",
        lambda c: c.arguments("Migrate Shards").update(ContainerOverrides={"Command": "migrate"}),
        "Command: must be of type list",
    ),
    Plant(
        "A word of a command is a string.",
        lambda c: c.arguments("Migrate Shards").update(ContainerOverrides={"Command": ["migrate", "--index", 3]}),
        "Command/2: must be of type string, not 3",
    ),
    Plant(
        "The value of a variable is a string.",
        lambda c: c.arguments("Migrate Shards")["ContainerOverrides"].update(
            Environment=[{"Name": "SHARDS", "Value": 3}]
        ),
        "Environment/0/Value: must be of type string, not 3",
    ),
    Plant(
        "A value of a map is a string.",
        lambda c: c.arguments("Migrate Shards").update(Parameters={"shards": 3}),
        "Parameters/shards: must be of type string, not 3",
    ),
    Plant(
        "An object is no list.",
        lambda c: c.arguments("Migrate Shards").update(ContainerOverrides=["migrate"]),
        "ContainerOverrides: must be of type structure",
    ),
    Plant(
        "An enumeration has its words.",
        lambda c: c.arguments("Migrate Shards").update(DependsOn=[{"Type": "N_TO_1"}]),
        "DependsOn/0/Type: must be one of N_TO_N, SEQUENTIAL",
    ),
    Plant(
        "What follows .$ is a path.",
        lambda c: c.arguments("Migrate Shards").update({"JobName.$": "run.job_name"}),
        "JobName.$ takes a path or an intrinsic function, not 'run.job_name'",
    ),
    Plant(
        "An intrinsic function gives the wrong type.",
        lambda c: c.arguments("Migrate Shards")["ContainerOverrides"].update({"Command.$": "States.Format('migrate')"}),
        "Command: must be of type list, and States.Format('migrate') gives a string",
    ),
    Plant(
        "A name is cut from an array by mistake.",
        lambda c: c.arguments("Migrate Shards").update({"JobName.$": "States.Array($.run.job_name)"}),
        "JobName: must be of type string",
    ),
    Plant(
        "A fair-share queue refuses a job without a share.",
        lambda c: c.arguments("Migrate Shards").pop("ShareIdentifier.$"),
        "ShareIdentifier is required",
    ),
    Plant(
        "A job name has no spaces.",
        lambda c: (
            c.arguments("Migrate Shards").pop("JobName.$"),
            c.arguments("Migrate Shards").update(JobName="migrate shards"),
        ),
        "'migrate shards' is no job name",
    ),
    Plant(
        "An array has two children or more.",
        lambda c: c.arguments("Migrate Shards").update(ArrayProperties={"Size": 1}),
        "ArrayProperties/Size: must be 2 to 10000, not 1",
    ),
    Plant(
        "An array has ten thousand children or fewer.",
        lambda c: c.arguments("Migrate Shards").update(ArrayProperties={"Size": 10_001}),
        "must be 2 to 10000, not 10001",
    ),
    Plant(
        "A priority has four digits.",
        lambda c: c.arguments("Migrate Shards").update(SchedulingPriorityOverride=10_000),
        "must be 0 to 9999",
    ),
    Plant(
        "A job is tried ten times at most.",
        lambda c: c.arguments("Migrate Shards").update(RetryStrategy={"Attempts": 11}),
        "RetryStrategy/Attempts: must be 1 to 10",
    ),
    Plant(
        "A time limit below a minute is refused.",
        lambda c: c.arguments("Migrate Shards").update(Timeout={"AttemptDurationSeconds": 59}),
        "must be at least 60",
    ),
    Plant(
        "A job depends on twenty others at most.",
        lambda c: c.arguments("Migrate Shards").update(DependsOn=[{"JobId": "a"}] * 21),
        "DependsOn: must have at most 20 members",
    ),
    Plant(
        "Fargate takes no old-style size.",
        lambda c: c.arguments("Migrate Shards")["ContainerOverrides"].update(Vcpus=2),
        "Vcpus is refused for a Fargate job",
    ),
    Plant(
        "Batch's own variables cannot be set.",
        lambda c: c.arguments("Migrate Shards")["ContainerOverrides"].update(
            Environment=[{"Name": "AWS_BATCH_JOB_ID", "Value": "x"}]
        ),
        "AWS_BATCH_JOB_ID: Batch keeps",
    ),
    Plant(
        "A list in the overrides fails at dispatch.",
        lambda c: c.arguments("Migrate Shards")["ContainerOverrides"].update(
            Environment=[{"Name": "KEYS", "Value": "k" * 9000}]
        ),
        "bytes of overrides",
    ),
    Plant(
        "Lambda's own members are checked as well.",
        lambda c: c.arguments("Read Plan").update(Function="x"),
        "Function is no member of InvocationRequest; FunctionName is",
    ),
    Plant(
        "An API that there is not is seen.",
        lambda c: c.state("Plan").update(Resource="arn:aws:states:::batch:submitJobs.sync"),
        "there is no API batch:submitJobs",
    ),
    Plant(
        "A service that there is not is seen.",
        lambda c: c.state("Plan").update(Resource="arn:aws:states:::batches:submitJob.sync"),
        "there is no API batches:submitJob",
    ),
    Plant(
        "A bare function ARN has no retries of its own kind.",
        lambda c: c.state("Read Plan").update(Resource="${ReadPlanFunctionArn}"),
        "is no service integration",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The comparison with botocore's model, and with Batch's limits, names the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, task_arguments.check(checkout.sources())))
