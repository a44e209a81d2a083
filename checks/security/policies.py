"""The policies of the expanded template as plain JSON: what linters of policies read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checks.conditions import Resolver

SETTINGS: tuple[dict[str, str], ...] = (
    {},
    {
        "ResultPrefix": "out/", "TableNames": "words,import-*", "Compute": "EC2",
        "ScheduleExpression": "rate(1 day)", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a",
        "SourceBucketNames": "my-source/in/,a-b/a/b/,b-c/in/,c-d/in/,d-e/in/", "PublicBucketNames": "public-data",
        "ResultBucketName": "my-results", "UploadRequest": '{"workload": "images"}',
        "ManifestLocation": "lists/",
        "WorkloadEnvironment": '{"API_URL": "https://example.com"}',
        "WorkloadSecrets": (
            "TOKEN=arn:aws:secretsmanager:us-east-1:123456789012:secret:api-AbCdEf,"
            "PLAIN=arn:aws:ssm:us-east-1:123456789012:parameter/api/plain"
        ),
    },
)  # fmt: skip
"""Parameters under which between them every statement is there."""
_PLACE = "us-east-1:123456789012"
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{_PLACE}:log-group:{{}}:*",
    "AWS::Lambda::Function": f"arn:aws:lambda:{_PLACE}:function:{{}}",
    "AWS::Batch::JobQueue": f"arn:aws:batch:{_PLACE}:job-queue/{{}}",
    "AWS::Batch::JobDefinition": f"arn:aws:batch:{_PLACE}:job-definition/{{}}:1",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{_PLACE}:stateMachine:{{}}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{_PLACE}:table/{{}}",
    "AWS::SNS::Topic": f"arn:aws:sns:{_PLACE}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{_PLACE}:{{}}",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/{}",
    "AWS::KMS::Key": f"arn:aws:kms:{_PLACE}:key/{{}}",
    "AWS::Events::EventBus": f"arn:aws:events:{_PLACE}:event-bus/{{}}",
}
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::StackName": "s"}
_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")


def policy_documents(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy of every role, and every managed one, under parameters that between them let in every statement.

    Args:
        template: The expanded template.

    Yields:
        A name (role, policy, number of the parameters) and the document; ARNs stand for the resources they refer to.
    """
    for number, values in enumerate(SETTINGS):
        resolver = Resolver(template, values)
        plain = _Plain(template, resolver)
        for role, resource in template["Resources"].items():
            there = "Condition" not in resource or resolver.holds(resource["Condition"])
            properties = resolver.resolve(resource["Properties"])
            if resource["Type"] == "AWS::IAM::Role":
                for policy in properties.get("Policies", []):
                    yield f"{role}/{policy['PolicyName']}/{number}", plain.value(policy["PolicyDocument"])
            elif resource["Type"] == "AWS::IAM::ManagedPolicy" and there:
                yield f"{role}/{number}", plain.value(properties["PolicyDocument"])


class _Plain:
    """Turns what CloudFormation resolves into text."""

    def __init__(self, template: dict[str, Any], resolver: Resolver) -> None:
        self._resources: dict[str, Any] = template["Resources"]
        self._resolver = resolver

    def value(self, value: Any) -> Any:  # noqa: PLR0911 - a function of CloudFormation each
        """A value without functions."""
        match value:
            case {"Ref": str(name)}:
                return self._reference(name)
            case {"Fn::GetAtt": [str(name), *_]}:
                return self._arn(name)
            case {"Fn::Sub": [str(text), dict(own)]}:
                return self._substituted(text, {name: self.value(part) for name, part in own.items()})
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case {"Fn::Split": [str(separator), text]}:
                return str(self.value(text)).split(separator)
            case {"Fn::Join": [str(separator), parts]}:
                return separator.join(map(str, self.value(parts)))
            case {"Fn::Select": [index, parts]}:
                return self.value(parts)[int(index)]
            case dict():
                return {key: self.value(member) for key, member in value.items()}
            case list():
                return [self.value(member) for member in value]
            case _:
                return value

    def _substituted(self, text: str, own: dict[str, Any]) -> str:
        return _VARIABLE.sub(lambda found: str(own[found[1]] if found[1] in own else self._reference(found[1])), text)

    def _reference(self, name: str) -> str:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._resolver.parameters:
            return str(self._resolver.values[name])
        if name.endswith(".Arn"):
            return self._arn(name.removesuffix(".Arn"))
        # Ref gives an ARN for Batch's resources and state machines, else a name.
        kind = self._resources[name]["Type"]
        is_arn = kind.startswith(("AWS::Batch::", "AWS::StepFunctions::", "AWS::SNS::"))
        return self._arn(name) if is_arn else name.lower()

    def _arn(self, name: str) -> str:
        return _ARNS[self._resources[name]["Type"]].format(name.lower())
