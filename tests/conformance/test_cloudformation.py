"""The four Batch types and a state machine in a stack: create, update, delete. (`sam deploy` is a workflow test.)"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.account import ROLE, Account, unique, until

pytestmark = pytest.mark.embedded("its templates name roles and subnets that no account has")

MACHINE = {
    "StartAt": "Run",
    "States": {
        "Run": {
            "Type": "Task",
            "Resource": "arn:aws:states:::batch:submitJob.sync",
            "Parameters": {
                "JobName": "run", "ShareIdentifier": "default",
                "JobQueue": "${Queue}", "JobDefinition": "${Definition}",
            },
            "End": True,
        }
    },
}  # fmt: skip
TEMPLATE: dict[str, Any] = {
    "Parameters": {"MaxVcpus": {"Type": "Number", "Default": 2}},
    "Resources": {
        "Policy": {
            "Type": "AWS::Batch::SchedulingPolicy",
            "Properties": {
                "FairsharePolicy": {"ShareDistribution": [{"ShareIdentifier": "default", "WeightFactor": "0.5"}]},
                "Tags": {"camelCase": "kept"},
            },
        },
        "Environment": {
            "Type": "AWS::Batch::ComputeEnvironment",
            "Properties": {
                "Type": "MANAGED",
                "ReplaceComputeEnvironment": False,
                "ComputeResources": {
                    "Type": "FARGATE", "MaxvCpus": {"Ref": "MaxVcpus"},
                    "Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"],
                },
            },
        },
        "Queue": {
            "Type": "AWS::Batch::JobQueue",
            "Properties": {
                "Priority": "10",
                "SchedulingPolicyArn": {"Fn::GetAtt": ["Policy", "Arn"]},
                "ComputeEnvironmentOrder": [{"Order": 1, "ComputeEnvironment": {"Ref": "Environment"}}],
            },
        },
        "Definition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "Type": "container",
                "PlatformCapabilities": ["FARGATE"],
                "Parameters": {"lowerCase": "kept"},
                "Timeout": {"AttemptDurationSeconds": "3600"},
                "RetryStrategy": {"Attempts": 2, "EvaluateOnExit": [{"OnReason": "*", "Action": "EXIT"}]},
                "ContainerProperties": {
                    "Image": "command:latest",
                    "Command": ["echo", "one"],
                    "ExecutionRoleArn": ROLE,
                    "ReadonlyRootFilesystem": "true",
                    "ResourceRequirements": [{"Type": "VCPU", "Value": 1}, {"Type": "MEMORY", "Value": "2048"}],
                    "Environment": [{"Name": "A", "Value": "b"}],
                    "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-stream-prefix": "p"}},
                },
            },
        },
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "RoleArn": ROLE,
                "DefinitionString": json.dumps(MACHINE),
                "DefinitionSubstitutions": {
                    "Queue": {"Ref": "Queue"}, "Definition": {"Ref": "Definition"},
                },
            },
        },
    },
    "Outputs": {
        "Queue": {"Value": {"Ref": "Queue"}},
        "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "JobQueueArn"]}},
        "Environment": {"Value": {"Fn::GetAtt": ["Environment", "ComputeEnvironmentArn"]}},
        "Policy": {"Value": {"Ref": "Policy"}},
        "Definition": {"Value": {"Ref": "Definition"}},
        "Machine": {"Value": {"Ref": "Machine"}},
    },
}  # fmt: skip


class Stack:
    """A stack of the template, changed by each test."""

    def __init__(self, account: Account) -> None:
        """Create it."""
        self.account, self.name = account, unique("stack")
        self.template = copy.deepcopy(TEMPLATE)
        self.cloudformation = account.client("cloudformation")
        self.cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(self.template))
        self.reached("CREATE_COMPLETE")

    def reached(self, status: str) -> None:
        """Wait until the stack is in this state; any other final state fails the test."""

        def state() -> str:
            found: str = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            return "" if found.endswith("_IN_PROGRESS") else found

        assert until("the stack is done", state) == status, self.failures()

    def failures(self) -> list[str]:
        """Why resources failed."""
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events if "FAILED" in event["ResourceStatus"]]

    def update(self, status: str = "UPDATE_COMPLETE", **parameters: str) -> None:
        """Update the stack to the template as it is now."""
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        self.cloudformation.update_stack(StackName=self.name, TemplateBody=json.dumps(self.template), Parameters=given)
        self.reached(status)

    def properties(self, logical_id: str) -> dict[str, Any]:
        """The properties of a resource, to be changed."""
        found: dict[str, Any] = self.template["Resources"][logical_id]["Properties"]
        return found

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs by name."""
        (stack,) = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def definition(self) -> dict[str, Any]:
        """The current revision."""
        (found,) = self.account.batch.describe_job_definitions(jobDefinitions=[self.outputs["Definition"]])[
            "jobDefinitions"
        ]
        described: dict[str, Any] = found
        return described


@pytest.fixture
def stack(account: Account) -> Iterator[Stack]:
    """A new stack."""
    stack = Stack(account)
    yield stack
    stack.cloudformation.delete_stack(StackName=stack.name)


def test_resources_are_created(account: Account, stack: Stack) -> None:
    """References are ARNs, a definition's with its revision; numbers may be strings, and map keys stay as written."""
    outputs = stack.outputs
    definition = stack.definition()

    assert outputs["Queue"] == outputs["QueueArn"]
    assert outputs["Definition"].endswith(":1")
    assert ":compute-environment/" in outputs["Environment"]
    assert ":scheduling-policy/" in outputs["Policy"]
    assert definition["timeout"] == {"attemptDurationSeconds": 3600}
    assert definition["parameters"] == {"lowerCase": "kept"}
    container = definition["containerProperties"]
    assert container["logConfiguration"]["options"] == {"awslogs-stream-prefix": "p"}
    assert container["environment"] == [{"name": "A", "value": "b"}]
    assert container["readonlyRootFilesystem"] is True
    assert container["resourceRequirements"][0] == {"type": "VCPU", "value": "1"}
    (queue,) = account.batch.describe_job_queues(jobQueues=[outputs["Queue"]])["jobQueues"]
    assert (queue["priority"], queue["schedulingPolicyArn"]) == (10, outputs["Policy"])
    (policy,) = account.batch.describe_scheduling_policies(arns=[outputs["Policy"]])["schedulingPolicies"]
    assert policy["tags"] == {"camelCase": "kept"}
    assert policy["fairsharePolicy"]["shareDistribution"][0]["weightFactor"] == 0.5


def test_the_deployed_machine_runs_the_deployed_job(account: Account, stack: Stack) -> None:
    """The state machine of the stack runs the job of the stack."""
    execution = account.execution(account.start(stack.outputs["Machine"]))

    assert execution["status"] == "SUCCEEDED"
    assert account.output(json.loads(execution["output"])["JobId"]) == ["one"]


def test_environments_and_queues_are_updated_in_place(account: Account, stack: Stack) -> None:
    """A changed limit or priority changes the resource, which keeps its ARN."""
    before = stack.outputs
    stack.properties("Queue")["Priority"] = 20
    stack.update(MaxVcpus="7")

    assert stack.outputs == before
    (environment,) = account.batch.describe_compute_environments(computeEnvironments=[before["Environment"]])[
        "computeEnvironments"
    ]
    assert environment["computeResources"]["maxvCpus"] == 7
    assert account.batch.describe_job_queues(jobQueues=[before["Queue"]])["jobQueues"][0]["priority"] == 20


@pytest.mark.parametrize(("keep", "status"), [(False, "INACTIVE"), (True, "ACTIVE")])
def test_a_changed_definition_is_a_new_revision(account: Account, stack: Stack, keep: bool, status: str) -> None:  # noqa: FBT001
    """The old revision is deregistered unless SkipDeregisterOnUpdate says to keep it; the machine gets the new one."""
    old = stack.outputs["Definition"]
    properties = stack.properties("Definition")
    properties["ContainerProperties"]["Command"] = ["echo", "two"]
    properties["ResourceRetentionPolicy"] = {"SkipDeregisterOnUpdate": keep}
    stack.update()
    new = stack.outputs["Definition"]

    assert new == old.removesuffix("1") + "2"
    (described,) = account.batch.describe_job_definitions(jobDefinitions=[old])["jobDefinitions"]
    assert described["status"] == status
    execution = account.execution(account.start(stack.outputs["Machine"]))
    assert account.output(json.loads(execution["output"])["JobId"]) == ["two"]


def test_deletion(account: Account, stack: Stack) -> None:
    """Deleting the stack deletes its resources, enabled ones too; a retained one stays."""
    stack.template["Resources"]["Policy"]["DeletionPolicy"] = "Retain"
    stack.properties("Queue")["Priority"] = 11
    stack.update()
    outputs = stack.outputs
    stack.cloudformation.delete_stack(StackName=stack.name)
    until(
        "the queue is gone",
        lambda: not account.batch.describe_job_queues(jobQueues=[outputs["Queue"]])["jobQueues"],
    )
    described = account.batch.describe_compute_environments(computeEnvironments=[outputs["Environment"]])

    assert described["computeEnvironments"] == []
    (definition,) = account.batch.describe_job_definitions(jobDefinitions=[outputs["Definition"]])["jobDefinitions"]
    assert definition["status"] == "INACTIVE"
    assert account.batch.describe_scheduling_policies(arns=[outputs["Policy"]])["schedulingPolicies"]


@pytest.mark.parametrize(
    ("logical_id", "change"),
    [
        ("Definition", {"NoSuchProperty": 1}),
        ("Definition", {"Timeout": {"AttemptDurationSeconds": 5}}),
        ("Queue", {"ComputeEnvironmentOrder": []}),
    ],
)
def test_a_wrong_update_is_rolled_back(stack: Stack, logical_id: str, change: dict[str, Any]) -> None:
    """A property that is unknown or refused by the API fails the update, and the stack stays as it was."""
    before = stack.outputs["Queue"]
    stack.properties(logical_id).update(change)
    stack.update("UPDATE_ROLLBACK_COMPLETE")

    assert stack.outputs["Queue"] == before


CHILD: dict[str, Any] = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Parameters": {"Memory": {"Type": "Number"}, "Names": {"Type": "CommaDelimitedList", "Default": ""}},
    "Globals": {"Function": {"Runtime": "python3.11", "Handler": "index.handler"}},
    "Conditions": {"HasNames": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Names"}]}, ""]}]}},
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "Named": {"Type": "AWS::SQS::Queue", "Condition": "HasNames", "Properties": {}},
        "Function": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Role": ROLE, "InlineCode": "def handler(e, c): pass", "MemorySize": {"Ref": "Memory"}},
        },
    },
    "Outputs": {
        "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}},
        "FunctionArn": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}},
    },
}


def test_a_nested_stack_is_transformed_and_keeps_its_attributes(account: Account) -> None:
    """SAM's resources work in a nested stack, and after an update GetAtt still knows what did not change."""
    s3, cloudformation = account.client("s3"), account.client("cloudformation")
    bucket, name = unique("templates"), unique("parent")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="child.json", Body=json.dumps(CHILD).encode())
    parent: dict[str, Any] = {
        "Parameters": {"Memory": {"Type": "Number"}},
        "Resources": {
            "Child": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {
                    "TemplateURL": f"https://s3.amazonaws.com/{bucket}/child.json",
                    "Parameters": {"Memory": {"Ref": "Memory"}},
                },
            }
        },
        "Outputs": {key: {"Value": {"Fn::GetAtt": ["Child", f"Outputs.{key}"]}} for key in CHILD["Outputs"]},
    }

    def deployed(call: Any, status: str, memory: str) -> dict[str, str]:
        call(
            StackName=name,
            TemplateBody=json.dumps(parent),
            Parameters=[{"ParameterKey": "Memory", "ParameterValue": memory}],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )

        def outputs() -> dict[str, str] | None:
            (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
            if found["StackStatus"].endswith("_IN_PROGRESS"):
                return None
            assert found["StackStatus"] == status, cloudformation.describe_stack_events(StackName=name)
            return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

        made: dict[str, str] = until(status, outputs)
        function = account.client("lambda").get_function_configuration(FunctionName=made["FunctionArn"])
        assert function["MemorySize"] == int(memory)
        return made

    made = deployed(cloudformation.create_stack, "CREATE_COMPLETE", "256")
    assert made["QueueArn"].startswith("arn:aws:sqs:")
    queues = account.client("sqs").list_queues()["QueueUrls"]
    assert [url for url in queues if name in url and "-Named-" in url] == [], "its condition is false"
    assert deployed(cloudformation.update_stack, "UPDATE_COMPLETE", "512") == made
    parent["Resources"]["Child"]["Properties"]["Parameters"]["Names"] = "a,b"
    assert deployed(cloudformation.update_stack, "UPDATE_COMPLETE", "512") == made
    queues = account.client("sqs").list_queues()["QueueUrls"]
    assert len([url for url in queues if name in url and "-Named-" in url]) == 1
    cloudformation.delete_stack(StackName=name)


def test_a_nested_template_is_named_by_the_address_of_s3(account: Account) -> None:
    """SAM writes the address of this server into TemplateURL, and deletes only what it finds at S3's own."""
    cloudformation, name = account.client("cloudformation"), unique("named")
    child = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "http://127.0.0.1:1234/bucket/key"}}
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"Child": child}}),
    )
    template = cloudformation.get_template(StackName=name, ChangeSetName="first")["TemplateBody"]
    written = template if isinstance(template, dict) else json.loads(template)
    assert written["Resources"]["Child"]["Properties"]["TemplateURL"] == "https://s3.amazonaws.com/bucket/key"
    cloudformation.delete_stack(StackName=name)
