"""Whatever a user answers to the template's parameters, no reference leads to a resource that is not made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from checks.conditions import Resolver, dangling_references, references
from checks.faults import SourceError
from checks.template.deploy_failures import ALL_PARAMETERS, ALL_SECRETS, OWN_NETWORK
from tests.infrastructure.checkout import REAL, Checkout


def _values(parameter: dict[str, Any]) -> st.SearchStrategy[str]:
    """Every kind of answer that the parameter's own bounds let in."""
    match parameter:
        case {"AllowedValues": allowed}:
            return st.sampled_from([str(value) for value in allowed])
        case {"AllowedPattern": pattern}:
            return st.from_regex(pattern, fullmatch=True)
        case {"MinValue": least, "MaxValue": most}:
            return st.integers(int(least), int(most)).map(str)
        case {"Type": "CommaDelimitedList"}:
            return st.lists(st.from_regex("[a-z]{2,6}-[0-9a-f]{8}", fullmatch=True), max_size=3).map(",".join)
        case _:
            return st.sampled_from(["", "{}", '{"source": "s3://a/", "destination": "s3://b/"}'])


ANSWERS = st.fixed_dictionaries({name: _values(parameter) for name, parameter in REAL.expanded["Parameters"].items()})


@settings(max_examples=150, deadline=None)
@given(values=ANSWERS)
@pytest.mark.long
def test_no_reference_dangles(values: dict[str, str]) -> None:
    """For any mix of own or made buckets and network, with or without a schedule, every reference has its target."""
    resolver = Resolver(REAL.expanded, values)
    for condition in REAL.expanded["Conditions"]:
        event(f"{condition} is {resolver.holds(condition)}")
    assert list(map(str, dangling_references(REAL.expanded, values))) == []


SETTINGS: list[dict[str, str]] = [
    {},
    {
        "SourceBucketNames": "my-source/in/,a-b/a/,b-c/b/,c-d/c/d/,d-e/e/", "ResultBucketName": "my-results",
        "PublicBucketNames": "open-data",
        "ManifestLocation": "reports/inventory/",
        "TableNames": "words,import-*", "ScheduleExpression": "rate(1 day)", "ScheduleInput": "{}",
        "UploadRequest": '{"workload": "word-count"}', "UploadWindowSeconds": "0",
        "KmsKeyArn": "arn:aws:kms:eu-west-1:1:key/a",
        "MonthlyBudget": "9",
        "NotificationEmail": "me@example.com", **OWN_NETWORK, **ALL_SECRETS,
        "WorkloadEnvironment": '{"API_URL": "https://example.com"}',
        "WorkloadPolicyArn": "arn:aws:iam::123456789012:policy/p",
    },
    {
        "Compute": "EC2_ARM64", "InstanceTypes": "m7g", "Network": "PRIVATE", "NotificationEmail": "NONE",
        **ALL_PARAMETERS,
    },
    {"Compute": "EC2_GPU", "InstanceTypes": "g5"},
    {"Compute": "FARGATE_ARM64", "MonthlyBudget": "NONE"},
    {"Compute": "EC2", "JobStorage": "100"},
    {"Compute": "FARGATE", "JobStorage": "100"},
]  # fmt: skip
"""Between them they decide every condition both ways."""


@pytest.mark.parametrize("condition", sorted(REAL.expanded["Conditions"]))
def test_each_condition_can_be_true_and_false(condition: str) -> None:
    """No condition is decided for ever, so that the property above looks at both sides of each."""
    assert {Resolver(REAL.expanded, values).holds(condition) for values in SETTINGS} == {True, False}


def test_sees_a_reference_without_its_condition(checkout: Checkout) -> None:
    """A reference to a made subnet dangles where the user brings a network, and only there."""
    checkout.resource("FargateEnvironment")["ComputeResources"]["Subnets"] = [{"Ref": "JobSubnet1"}]
    expanded = checkout.sources().expanded
    assert list(dangling_references(expanded, {})) == []
    (fault,) = dangling_references(expanded, OWN_NETWORK)
    assert str(fault).endswith("Resources/FargateEnvironment: refers to JobSubnet1, which is not there")


def test_sees_a_resource_without_its_condition(checkout: Checkout) -> None:
    """A rule that is made without uploads refers to a queue that is not."""
    del checkout.template["Resources"]["UploadRule"]["Condition"]
    (fault,) = dangling_references(checkout.sources().expanded, {})
    assert "Resources/UploadRule: refers to UploadsQueue" in str(fault)


def test_sees_an_output_without_its_condition(checkout: Checkout) -> None:
    """An output is deployed too, with all that it refers to."""
    checkout.template["Outputs"]["VpcId"] = {"Value": {"Fn::Sub": "${Vpc.Arn} in ${AWS::Region}"}}
    expanded = checkout.sources().expanded
    assert list(dangling_references(expanded, {})) == []
    assert [str(fault) for fault in dangling_references(expanded, OWN_NETWORK)] == [
        "template.yaml, expanded: Outputs/VpcId: refers to Vpc, which is not there"
    ]


@pytest.mark.parametrize(
    ("part", "targets"),
    [
        ({"Ref": "A"}, ["A"]),
        ({"Fn::GetAtt": ["A", "Arn"]}, ["A"]),
        ({"Fn::GetAtt": "A.Arn"}, ["A"]),
        ({"Fn::Sub": "${A}/${B.Arn}/${!C}/${AWS::Region}"}, ["A", "B", "AWS::Region"]),
        ({"Fn::Sub": ["${A}/${Own}", {"Own": {"Ref": "B"}}]}, ["A", "B"]),
        ({"Type": "T", "DependsOn": "A"}, ["A"]),
        ({"Type": "T", "DependsOn": ["A", "B"]}, ["A", "B"]),
        ({"Type": "T", "Properties": {"P": [{"Ref": "A"}, "B"]}}, ["A"]),
    ],
)
def test_finds_references_in_every_form(part: dict[str, Any], targets: list[str]) -> None:
    """Ref, Fn::GetAtt in both forms, Fn::Sub with and without names of its own, and DependsOn."""
    assert list(references(part)) == targets


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::Equals": [{"Ref": "P"}, "x"]}, True),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "P"}, "x"]}]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Equals": ["1", 1]}]}, True),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Equals": ["1", "2"]}]}, False),
        ({"Fn::Or": [{"Fn::Not": [{"Condition": "Yes"}]}, {"Fn::Equals": ["1", "2"]}]}, False),
        ({"Fn::Or": [{"Condition": "Yes"}, {"Fn::Equals": ["1", "2"]}]}, True),
        ({"Fn::Equals": [{"Fn::Join": ["", {"Ref": "L"}]}, "ab"]}, True),
    ],
)
def test_decides_conditions(condition: dict[str, Any], holds: bool) -> None:  # noqa: FBT001  # an expectation
    """Each condition function gives what CloudFormation documents for it."""
    template = {
        "Parameters": {"P": {"Type": "String", "Default": "x"}, "L": {"Type": "CommaDelimitedList", "Default": "a,b"}},
        "Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}, "Asked": condition},
    }
    assert Resolver(template, {}).holds("Asked") is holds


def test_refuses_what_it_cannot_decide() -> None:
    """A function that the resolver does not know stops it; it never guesses."""
    template = {"Conditions": {"Asked": {"Fn::Contains": [["a"], "a"]}}}
    with pytest.raises(SourceError, match="Fn::Contains"):
        Resolver(template, {}).holds("Asked")


def test_drops_what_has_no_value() -> None:
    """AWS::NoValue takes the property, or the element, away."""
    template = {"Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}}}
    nothing = {"Fn::If": ["Yes", {"Ref": "AWS::NoValue"}, {"Ref": "B"}]}
    assert Resolver(template, {}).resolve({"a": nothing, "b": [nothing, 1]}) == {"b": [1]}


def _resources(values: dict[str, str], kind: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of one type that are made under these parameters."""
    resolver = Resolver(REAL.expanded, values)
    return {
        name: resolver.resolve(resource["Properties"])
        for name, resource in REAL.expanded["Resources"].items()
        if resource["Type"] == kind and ("Condition" not in resource or resolver.holds(resource["Condition"]))
    }


@settings(max_examples=100, deadline=None)
@given(values=ANSWERS)
def test_every_queue_has_environments_of_one_kind(values: dict[str, str]) -> None:
    """Fargate and EC2 are never mixed in a queue, and the urgent one has no Spot: Batch refuses the first."""
    environments = _resources(values, "AWS::Batch::ComputeEnvironment")
    kinds = {name: environment["ComputeResources"]["Type"] for name, environment in environments.items()}
    kind = values["Compute"].removesuffix("_ARM64").removesuffix("_GPU")
    wanted = {"FARGATE_SPOT": ["FARGATE_SPOT", "FARGATE"], "FARGATE": ["FARGATE"], "EC2": ["SPOT", "EC2"]}[kind]
    for name, queue in _resources(values, "AWS::Batch::JobQueue").items():
        order = sorted(queue["ComputeEnvironmentOrder"], key=lambda entry: int(entry["Order"]))
        assert len({entry["Order"] for entry in order}) == len(order)
        found = [kinds[entry["ComputeEnvironment"]["Ref"]] for entry in order]
        assert found == (wanted if name == "StandardJobQueue" else wanted[-1:])


@settings(max_examples=50, deadline=None)
@given(values=ANSWERS)
def test_an_instance_holds_its_machine_image(values: dict[str, str]) -> None:
    """No size is asked for by default, when the ECS-optimized image's own 30 GiB stand; EC2 refuses a smaller disk."""
    for template in _resources({**values, "Compute": "EC2"}, "AWS::EC2::LaunchTemplate").values():
        (disk,) = template["LaunchTemplateData"]["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"] is True
        assert disk["Ebs"].get("VolumeSize") == (None if values["JobStorage"] == "21" else {"Ref": "JobStorage"})


ONLY_ON_INSTANCES = {
    "AllocationStrategy", "MinvCpus", "InstanceTypes", "InstanceRole", "LaunchTemplate", "Tags", "BidPercentage",
    "UpdateToLatestImageVersion",
}  # fmt: skip
"""API reference, ComputeResource: "this parameter isn't applicable to jobs on Fargate"."""
ONLY_ON_FARGATE = {"NetworkConfiguration", "RuntimePlatform", "EphemeralStorage", "FargatePlatformConfiguration"}


@settings(max_examples=100, deadline=None)
@given(values=ANSWERS)
def test_nothing_is_asked_of_the_wrong_kind(values: dict[str, str]) -> None:
    """What only instances take is not asked of Fargate, and the other way round."""
    for environment in _resources(values, "AWS::Batch::ComputeEnvironment").values():
        compute = environment["ComputeResources"]
        if compute["Type"].startswith("FARGATE"):
            assert not ONLY_ON_INSTANCES & set(compute)
        else:
            assert compute["AllocationStrategy"] in {"BEST_FIT_PROGRESSIVE", "SPOT_PRICE_CAPACITY_OPTIMIZED"}
            assert environment["ReplaceComputeEnvironment"] is False
    for definition in _resources(values, "AWS::Batch::JobDefinition").values():
        container = definition["ContainerProperties"]
        if definition["PlatformCapabilities"] == ["EC2"]:
            assert not ONLY_ON_FARGATE & set(container)
        else:
            assert {"NetworkConfiguration", "RuntimePlatform"} <= set(container)
        assert container["ReadonlyRootFilesystem"] is True
        assert definition["PropagateTags"] is True


@settings(max_examples=100, deadline=None)
@given(values=ANSWERS)
def test_no_policy_is_wide_open(values: dict[str, str]) -> None:
    """Under no parameters does a role of ours get every resource, but for the actions that know none."""
    without_resource = {
        "ecr:GetAuthorizationToken", "batch:DescribeJobs", "batch:ListJobs", "batch:DescribeJobQueues",
        "batch:DescribeComputeEnvironments",
    }  # fmt: skip
    for name, role in _resources(values, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not any("*" in action for action in actions), name
                if statement["Resource"] == "*":
                    assert all(action in without_resource or action.startswith("logs:") for action in actions), name
