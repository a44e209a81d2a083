"""A value against a shape of botocore's model, as Step Functions writes it.

Members are in PascalCase; a member "Name.$" holds a path or an intrinsic function instead of a constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from checks.faults import Fault

INTEGERS = ("integer", "long")
JSON_TYPES: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
}
"""A shape of any other type (blob, timestamp) takes what Step Functions converts by itself."""
INTRINSIC_TYPES = {
    "States.Array": "list",
    "States.ArrayGetItem": None,
    "States.ArrayLength": "integer",
    "States.ArrayPartition": "list",
    "States.ArrayRange": "list",
    "States.ArrayUnique": "list",
    "States.Base64Decode": "string",
    "States.Base64Encode": "string",
    "States.Format": "string",
    "States.Hash": "string",
    "States.JsonMerge": "map",
    "States.JsonToString": "string",
    "States.MathAdd": "integer",
    "States.MathRandom": "integer",
    "States.StringSplit": "list",
    "States.StringToJson": None,
    "States.UUID": "string",
}
"""What an intrinsic function gives: Step Functions developer guide, intrinsic functions. None: anything."""


def pascal_case(member: str) -> str:
    """A member of botocore's model as Step Functions spells it: jobName -> JobName."""
    return member[:1].upper() + member[1:]


def shape_faults(value: Any, shape: Shape, where: str) -> Iterator[Fault]:
    """Hold one constant against its shape, members and elements too.

    Args:
        value: The JSON value; inside objects, "Name.$" keys hold paths and intrinsic functions.
        shape: What the API takes there.
        where: How faults name the place.

    Yields:
        Unknown, missing and deprecated members, wrong types, values outside an enumeration.
    """
    kind = shape.type_name
    expected = JSON_TYPES.get(kind)
    if expected is None:
        return
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        yield Fault(where, f"must be of type {kind}, not {value!r}")
        return
    match shape:
        case StructureShape():
            yield from _structure_faults(value, shape, where)
        case MapShape():
            for key, member in value.items():
                yield from _member_faults(key, member, shape.value, f"{where}/{key}")
        case ListShape():
            for index, element in enumerate(value):
                yield from shape_faults(element, shape.member, f"{where}/{index}")
        case StringShape() if shape.enum and value not in shape.enum:
            yield Fault(where, f"must be one of {', '.join(shape.enum)}, not {value!r}")


def _structure_faults(value: dict[str, Any], shape: StructureShape, where: str) -> Iterator[Fault]:
    members = {pascal_case(name): member for name, member in shape.members.items()}
    given = {key.removesuffix(".$") for key in value}
    for name in shape.required_members:
        if pascal_case(name) not in given:
            yield Fault(where, f"{pascal_case(name)} is required")
    for key, member in value.items():
        name = key.removesuffix(".$")
        if name not in members:
            close = get_close_matches(name, members, n=1)
            hint = f"; {close[0]} is" if close else ""
            yield Fault(where, f"{name} is no member of {shape.name}{hint}")
        else:
            yield from _member_faults(key, member, members[name], f"{where}/{name}")


def _member_faults(key: str, value: Any, shape: Shape, where: str) -> Iterator[Fault]:
    if not key.endswith(".$"):
        yield from shape_faults(value, shape, where)
    elif not isinstance(value, str) or not value.startswith(("$", "States.")):
        yield Fault(where, f"{key} takes a path or an intrinsic function, not {value!r}")
    else:
        given = INTRINSIC_TYPES.get(value.partition("(")[0])
        wanted = "integer" if shape.type_name in INTEGERS else shape.type_name
        if given is not None and shape.type_name in JSON_TYPES and given != wanted:
            yield Fault(where, f"must be of type {shape.type_name}, and {value} gives a {given}")
