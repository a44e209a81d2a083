"""What the template promises that no linter knows: order of deletion, ways out, keys, log levels, versions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from checks.conditions import Resolver, references
from checks.security.policies import _Plain
from checks.sources import TEMPLATE as TEMPLATE_FILE
from checks.template.deploy_failures import COMBINATIONS
from checks.template.job_definitions import MEMORY_MIB
from console.find.stack import job_size
from tests.infrastructure.checkout import REAL

TEMPLATE = REAL.expanded
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
OWN_BUCKETS = {"SourceBucketNames": "my-source", "ResultBucketName": "my-results"}


def made(values: dict[str, str], kinds: set[str]) -> dict[str, Any]:
    """The resources of these types that there are under these parameters, conditions decided."""
    resolver = Resolver(TEMPLATE, values)
    return {
        name: resolver.resolve(resource)
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] in kinds and ("Condition" not in resource or resolver.holds(resource["Condition"]))
    }


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS)
def test_jobs_keep_their_way_out_until_they_have_ended(values: dict[str, str]) -> None:
    """The stack of the environments refers to that of the network, so that CloudFormation deletes it before."""
    root = REAL.file(TEMPLATE_FILE)
    resolver = Resolver(root, values)
    capacity = root["Resources"]["Capacity"]
    environments = {name for name, each in TEMPLATE["Resources"].items() if each["Type"].endswith("ComputeEnvironment")}
    assert len(environments) == 4
    assert environments <= set(REAL.file(capacity["Properties"]["TemplateURL"])["Resources"])
    found = "JobNetwork" in set(references(resolver.resolve(capacity)))
    assert found is resolver.holds("CreateNetwork")


@pytest.mark.parametrize("level", REAL.template["Parameters"]["LogLevel"]["AllowedValues"])
def test_the_log_level_reaches_lambda(level: str) -> None:
    """Lambda drops lines below its own level, INFO by default, whatever is logged; it has one word of its own."""
    functions = made({"LogLevel": level}, {"AWS::Lambda::Function"})
    for function in functions.values():
        asked = function["Properties"]["LoggingConfig"]["ApplicationLogLevel"]
        assert asked == {"Fn::FindInMap": ["LambdaLogLevels", {"Ref": "LogLevel"}, "Name"]}
    word = TEMPLATE["Mappings"]["LambdaLogLevels"][level]["Name"]
    assert word == {"WARNING": "WARN"}.get(level, level)
    assert len(functions) == 6


def test_no_rule_rewrites_an_event() -> None:
    """A key with quotes and backslashes passes through no template of EventBridge: functions get the whole event."""
    rules = [each for each in TEMPLATE["Resources"].values() if each["Type"] == "AWS::Events::Rule"]
    targets = [target for rule in rules for target in rule["Properties"]["Targets"]]
    assert len(targets) >= 3
    assert [target for target in targets if target.keys() & {"InputTransformer", "InputPath"}] == []


@pytest.mark.parametrize("compute", ["FARGATE", "EC2"])
def test_a_volume_has_a_host_on_ec2_alone(compute: str) -> None:
    """Fargate's volumes have no host."""
    for definition in made({"Compute": compute}, {"AWS::Batch::JobDefinition"}).values():
        (volume,) = definition["Properties"]["ContainerProperties"]["Volumes"]
        assert volume == ({"Name": "scratch", "Host": {}} if compute == "EC2" else {"Name": "scratch"})


def endpoint(name: str, values: dict[str, str]) -> list[dict[str, Any]]:
    """The statements of an endpoint's policy as plain JSON."""
    properties = made(values, {"AWS::EC2::VPCEndpoint"})[name]["Properties"]
    statements: list[dict[str, Any]] = _Plain(TEMPLATE, Resolver(TEMPLATE, values)).value(
        properties.get("PolicyDocument", {"Statement": []})
    )["Statement"]
    return statements


def allowed(statements: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The resources that a policy lets through, by action."""
    return {each["Action"]: each["Resource"] for each in statements if each["Effect"] == "Allow"}


@pytest.mark.parametrize("manifest", ["", "reports/inventory/"])
def test_a_private_network_reaches_the_stacks_buckets_alone(manifest: str) -> None:
    """Not even with keys of another account can a job carry data to another bucket."""
    values = {"Network": "PRIVATE", "ManifestLocation": manifest, **OWN_BUCKETS}
    assert allowed(endpoint("S3Endpoint", values)) == {
        "s3:*": [
            *("arn:aws:s3:::my-source", "arn:aws:s3:::my-source/*"),
            *["arn:aws:s3:::-", "arn:aws:s3:::-/*"] * 4,  # no other source
            *("arn:aws:s3:::my-results", "arn:aws:s3:::my-results/*"),
            *(["arn:aws:s3:::reports/inventory/*"] if manifest else []),
        ],
        "s3:GetObject": "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*",
    }


@pytest.mark.parametrize(("tables", "names"), [("", []), ("words,import-*", ["words", "import-*", "-", "-", "-"])])
def test_a_private_network_reaches_the_named_tables_alone(tables: str, names: list[str]) -> None:
    """Without a table nothing is let by."""
    statements = endpoint("DynamoDbEndpoint", {"Network": "PRIVATE", "TableNames": tables})
    arns = [f"arn:aws:dynamodb:us-east-1:123456789012:table/{name}" for name in names]
    assert allowed(statements) == ({"dynamodb:*": arns} if names else {})


def test_a_public_network_has_no_such_bounds() -> None:
    """There the endpoints only save the way, and a workload of one's own may read elsewhere."""
    assert endpoint("S3Endpoint", {}) == endpoint("DynamoDbEndpoint", {}) == []


def test_every_log_group_takes_the_key() -> None:
    """With a key of one's own the logs are encrypted with it too."""
    with_key, without = (made(values, {"AWS::Logs::LogGroup"}) for values in ({"KmsKeyArn": KEY}, {}))
    assert {group["Properties"].get("KmsKeyId", {}).get("Ref") for group in with_key.values()} == {"KmsKeyArn"}
    assert [group for group in without.values() if "KmsKeyId" in group["Properties"]] == []
    assert len(with_key) == 3


def test_what_may_run_is_told_to_all_that_look() -> None:
    """Prepare Run, and the jobs that make a plan and that read it."""
    definitions = made({}, {"AWS::Batch::JobDefinition"})
    told = [each["Properties"]["ContainerProperties"]["Environment"] for each in definitions.values()]
    told.append([
        {"Name": name, "Value": value}
        for name, value in TEMPLATE["Resources"]["PrepareRunFunction"]["Properties"]["Environment"]["Variables"].items()
    ])  # fmt: skip
    assert len(told) == 5
    for variables in told:
        assert {"Name": "MILLRACE_ALLOWED_WORKLOADS", "Value": {"Ref": "AllowedWorkloads"}} in variables


def test_made_buckets_keep_what_is_overwritten() -> None:
    """Versions are kept for 30 days, and then deleted with the markers that they leave."""
    buckets = made({}, {"AWS::S3::Bucket"})
    for bucket in buckets.values():
        properties = bucket["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        found = [each for each in properties["LifecycleConfiguration"]["Rules"] if each["Id"] == "old-versions"]
        (rule,) = found
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        assert rule["ExpiredObjectDeleteMarker"] is True
    assert len(buckets) == 2


def test_every_size_is_what_it_says() -> None:
    """The mapping has a row for each size that may be chosen, and the console reads the name as the mapping has it."""
    rows = TEMPLATE["Mappings"]["JobSizes"]
    assert list(rows) == TEMPLATE["Parameters"]["JobSize"]["AllowedValues"]
    for name, row in rows.items():
        assert job_size({"JobSize": name}) == (float(row["Vcpus"]), int(row["MiB"]))
    assert job_size({}) == job_size({"JobSize": TEMPLATE["Parameters"]["JobSize"]["Default"]})
    assert {row["Vcpus"] for row in rows.values()} == set(MEMORY_MIB)


@pytest.mark.parametrize("name", sorted(REAL.template["Mappings"]["JobSizes"]))
def test_a_size_larger_than_the_stack_is_refused(name: str) -> None:
    """Each size with more than one vCPU has its rule, so that no job waits for room that there can never be."""
    vcpus = float(TEMPLATE["Mappings"]["JobSizes"][name]["Vcpus"])
    rules = [
        rule
        for rule in TEMPLATE["Rules"].values()
        if name in rule["RuleCondition"].get("Fn::Contains", [[]])[0] and "MaxvCpus" in str(rule["Assertions"])
    ]
    refused = [each for rule in rules for each in rule["Assertions"][0]["Assert"]["Fn::Not"][0]["Fn::Contains"][0]]
    assert refused == [str(number) for number in range(1, int(vcpus))]


def test_an_upload_starts_the_request_that_the_parameter_names() -> None:
    """The request's members are in the request of each run, with the two buckets."""
    request = '{"workload": "word-count", "options": {"top": 5}, "queue": "urgent"}'
    assert re.search(TEMPLATE["Parameters"]["UploadRequest"]["AllowedPattern"], request)
    values = {"UploadRequest": request, **OWN_BUCKETS}
    function = made(values, {"AWS::Lambda::Function"})["StartUploadsFunction"]["Properties"]
    asked = _Plain(TEMPLATE, Resolver(TEMPLATE, values)).value(function["Environment"]["Variables"]["UPLOAD_REQUEST"])
    assert json.loads(asked) == {
        **json.loads(request), "source": "s3://my-source/", "destination": "s3://my-results/uploads/",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("compute", "architecture", "gpus"),
    [("FARGATE_SPOT", "X86_64", 0), ("FARGATE_ARM64", "ARM64", 0), ("EC2_ARM64", None, 0), ("EC2_GPU", None, 1)],
)
def test_compute_says_architecture_and_gpus(compute: str, architecture: str | None, gpus: int) -> None:
    """Fargate is asked for the image's architecture, on EC2 the instances bring it; only migrate jobs get a GPU."""
    values = {"Compute": compute, "InstanceTypes": "g5"}
    for name, definition in made(values, {"AWS::Batch::JobDefinition"}).items():
        container = Resolver(TEMPLATE, values).resolve(definition)["Properties"]["ContainerProperties"]
        assert container.get("RuntimePlatform", {}).get("CpuArchitecture") == architecture
        asked = [each["Value"] for each in container["ResourceRequirements"] if each["Type"] == "GPU"]
        assert asked == (["1"] * gpus if name.startswith("Migrate") else []), name


def test_an_hour_without_a_slot_ends_no_run() -> None:
    """Whatever waits for a slot may wait for a day: a state allows it beside the longest attempts, and no queue cancels
    for lack of capacity sooner. An attempt is timed by Batch from its start.
    """
    day = 86_400
    (machine,) = REAL.machines
    definition = json.loads(machine.text)
    states = [state for state in definition["States"].values() if "batch:" in state.get("Resource", "")]
    limits = [state["TimeoutSeconds"] for state in states]
    assert len(limits) == 6
    definitions = made({}, {"AWS::Batch::JobDefinition"}).values()
    attempts = max(int(each["Properties"]["RetryStrategy"]["Attempts"]) for each in definitions)
    longest = int(TEMPLATE["Parameters"]["AttemptSeconds"]["Default"]) * attempts
    assert all(limit >= longest + day for limit in limits)
    queues = [each for each in TEMPLATE["Resources"].values() if each["Type"] == "AWS::Batch::JobQueue"]
    waits = [
        action["MaxTimeSeconds"]
        for queue in queues
        for action in queue["Properties"]["JobStateTimeLimitActions"]
        if "CAPACITY" in action["Reason"]
    ]
    assert len(queues) == len(waits) == 2
    assert all(wait >= day for wait in waits)


def test_read_plan_knows_how_many_jobs_run_at_once() -> None:
    """It has the settings that the jobs have, and what the compute environments and the jobs have."""
    read_plan = TEMPLATE["Resources"]["ReadPlanFunction"]["Properties"]["Environment"]["Variables"]
    definitions = made({}, {"AWS::Batch::JobDefinition"}).values()
    for each in definitions:
        told = {pair["Name"]: pair["Value"] for pair in each["Properties"]["ContainerProperties"]["Environment"]}
        for name in ("MILLRACE_MAX_VCPUS", "MILLRACE_JOB_VCPUS"):
            assert read_plan[name] == told[name]
        needs = each["Properties"]["ContainerProperties"]["ResourceRequirements"]
        has = {need["Type"]: need["Value"] for need in needs}
        # What Read Plan asks for in the definition's place is what that says.
        assert has == {"VCPU": read_plan["MILLRACE_JOB_VCPUS"], "MEMORY": read_plan["MILLRACE_JOB_MIB"]}
    gpus = made({"Compute": "EC2_GPU"}, {"AWS::Batch::JobDefinition"})["MigrateAndMergeJobDefinition"]
    assert gpus["Properties"]["ContainerProperties"]["ResourceRequirements"][-1] == {"Type": "GPU", "Value": "1"}
    assert read_plan["MILLRACE_COMPUTE"] == {"Ref": "Compute"}
    for each in made({}, {"AWS::Batch::ComputeEnvironment"}).values():
        assert read_plan["MILLRACE_MAX_VCPUS"] == each["Properties"]["ComputeResources"]["MaxvCpus"]
