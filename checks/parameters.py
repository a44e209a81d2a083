"""The values that a template's parameters can take."""

from __future__ import annotations

import math
from typing import Any


def extremes(value: Any, parameters: dict[str, Any]) -> list[Any]:
    """The values that a property can have, as far as the template bounds it.

    Args:
        value: A constant, or a Ref to a parameter.
        parameters: The template's section Parameters.

    Returns:
        The constant; or the parameter's allowed values; or its bounds and default, infinite where it has no bound;
        empty for any function other than Ref.
    """
    match value:
        case {"Ref": str(name)} if name in parameters:
            parameter = parameters[name]
            if "AllowedValues" in parameter:
                return list(parameter["AllowedValues"])
            bounds = [parameter.get("MinValue", -math.inf), parameter.get("MaxValue", math.inf)]
            return [*bounds, parameter["Default"]] if "Default" in parameter else bounds
        case dict():
            return []
        case _:
            return [value]


def default(value: Any, parameters: dict[str, Any]) -> Any:
    """What a property is when every parameter keeps its default: the constant, or the default behind a Ref."""
    match value:
        case {"Ref": str(name)} if name in parameters:
            return parameters[name].get("Default")
        case _:
            return value
