"""What ECS does with the execution role before a job runs: pull the image, open the log stream.

No image is pulled here and the log stream is opened without a request, so that nothing would notice a permission that
the role lacks. The failures are in the words of ECS.
"""

import re
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.executors.executor import TaskStartError
from local_aws.scope import Scope

_ECR_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)")
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_REGISTRY = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
    "unable to retrieve ecr registry auth: service call has been retried 1 time(s): "
)
_STREAM = (
    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
    "failed to create Cloudwatch log stream: "
)


class Policies(Protocol):
    """Where policies are looked up."""

    @property
    def enforces_iam(self) -> bool:
        """Whether anything is checked."""

    def role_allows(self, role_arn: str, action: str, resource_arn: str) -> bool:
        """Whether a role's policies allow an action on a resource."""


@dataclass(frozen=True, slots=True)
class ExecutionRole:
    """Asks the execution role of a container, where IAM is enforced."""

    policies: Policies

    def check_start(self, scope: Scope, container: dict[str, Any]) -> None:
        """Make sure that the image could be pulled and the log stream be opened.

        Args:
            scope: Where the job runs.
            container: Its containerProperties, overrides merged in.

        Raises:
            TaskStartError: The role lacks a permission for it.
        """
        role = container.get("executionRoleArn")
        if role is None or not self.policies.enforces_iam:
            return
        image = _ECR_IMAGE.match(container["image"])
        if image is not None:
            self._need(role, "ecr:GetAuthorizationToken", "*", _REGISTRY)
            repository = f"arn:aws:ecr:{image['region']}:{image['account']}:repository/{image['name']}"
            for action in _PULL:
                self._need(role, action, repository, "CannotPullContainerError: ")
        if group := _log_group(container):
            self._need(role, "logs:CreateLogStream", _streams(scope, group), _STREAM)

    def may_log(self, scope: Scope, container: dict[str, Any]) -> bool:
        """Whether the log driver may write: if not, the job runs all the same and its output is lost."""
        role, group = container.get("executionRoleArn"), _log_group(container)
        if role is None or group is None or not self.policies.enforces_iam:
            return True
        return self.policies.role_allows(role, "logs:PutLogEvents", _streams(scope, group))

    def _need(self, role: str, action: str, resource: str, before: str) -> None:
        if not self.policies.role_allows(role, action, resource):
            raise TaskStartError(
                f"{before}AccessDeniedException: User: {role} is not authorized to perform: {action} on resource: "
                f"{resource} because no identity-based policy allows the {action} action"
            )


def _log_group(container: dict[str, Any]) -> str | None:
    group: str | None = ((container.get("logConfiguration") or {}).get("options") or {}).get("awslogs-group")
    return group


def _streams(scope: Scope, group: str) -> str:
    return scope.arn("logs", f"log-group:{group}:log-stream:any")
