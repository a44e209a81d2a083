"""The expanded template under public rules that were made of failed deployments, whatever the parameters say.

cloudformation-validate and the rules of cdk-preflight come from an environment of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checks.conditions import deployed
from checks.exceptions import DEPLOY_FAILURES
from checks.faults import Fault, ToolError
from checks.security.linters import run_tool
from checks.security.policies import SETTINGS
from checks.sources import TEMPLATE, Sources

ENVIRONMENT = Path(__file__).parents[2] / ".venv/deploy"
SCRIPT = Path(__file__).with_name("deploy_failures_findings.py")
_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api-AbCdEf"
_PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/api/token"
ALL_SECRETS = {"WorkloadSecrets": ",".join(f"A{number}={_ARN}" for number in range(5))}
ALL_PARAMETERS = {"WorkloadSecrets": ",".join(f"A{number}={_PARAMETER}" for number in range(5))}
OWN_NETWORK = {"Network": "PRIVATE:subnet-0123456789abcdef0,subnet-0123456789abcdef1:sg-0123456789abcdef0"}
EVERYTHING = {
    **SETTINGS[1], "ScheduleInput": "{}", "NotificationEmail": "me@example.com",
    "JobStorage": "100", "InstanceTypes": "m7g", "MonthlyBudget": "50",
    **ALL_SECRETS, "WorkloadPolicyArn": "arn:aws:iam::123456789012:policy/ask-the-service",
}  # fmt: skip
COMBINATIONS: dict[str, dict[str, str]] = {
    "as it is": {},
    "private": {"Network": "PRIVATE", "Compute": "FARGATE", "TableNames": "words"},
    "private on EC2": {"Network": "PRIVATE", "Compute": "EC2"},
    "public on EC2": {"Compute": "EC2_ARM64"},
    "GPUs": {"Compute": "EC2_GPU", "InstanceTypes": "g5"},
    "Fargate on ARM": {"Compute": "FARGATE_SPOT_ARM64", "UploadWindowSeconds": "0"},
    "no notifications": {"NotificationEmail": "NONE"},
    "no operations": {"MonthlyBudget": "NONE"},
    "own network": OWN_NETWORK,
    "secrets of SSM": ALL_PARAMETERS,
    "everything on Fargate": {**EVERYTHING, "Compute": "FARGATE_SPOT"},
    "everything, private, on EC2": {**EVERYTHING, "Network": "PRIVATE"},
}
"""Parameters under which between them every condition is true once and false once; a test holds it."""


def check(sources: Sources) -> Iterator[Fault]:
    """Every finding that is no exception, and every exception that nothing needs any more.

    Raises:
        ToolError: The environment is missing, or the tool broke.
    """
    python = ENVIRONMENT / "bin/python"
    if not python.is_file():
        raise ToolError(f"{ENVIRONMENT} is not there: `make check` makes it, with cloudformation-validate")
    templates = {name: _written(deployed(sources.expanded, values)) for name, values in COMBINATIONS.items()}
    found = json.loads(run_tool([str(python), str(SCRIPT)], accepted=(0,), text=json.dumps(templates)))
    for finding in found:
        if finding["rule"] not in DEPLOY_FAILURES:
            where = f"{TEMPLATE}, {finding['template']}: {finding['resource']}"
            yield Fault(where, f"{finding['rule']} {finding['message']}")
    for unused in sorted(set(DEPLOY_FAILURES) - {finding["rule"] for finding in found}):
        yield Fault("checks/exceptions.py", f"excepts {unused}, which is not found any more")


def _written(template: dict[str, Any]) -> dict[str, Any]:
    """The template with the definitions of its state machines as text, as CloudFormation gets them."""
    for resource in template["Resources"].values():
        if "Definition" in resource.get("Properties", {}):
            properties = resource["Properties"]
            properties["DefinitionString"] = json.dumps(properties.pop("Definition"))
    return template
