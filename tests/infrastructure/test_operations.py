"""Who hears of what goes wrong, what is kept of it, and what it costs whom: each point fails when it is taken away."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from checks.conditions import Resolver, dangling_references
from tests.infrastructure.checkout import REAL

TEMPLATE = REAL.expanded
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
TOPIC = {"Ref": "NotificationTopic"}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of one type, whatever its condition."""
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def alarms(**values: str) -> dict[str, dict[str, Any]]:
    """The alarms under these parameters."""
    resolver = Resolver(TEMPLATE, values)
    return {name: resolver.resolve(each) for name, each in of_type("AWS::CloudWatch::Alarm").items()}


@pytest.mark.parametrize(
    ("namespace", "metric", "dimensions", "statistic"),
    [
        ("AWS/States", "ExecutionsFailed", {"StateMachineArn": {"Ref": "MigrationStateMachine"}}, "Sum"),
        ("AWS/States", "ExecutionsTimedOut", {"StateMachineArn": {"Ref": "MigrationStateMachine"}}, "Sum"),
        ("Millrace", "QueueBlocked", {"service": {"Ref": "AWS::StackName"}}, "Sum"),
        ("Millrace", "LongestWaitMinutes", {"service": {"Ref": "AWS::StackName"}}, "Maximum"),
        (
            "AWS/SQS", "ApproximateNumberOfMessagesVisible",
            {"QueueName": {"Fn::GetAtt": ["UndeliveredQueue", "QueueName"]}}, "Maximum",
        ),
    ],
)  # fmt: skip
def test_there_is_an_alarm(namespace: str, metric: str, dimensions: dict[str, Any], statistic: str) -> None:
    """Failed runs, runs out of time, blocked queues, the wait of a queue's first job, undelivered notifications."""
    (alarm,) = (each for each in alarms().values() if (each["Namespace"], each["MetricName"]) == (namespace, metric))
    assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == dimensions
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == (statistic, "GreaterThanOrEqualToThreshold")
    assert alarm["Threshold"] in (1, 60)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_alarms_reach_the_topic() -> None:
    """Whoever subscribes to the stack's topic hears of every alarm."""
    for name, alarm in alarms().items():
        assert alarm["AlarmActions"] == [TOPIC], name


NOTIFICATION_TYPES = {
    "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription", "AWS::KMS::Key", "AWS::Events::EventBus",
    "AWS::DynamoDB::Table", "AWS::Lambda::EventInvokeConfig",
}  # fmt: skip


@pytest.mark.parametrize("key", ["", "arn:aws:kms:eu-west-1:1:key/a"])
def test_notifications_can_be_left_out(key: str) -> None:
    """NONE makes no function, topic, bus, table or key for them; alarms stay and have no action; uploads keep their
    dead-letter queue, which only the rules that start runs may then fill.
    """
    values = {"NotificationEmail": "NONE", "KmsKeyArn": key, "UploadRequest": '{"workload": "word-count"}'}
    resolver = Resolver(TEMPLATE, values)
    made = {
        name: each for name, each in RESOURCES.items() if "Condition" not in each or resolver.holds(each["Condition"])
    }
    found = {name for name, each in made.items() if each["Type"] in NOTIFICATION_TYPES}
    assert [name for name in found if not name.startswith("StartNextFunction")] == []
    assert [name for name in made if name.startswith("NotifyFunction")] == []
    for name, alarm in alarms(**values).items():
        assert (alarm["AlarmActions"], alarm.get("OKActions", [])) == ([], []), name
    policy = resolver.resolve(made["UndeliveredQueuePolicy"]["Properties"]["PolicyDocument"])
    assert [each["Sid"] for each in policy["Statement"]] == ["RulesThatStartRuns", "OnlyOverTls"]
    gone = {name for name in RESOURCES if name not in made} & {
        name
        for name, each in RESOURCES.items()
        if "Condition" not in each or Resolver(TEMPLATE, {**values, "NotificationEmail": ""}).holds(each["Condition"])
    }
    assert all(RESOURCES[name]["Type"] in NOTIFICATION_TYPES or name.startswith("NotifyFunction") for name in gone)


def test_cloudwatch_may_publish_to_the_topic() -> None:
    """A topic policy of one's own shuts alarms out, unless it lets CloudWatch in; only this account's are let in."""
    (policy,) = of_type("AWS::SNS::TopicPolicy").values()
    assert policy["Topics"] == [TOPIC]
    (allowed,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow")
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (allowed["Action"], allowed["Resource"]) == ("sns:Publish", TOPIC)
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert allowed["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(":alarm:*")


def test_the_topic_has_a_key_that_cloudwatch_may_use() -> None:
    """The stack's own key, or the user's; without the grant every alarm would be lost without a word."""
    topic = of_type("AWS::SNS::Topic")["NotificationTopic"]
    own, given = Resolver(TEMPLATE, {}), Resolver(TEMPLATE, {"KmsKeyArn": "arn:aws:kms:eu-west-1:1:key/a"})
    assert own.resolve(topic)["KmsMasterKeyId"] == {"Fn::GetAtt": ["TopicKey", "Arn"]}
    assert given.resolve(topic)["KmsMasterKeyId"] == {"Ref": "KmsKeyArn"}
    assert (own.holds("CreateTopicKey"), given.holds("CreateTopicKey")) == (True, False)
    key = of_type("AWS::KMS::Key")["TopicKey"]
    assert key["EnableKeyRotation"] is True
    account, alarms_may = key["KeyPolicy"]["Statement"]
    assert account["Principal"]["AWS"]["Fn::Sub"].endswith("::${AWS::AccountId}:root")
    assert alarms_may["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms_may["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    (published,) = of_type("AWS::SNS::TopicPolicy").values()
    assert alarms_may["Condition"] == published["PolicyDocument"]["Statement"][0]["Condition"]


def test_the_docs_have_the_statements_that_a_key_of_ones_own_needs() -> None:
    """docs/security.md shows the statement that TopicKey has, with a place for the account and the Region, and one that
    lets CloudWatch Logs of that Region use the key for the account's log groups.
    """
    page = (REAL.root / "docs" / "security.md").read_text("utf-8")
    (shown,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "kms" in block)
    statement = json.loads(json.dumps(of_type("AWS::KMS::Key")["TopicKey"]["KeyPolicy"]["Statement"][1]))
    condition = statement["Condition"]
    condition["StringEquals"]["aws:SourceAccount"] = "123456789012"
    condition["ArnLike"]["aws:SourceArn"] = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:*"
    alarms, logs = shown
    assert alarms == statement
    assert logs["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    context = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    assert context == "arn:aws:logs:eu-west-1:123456789012:log-group:*"
    assert {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"} <= set(logs["Action"])


def test_the_docs_name_every_role_and_every_wildcard() -> None:
    """docs/security.md says of each role what it may, and why an action is allowed on all resources."""
    page = (REAL.root / "docs" / "security.md").read_text("utf-8")
    named = {name.replace("*", "") for name in re.findall(r"`((?:[a-z]+:)?[A-Za-z*]+)`", page)}
    for name, role in of_type("AWS::IAM::Role").items():
        assert name in named
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement.get("Resource") == "*":
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    families = ("Deliver", "ResourcePolic")  # logs:*Deliver*, logs:*ResourcePolic*
                    assert all(each in named or any(part in each for part in families) for each in actions), name


def test_the_queues_are_encrypted() -> None:
    """By SQS itself, so that EventBridge and SNS need no right to a key."""
    assert [each["SqsManagedSseEnabled"] for each in of_type("AWS::SQS::Queue").values()] == [True, True]


def test_uploads_wait_in_a_queue_that_loses_none() -> None:
    """Hidden for six times the function's time and the longest window; what fails ten times is dead-lettered."""
    queue, function = (
        of_type("AWS::SQS::Queue")["UploadsQueue"],
        of_type("AWS::Lambda::Function")["StartUploadsFunction"],
    )
    longest = TEMPLATE["Parameters"]["UploadWindowSeconds"]["MaxValue"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + longest
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["UndeliveredQueue", "Arn"]}
    assert queue["MessageRetentionPeriod"] <= of_type("AWS::SQS::Queue")["UndeliveredQueue"]["MessageRetentionPeriod"]
    (target,) = of_type("AWS::Events::Rule")["UploadRule"]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["UploadsQueue", "Arn"]}
    allowed, denied = of_type("AWS::SQS::QueuePolicy")["UploadsQueuePolicy"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadRule", "Arn"]}}}
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(
    ("window", "size", "at_once"), [("60", 1000, 2), ("300", 1000, 2), ("1", 1000, 2), ("0", 1, 10)]
)
def test_uploads_are_gathered_for_the_window(window: str, size: int, at_once: int) -> None:
    """A thousand at most, in two batches at a time; without a window each is handed over at once."""
    found = Resolver(TEMPLATE, {"UploadWindowSeconds": window}).resolve(
        of_type("AWS::Lambda::EventSourceMapping")["UploadsMapping"]
    )
    assert (found["BatchSize"], found["ScalingConfig"]["MaximumConcurrency"]) == (size, at_once)
    assert found["MaximumBatchingWindowInSeconds"] == {"Ref": "UploadWindowSeconds"}
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_rules_may_call_their_functions_and_nobody_else_may() -> None:
    """Each rule with a function behind it has the right to call it, and nobody else has one."""
    wanted = {
        (target["Arn"]["Fn::GetAtt"][0], rule)
        for rule, each in of_type("AWS::Events::Rule").items()
        for target in each["Targets"]
        if target["Arn"].get("Fn::GetAtt", [""])[0] in of_type("AWS::Lambda::Function")
    }
    permissions = of_type("AWS::Lambda::Permission").values()
    given = {(each["FunctionName"]["Ref"], each["SourceArn"]["Fn::GetAtt"][0]) for each in permissions}
    assert wanted == given
    assert len(wanted) == 7  # two measure the queues, four tell, one starts what follows
    assert {each["Principal"] for each in permissions} == {"events.amazonaws.com"}


def test_the_measured_metrics_are_the_alarms() -> None:
    """What the alarms and the dashboard look at in our own namespace is what the functions' code writes."""
    written = "".join((REAL.root / "functions" / f"{name}.py").read_text("utf-8") for name in
                      ("measure_queues", "notify", "prepare_run", "read_plan", "read_result"))  # fmt: skip
    body = json.loads(of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"][0])
    shown = {
        metric[1] for widget in body["widgets"] for metric in widget["properties"]["metrics"] if metric[0] == "Millrace"
    }
    watched = {alarm["MetricName"] for alarm in alarms().values() if alarm["Namespace"] == "Millrace"}
    assert {name for name in shown | watched if f'"{name}"' not in written} == set()
    assert {"RunDollars", "ShardsPlanned", "ItemsFailed", "JobsWaiting", "HeadWaitMinutes"} <= shown


def test_all_is_traced() -> None:
    """X-Ray follows a run through the state machine and each of its functions, and their roles may write to it."""
    (machine,) = of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["TracingConfiguration"] == {"Enabled": True}
    functions = of_type("AWS::Lambda::Function")
    assert {name: each["TracingConfig"]["Mode"] for name, each in functions.items()} == dict.fromkeys(
        functions, "Active"
    )
    for name in (*functions, "MigrationStateMachine"):
        managed = RESOURCES[f"{name}Role"]["Properties"]["ManagedPolicyArns"]
        assert any(arn.endswith("AWSXrayWriteOnlyAccess") for arn in managed), name


def test_no_log_is_kept_for_ever() -> None:
    """Every function, job and the state machine logs to a group of the stack, and each group has its time."""
    groups = of_type("AWS::Logs::LogGroup")
    assert [name for name, each in groups.items() if each.get("RetentionInDays") != 30] == []
    for name, function in of_type("AWS::Lambda::Function").items():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups, name
    for name, definition in of_type("AWS::Batch::JobDefinition").items():
        options = definition["ContainerProperties"]["LogConfiguration"]["Options"]
        assert options["awslogs-group"]["Ref"] in groups, name
    (machine,) = of_type("AWS::StepFunctions::StateMachine").values()
    (destination,) = machine["LoggingConfiguration"]["Destinations"]
    assert destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0] in groups


def test_a_budget_is_an_option() -> None:
    """None by default; with MonthlyBudget, two mails on what carries the stack's tag."""
    condition = RESOURCES["Budget"]["Condition"]
    assert not Resolver(TEMPLATE, {}).holds(condition)
    assert Resolver(TEMPLATE, {"MonthlyBudget": "50"}).holds(condition)
    budget = RESOURCES["Budget"]["Properties"]
    assert budget["Budget"]["BudgetLimit"] == {"Amount": {"Ref": "MonthlyBudget"}, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": [{"Fn::Sub": "user:millrace:stack$${AWS::StackName}"}]}
    told = budget["NotificationsWithSubscribers"]
    assert [each["Notification"]["Threshold"] for each in told] == [80, 100]
    assert {each["Address"]["Ref"] for part in told for each in part["Subscribers"]} == {"NotificationEmail"}


def test_tasks_and_instances_carry_the_cost_tags() -> None:
    """Stack and stage on every job, handed on to its task, array children's too; the stack on every instance."""
    stages = {}
    for name, definition in of_type("AWS::Batch::JobDefinition").items():
        assert definition["PropagateTags"] is True, name
        assert definition["Tags"]["millrace:stack"] == {"Ref": "AWS::StackName"}, name
        stages[name] = definition["Tags"]["millrace:stage"]
    assert sorted(stages.values()) == ["merge", "migrate", "migrate-and-merge", "plan"]
    for name, environment in of_type("AWS::Batch::ComputeEnvironment").items():
        compute = environment["ComputeResources"]
        if compute["Type"] in {"EC2", "SPOT"}:
            assert compute["Tags"] == {"millrace:stack": {"Ref": "AWS::StackName"}}, name


COSTS = {
    "AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine", "AWS::DynamoDB::Table",
    "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
}  # fmt: skip
"""What is paid for by the month or by the request, beside jobs and interface endpoints."""


def test_what_costs_carries_the_stacks_tag() -> None:
    """The bill tells the stacks of an account apart, and a budget sees all of its stack."""
    paid = {kind: of_type(kind) for kind in COSTS}
    endpoints = of_type("AWS::EC2::VPCEndpoint").items()
    paid["endpoints"] = {name: each for name, each in endpoints if each["VpcEndpointType"] == "Interface"}
    for kind, resources in paid.items():
        assert resources, kind
        for name, properties in resources.items():
            assert {"Key": "millrace:stack", "Value": {"Ref": "AWS::StackName"}} in properties["Tags"], name


def test_no_submission_takes_the_tags_away() -> None:
    """SubmitJob's own PropagateTags goes before the definition's: none of the state machine's says no."""
    (machine,) = of_type("AWS::StepFunctions::StateMachine").values()
    submissions = [
        state["Parameters"]
        for state in machine["Definition"]["States"].values()
        if "batch" in state.get("Resource", "")
    ]
    assert len(submissions) == 6  # plan, migrate and merge by one and by many, migrate by many, merge parts, merge
    assert [each.get("PropagateTags", True) for each in submissions] == [True] * 6


def test_operations_can_be_left_out() -> None:
    """MonthlyBudget=NONE makes no alarm, dashboard, budget or function that measures queues, and nothing else goes;
    what is left refers to nothing that is not there.
    """
    values = {"MonthlyBudget": "NONE"}
    assert list(map(str, dangling_references(TEMPLATE, values))) == []
    before, after = Resolver(TEMPLATE, {}), Resolver(TEMPLATE, values)
    gone = [
        each["Type"]
        for each in RESOURCES.values()
        if "Condition" in each and before.holds(each["Condition"]) and not after.holds(each["Condition"])
    ]
    assert Counter(gone) == {
        "AWS::CloudWatch::Alarm": len(alarms()), "AWS::CloudWatch::Dashboard": 1, "AWS::Events::Rule": 2,
        "AWS::Lambda::Permission": 2, "AWS::Lambda::Function": 1, "AWS::IAM::Role": 1,
    }  # fmt: skip
    assert not after.holds(RESOURCES["Budget"]["Condition"])
