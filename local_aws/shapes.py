"""The Batch API's own model (from botocore): its shapes, and the two ways its field names are written.

The API writes `jobName`; CloudFormation and Step Functions write `JobName`. Only the fields of structures are renamed:
the keys of maps (tags, parameters, log options) belong to the user.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

Problem = Callable[[str, str], None]
"""Called with a field's name and what is wrong with its value."""

_TYPE_NAMES = {"string": "STRING", "boolean": "BOOLEAN", "structure": "JSON", "map": "JSON", "list": "ARRAY"}


@functools.cache
def batch_model() -> ServiceModel:
    """The model of the Batch API."""
    return botocore.session.get_session().get_service_model("batch")


def input_shape(operation: str) -> StructureShape:
    """The structure that an operation takes."""
    shape = batch_model().operation_model(operation).input_shape
    if shape is None:
        raise LookupError(f"the Batch API has no input for {operation}")
    return shape


def pascal(name: str) -> str:
    """`jobName` as `JobName`."""
    return name[:1].upper() + name[1:]


def to_pascal(shape: Shape, value: Any) -> Any:
    """Rename the fields of an API value for Step Functions."""
    if isinstance(shape, StructureShape):
        return {pascal(name): to_pascal(shape.members[name], item) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [to_pascal(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: to_pascal(shape.value, item) for key, item in value.items()}
    return value


def from_pascal(shape: Shape, value: Any, problem: Problem, *, coerce: bool, name: str = "") -> Any:
    """Rename the fields of a PascalCase value for the API, checking the type of each.

    Args:
        shape: what the value should be.
        value: from a template or a state's arguments.
        problem: called for every unknown field and wrong type; the value is then left out.
        coerce: turn "2" into 2 and "true" into True, as CloudFormation does; else wrong types are problems.
        name: the field the value came from, for messages.
    """
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return _structure_from_pascal(shape, value, problem, coerce=coerce)
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [from_pascal(shape.member, item, problem, coerce=coerce, name=name) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: from_pascal(shape.value, item, problem, coerce=coerce, name=key) for key, item in value.items()}
    return _scalar(shape, value, problem, coerce=coerce, name=name)


def _structure_from_pascal(
    shape: StructureShape, value: Mapping[str, Any], problem: Problem, *, coerce: bool
) -> dict[str, Any]:
    members = {pascal(member): member for member in shape.members}
    result = {}
    for key, item in value.items():
        member = members.get(key)
        if member is None:
            problem(key, "is not supported")
        elif item is not None:
            result[member] = from_pascal(shape.members[member], item, problem, coerce=coerce, name=key)
    return result


def _scalar(shape: Shape, value: Any, problem: Problem, *, coerce: bool, name: str) -> Any:
    kind = shape.type_name
    if coerce and not isinstance(value, list | Mapping):
        value = _coerced(kind, value)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    good = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": numeric and float(value).is_integer(),
        "long": numeric and float(value).is_integer(),
        "float": numeric,
        "double": numeric,
    }.get(kind, False)
    if not good:
        problem(name, f"must be a {_TYPE_NAMES.get(kind, 'NUMBER')}")
        return None
    return int(value) if kind in {"integer", "long"} else value


def _coerced(kind: str, value: Any) -> Any:
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    if kind in {"integer", "long", "float", "double"} and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
