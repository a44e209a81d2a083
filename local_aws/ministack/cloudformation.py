"""The CloudFormation types AWS::Batch::*: properties to API requests, and the API's answers to Ref and GetAtt."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_aws.batch.api import BatchApi
from local_aws.errors import BatchApiError
from local_aws.scope import Scope
from local_aws.shapes import from_pascal, input_shape

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
"""The physical id, which is what Ref gives, and the attributes of GetAtt."""


class StackHost(Protocol):
    """What CloudFormation offers to resource types."""

    def scope(self) -> Scope:
        """The stack's account and region."""

    def generated_name(self, stack_name: str, logical_id: str) -> str:
        """A name for a resource without one."""

    def add_cloudformation_type(self, name: str, handlers: dict[str, Any], replacing: tuple[str, ...]) -> None:
        """Register a type."""


@dataclass(frozen=True, slots=True)
class _Type:
    """One resource type, by the API operations behind it."""

    create: str
    update: str
    delete: str
    name_property: str
    api_name: str
    """The field of the create request for the name."""
    reference: str
    """The field by which update and delete name the resource."""
    arn_field: str
    """The field of the create answer with the ARN."""
    attribute: str
    """What GetAtt calls the ARN."""
    replacing: tuple[str, ...]
    template_only: frozenset[str] = frozenset()
    """Properties that guide CloudFormation and are not part of the API."""


_TYPES = {
    "AWS::Batch::ComputeEnvironment": _Type(
        "CreateComputeEnvironment", "UpdateComputeEnvironment", "DeleteComputeEnvironment",
        "ComputeEnvironmentName", "computeEnvironmentName", "computeEnvironment", "computeEnvironmentArn",
        "ComputeEnvironmentArn", ("ComputeEnvironmentName", "Type", "Tags", "EksConfiguration"),
        frozenset({"ReplaceComputeEnvironment", "UpdatePolicy"}),
    ),
    "AWS::Batch::JobQueue": _Type(
        "CreateJobQueue", "UpdateJobQueue", "DeleteJobQueue",
        "JobQueueName", "jobQueueName", "jobQueue", "jobQueueArn",
        "JobQueueArn", ("JobQueueName", "JobQueueType"),
    ),
    "AWS::Batch::SchedulingPolicy": _Type(
        "CreateSchedulingPolicy", "UpdateSchedulingPolicy", "DeleteSchedulingPolicy",
        "Name", "name", "arn", "arn", "Arn", ("Name",),
    ),
}  # fmt: skip
_DEFINITION = "AWS::Batch::JobDefinition"
_KEPT_ON_UPDATE = "SkipDeregisterOnUpdate"


@dataclass(slots=True)
class BatchTypes:
    """Makes the four types known to CloudFormation."""

    api: BatchApi
    host: StackHost
    _kept: set[str] = field(default_factory=set)
    """Old revisions that CloudFormation will ask to delete, but that the template said to keep."""

    def register(self) -> None:
        """Register all types."""
        for name, kind in _TYPES.items():
            self.host.add_cloudformation_type(name, self._handlers(kind), kind.replacing)
        definition_handlers: dict[str, Any] = {
            "create": self._create_definition,
            "update": self._update_definition,
            "delete": self._delete_definition,
            "update_with_logical_id": True,
        }
        self.host.add_cloudformation_type(_DEFINITION, definition_handlers, ("JobDefinitionName",))

    def _handlers(self, kind: _Type) -> dict[str, Callable[..., Any]]:
        def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
            body = _to_api(kind.create, properties, kind.template_only)
            body.setdefault(kind.api_name, self.host.generated_name(stack_name, logical_id))
            arn = self._call(kind.create, body)[kind.arn_field]
            return arn, {kind.attribute: arn}

        def update(arn: str, _old: Properties, properties: Properties, _stack_name: str) -> Created:
            body = _to_api(kind.update, properties, None)
            self._call(kind.update, {**body, kind.reference: arn})
            return arn, {kind.attribute: arn}

        def delete(arn: str, _properties: Properties) -> None:
            # CloudFormation disables what must be disabled before it can be deleted.
            if kind.reference != "arn":
                self._call(kind.update, {kind.reference: arn, "state": "DISABLED"})
            self._call(kind.delete, {kind.reference: arn})

        return {"create": create, "update": update, "delete": delete}

    def _create_definition(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        body = _to_api("RegisterJobDefinition", properties, frozenset({"ResourceRetentionPolicy"}))
        body.setdefault("jobDefinitionName", self.host.generated_name(stack_name, logical_id))
        return self._register(body)

    def _update_definition(
        self, arn: str, _old: Properties, properties: Properties, _stack_name: str, _logical_id: str
    ) -> Created:
        """A changed definition is a new revision; the old one goes unless the template keeps it."""
        body = _to_api("RegisterJobDefinition", properties, frozenset({"ResourceRetentionPolicy"}))
        body.setdefault("jobDefinitionName", arn.rpartition("/")[2].partition(":")[0])
        policy = properties.get("ResourceRetentionPolicy") or {}
        if str(policy.get(_KEPT_ON_UPDATE, False)).lower() == "true":
            self._kept.add(arn)
        return self._register(body)

    def _register(self, body: dict[str, Any]) -> Created:
        arn = self._call("RegisterJobDefinition", body)["jobDefinitionArn"]
        return arn, {"JobDefinitionArn": arn}

    def _delete_definition(self, arn: str, _properties: Properties) -> None:
        if arn in self._kept:
            self._kept.discard(arn)
        else:
            self._call("DeregisterJobDefinition", {"jobDefinition": arn})

    def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.api.call(operation, self.host.scope(), body)
        except BatchApiError as error:
            # CloudFormation shows the text of any exception as the reason of the resource's failure.
            raise ValueError(f"Resource handler returned message: '{error.message}'") from error


def _to_api(operation: str, properties: Properties, template_only: frozenset[str] | None) -> dict[str, Any]:
    """Properties as a request; template_only None: leave out whatever the operation does not take.

    Raises:
        ValueError: a property is unknown or has the wrong type.
    """
    problems: list[str] = []

    def problem(name: str, text: str) -> None:
        if template_only is not None or text != "is not supported":
            problems.append(f"{name} {text}")

    given = {name: value for name, value in properties.items() if name not in (template_only or ())}
    body: dict[str, Any] = from_pascal(input_shape(operation), _without_update_only(given), problem, coerce=True)
    if problems:
        msg = f"Model validation failed: {'; '.join(problems)}"
        raise ValueError(msg)
    return body


def _without_update_only(properties: Properties) -> Properties:
    """UpdateToLatestImageVersion sits among the compute resources but is an instruction for updates."""
    compute = properties.get("ComputeResources")
    if not isinstance(compute, dict):
        return properties
    kept = {name: value for name, value in compute.items() if name != "UpdateToLatestImageVersion"}
    return {**properties, "ComputeResources": kept}
