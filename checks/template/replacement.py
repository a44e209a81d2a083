"""No explicit name where it would block a replacement: CloudFormation creates the new one before it deletes the old."""

from __future__ import annotations

from collections.abc import Iterator

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

from checks.expansion import REGION
from checks.faults import Fault
from checks.sources import TEMPLATE, Sources


def check(sources: Sources) -> Iterator[Fault]:
    """Names of Batch's resources, and of any resource that an update of another property can replace."""
    for name, resource in sources.expanded["Resources"].items():
        for given in sorted(set(resource.get("Properties", {})) & blocking_names(resource["Type"])):
            place = f"{TEMPLATE}: {name}/{given}"
            yield Fault(place, "an explicit name blocks the replacement of the resource: let CloudFormation name it")


def blocking_names(kind: str) -> set[str]:
    """The properties of a resource type that name a resource which can be replaced.

    A name is the property "Name", or one such as LogGroupName that repeats the end of the type's own name. A type whose
    name is all that cannot be updated is never replaced for another reason: its name may be given. Batch's types are
    replaced for more than their schemas say.
    """
    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    except ResourceNotFoundError:
        return set()
    fixed = {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
    fixed |= {path.split("/")[2] for path in schema.get("conditionalCreateOnlyProperties", [])}
    names = {path for path in fixed if path.endswith("Name") and kind.endswith(path.removesuffix("Name"))}
    return names if fixed - names or kind.startswith("AWS::Batch::") else set()
