"""What ECS does with a container's secrets before it starts: it fetches each under the execution role.

The failures are in the words of ECS; where they are known from is in docs/verified.md.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.executors.execution_role import Policies
from local_aws.executors.executor import TaskStartError
from local_aws.scope import Scope

_FETCHING = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
)
_ASM = _FETCHING + "unable to retrieve secret from asm: service call has been retried 1 time(s): "
_SSM = _FETCHING + "unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
_JSON_KEY, _STAGE, _VERSION = 7, 8, 9
"""What a secret's ARN may end with: `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME:KEY:STAGE:VERSION`."""


class SecretRefusedError(Exception):
    """Raised when a service does not give a value; its text is the service's code and message."""


class SecretServices(Policies, Protocol):
    """Secrets Manager and SSM."""

    def secret_string(self, scope: Scope, arn: str, stage: str, version: str) -> str:
        """GetSecretValue.

        Raises:
            SecretRefusedError: There is none, or it has no text.
        """

    def parameter_value(self, scope: Scope, name: str) -> str | None:
        """A parameter, decrypted; None where there is none of that name or ARN."""


@dataclass(frozen=True, slots=True)
class ContainerSecrets:
    """Fetches the secrets of containers."""

    services: SecretServices

    def fetched(self, scope: Scope, container: dict[str, Any]) -> dict[str, str]:
        """The values of a container's secrets by the names of their variables.

        Args:
            scope: Where the job runs.
            container: Its containerProperties.

        Raises:
            TaskStartError: One is missing, is not of the form that is asked for, or the execution role may not read it.
        """
        return {
            secret["name"]: self._fetch(scope, container.get("executionRoleArn"), secret["valueFrom"])
            for secret in container.get("secrets") or []
        }

    def _fetch(self, scope: Scope, role: str | None, source: str) -> str:
        parts = source.split(":")
        if source.startswith("arn:") and parts[2] == "secretsmanager":
            return self._secret(scope, role, parts)
        arn = source if source.startswith("arn:") else scope.arn("ssm", f"parameter/{source.removeprefix('/')}")
        self._need(role, "ssm:GetParameters", arn, _SSM)
        value = self.services.parameter_value(_scope_of(arn), source)
        if value is None:
            raise TaskStartError(f"{_SSM}invalid ssm parameters: {source.rpartition('parameter')[2] or source}")
        return value

    def _secret(self, scope: Scope, role: str | None, parts: list[str]) -> str:
        arn, more = ":".join(parts[:_JSON_KEY]), [*parts[_JSON_KEY:], "", "", ""]
        failed = f"{_ASM}failed to fetch secret {arn} from secrets manager: "
        if parts[4] != scope.account:
            raise TaskStartError(f"{failed}AccessDeniedException: the secret is of another account")
        self._need(role, "secretsmanager:GetSecretValue", arn, failed)
        try:
            text = self.services.secret_string(_scope_of(arn), arn, more[1], more[2])
        except SecretRefusedError as error:
            raise TaskStartError(f"{failed}{error}") from error
        if not more[0]:
            return text
        try:
            value = json.loads(text)[more[0]]
        except (ValueError, KeyError, TypeError):
            raise TaskStartError(
                f"{_FETCHING}unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain "
                f"json key {more[0]}"
            ) from None
        return value if isinstance(value, str) else json.dumps(value)

    def _need(self, role: str | None, action: str, resource: str, before: str) -> None:
        if role is None:
            raise TaskStartError(f"{before}NoCredentialProviders: no execution role")
        if self.services.enforces_iam and not self.services.role_allows(role, action, resource):
            raise TaskStartError(
                f"{before}AccessDeniedException: User: {role} is not authorized to perform: {action} on resource: "
                f"{resource} because no identity-based policy allows the {action} action"
            )


def _scope_of(arn: str) -> Scope:
    return Scope(*arn.split(":")[4:2:-1])
