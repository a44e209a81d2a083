"""Whether what is deployed is what this checkout or wheel has: the state machine, the functions and their layer."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener
from zipfile import ZipFile

from console import embedded_aws
from console.checkout import RECORDS, SOURCES
from console.find.stack import stack_resources
from console.find.target import Target

DEFINITION = SOURCES / "statemachine" / "migration.asl.json"
FUNCTION = "AWS::Lambda::Function"

DOWNLOAD_SECONDS = 60


def drift(target: Target) -> list[str]:
    """What differs, by its name; nothing where all is as here.

    The template's other resources are not compared: `aws cloudformation detect-stack-drift` does that, and
    `sam deploy` shows what it would change before it does.
    """
    resources = _resources(target)
    differing: set[str] = set()
    deployed = target.aws.step_functions.describe_state_machine(stateMachineArn=target.stack.state_machine_arn)
    if not same_definition(DEFINITION.read_text("utf-8"), deployed["definition"]):
        differing.add(str(DEFINITION.relative_to(SOURCES)))
    client = target.aws.client("lambda")
    layers: set[str] = set()
    for name in resources.get(FUNCTION, {}).values():
        function = client.get_function(FunctionName=name)
        layers |= {layer["Arn"] for layer in function["Configuration"].get("Layers", [])}
        differing |= _differing(target, function["Code"].get("Location"), "functions")
    for arn in layers:
        name, _, version = arn.rpartition(":")
        layer = client.get_layer_version(LayerName=name, VersionNumber=int(version))
        differing |= _differing(target, layer["Content"].get("Location"), "layer")
    return sorted(differing)


def same_definition(ours: str, deployed: str) -> bool:
    """Whether a deployed state machine is our definition with its placeholders filled in.

    Args:
        ours: The file, with `${Name}` where a resource's ARN goes.
        deployed: What DescribeStateMachine says.
    """
    return _filled(json.loads(ours), json.loads(deployed))


def _filled(ours: Any, deployed: Any) -> bool:
    if isinstance(ours, dict) and isinstance(deployed, dict):
        return ours.keys() == deployed.keys() and all(_filled(ours[name], deployed[name]) for name in ours)
    if isinstance(ours, list) and isinstance(deployed, list):
        return len(ours) == len(deployed) and all(map(_filled, ours, deployed))
    if isinstance(ours, str) and isinstance(deployed, str) and "${" in ours:
        parts = [re.escape(part) for part in re.split(r"\$\{[A-Za-z0-9]+\}", ours)]
        return re.fullmatch("[^{}]+".join(parts), deployed) is not None
    return bool(ours == deployed)


def _resources(target: Target) -> dict[str, dict[str, str]]:
    """The resources of the stack and its nested stacks: physical ids by logical id, by type."""
    found: dict[str, dict[str, str]] = {}
    for each in stack_resources(target.aws.cloudformation, target.stack_name):
        found.setdefault(each["ResourceType"], {})[each["LogicalResourceId"]] = each.get("PhysicalResourceId", "")
    return found


def _differing(target: Target, location: str | None, folder: str) -> set[str]:
    """Our Python files that a zip does not hold as they are; nothing where this AWS does not hand its code out."""
    if not location:
        return set()
    with _opened(target, location) as answer:
        archive = ZipFile(BytesIO(answer.read()))
    names = set(archive.namelist())
    return {
        path.relative_to(SOURCES).as_posix()
        for name, path in packaged(folder).items()
        if name not in names or archive.read(name) != path.read_bytes()
    }


def _opened(target: Target, location: str) -> Any:
    """The zip at a location. AWS has signed the URL itself; the embedded AWS answers signed requests alone."""
    if not target.is_local:
        return build_opener().open(location, timeout=DOWNLOAD_SECONDS)
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - `millrace --help` must not wait for it
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
    from botocore.credentials import Credentials  # noqa: PLC0415 - as above

    location = location.partition("?")[0]  # ministack's own signature of it is none
    known = embedded_aws.credentials(target.aws.endpoint_url or "")
    request = AWSRequest("GET", location)
    SigV4Auth(
        Credentials(known.access_key, known.secret_key), "lambda", target.aws.region or embedded_aws.REGION
    ).add_auth(request)
    # The embedded AWS is on this machine, where no proxy leads.
    signed = Request(location, headers=dict(request.headers.items()))  # noqa: S310 - of the server on this machine
    return build_opener(ProxyHandler({})).open(signed, timeout=DOWNLOAD_SECONDS)


def packaged(folder: str) -> dict[str, Path]:
    """The Python files that `sam build` makes a zip of, by their names in it: of `functions`, or of `layer`."""
    files = {path.relative_to(SOURCES / folder).as_posix(): path for path in (SOURCES / folder).rglob("*.py")}
    if folder == "layer":
        records = [path for pattern in RECORDS for path in SOURCES.glob(pattern)]
        files |= {f"python/{path.relative_to(SOURCES).as_posix()}": path for path in records}
    return files
