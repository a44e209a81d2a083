"""The root template with its nested stacks put in their place: one template, as one `sam deploy` makes all of it.

Every check reads this one template, so that what one file passes to another is checked across the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from checks.faults import SourceError

STACK = "AWS::CloudFormation::Stack"
_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")


def flattened(root: dict[str, Any], read: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Put the resources of nested stacks into the root template.

    Args:
        root: The root template, functions in their long form.
        read: Gives the template of a path.

    Raises:
        SourceError: A stack gets a parameter that it does not have, lacks one, or has a name that is taken.
    """
    template = {**root, "Resources": {}, "Conditions": dict(root.get("Conditions", {}))}
    template.pop("Globals", None)
    outputs: dict[str, Any] = {}
    for name, resource in root["Resources"].items():
        if resource.get("Type") != STACK:
            _add(template["Resources"], name, _with_globals(resource, root), "template.yaml")
            continue
        outputs |= _put_in(template, name, resource, read)
    for section in ("Resources", "Outputs"):
        if section in template:
            template[section] = _replaced(template[section], outputs)
    return template


def _put_in(
    template: dict[str, Any], name: str, stack: dict[str, Any], read: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Add what one nested stack makes to the template; returns what its outputs stand for."""
    path, made = stack["Properties"]["TemplateURL"], stack.get("Condition")
    child = read(path)
    values = _values(name, path, child, stack["Properties"].get("Parameters", {}))
    for condition, decision in child.get("Conditions", {}).items():
        _add(template["Conditions"], condition, _replaced(decision, values), path)
    for section in ("Mappings", "Rules"):
        for each, content in child.get(section, {}).items():
            _add(template.setdefault(section, {}), each, content, path)
    for each, content in child["Resources"].items():
        own = content.get("Condition")
        part = _replaced(_with_globals(content, child), values if own is None else _under(values, own, holds=True))
        if made is not None:
            part["Condition"] = _both(template["Conditions"], made, part.get("Condition"))
        _add(template["Resources"], each, part, path)
    return {
        f"{name}.Outputs.{output}": _replaced(content["Value"], values)
        for output, content in child.get("Outputs", {}).items()
    }


def _values(name: str, path: str, child: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What each parameter of a nested stack stands for."""
    parameters = child.get("Parameters", {})
    where = f"template.yaml: {name}/Parameters"
    for unknown in sorted(set(given) - set(parameters)):
        raise SourceError(f"{where}: {path} has no parameter {unknown}")
    values = {each: parameter["Default"] for each, parameter in parameters.items() if "Default" in parameter} | given
    for missing in sorted(set(parameters) - set(values)):
        raise SourceError(f"{where}: {missing}, which {path} needs, is not given")
    return {each: _members(value) if _is_list(parameters[each]) else value for each, value in values.items()}


def _is_list(parameter: dict[str, Any]) -> bool:
    return bool(parameter["Type"] == "CommaDelimitedList")


def _members(value: Any) -> Any:
    """What a list parameter stands for: a stack is given a text with commas, and a reference to it is a list."""
    match value:
        case {"Fn::Join": [",", members]}:
            return members
        case {"Fn::If": [str(condition), yes, no]}:
            return {"Fn::If": [condition, _members(yes), _members(no)]}
        case {"Fn::Sub": _}:
            return {"Fn::Split": [",", value]}
        case str():
            return value.split(",")
        case _:
            return value


def _with_globals(resource: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """A function with what its own file says of all its functions."""
    shared = template.get("Globals", {}).get("Function", {})
    if resource.get("Type") != "AWS::Serverless::Function":
        return resource
    return {**resource, "Properties": _merged(shared, resource.get("Properties", {}))}


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Own properties before the shared ones; objects are merged member by member."""
    made = {**shared, **own}
    for name in shared.keys() & own.keys():
        if isinstance(shared[name], dict) and isinstance(own[name], dict):
            made[name] = _merged(shared[name], own[name])
    return made


def _both(conditions: dict[str, Any], made: str, own: str | None) -> str:
    """The condition under which a resource is there: its own, and that of its stack."""
    if own is None:
        return made
    both = f"{made}{own}"
    conditions[both] = {"Fn::And": [{"Condition": made}, {"Condition": own}]}
    return both


def _add(parts: dict[str, Any], name: str, content: Any, path: str) -> None:
    if parts.get(name, content) != content:
        raise SourceError(f"{path}: the name {name} is in another file too; one name, one thing")
    parts[name] = content


def _replaced(value: Any, values: dict[str, Any]) -> Any:  # noqa: PLR0911 - a function of CloudFormation each
    """A part of a template with references to parameters, or to outputs of stacks, replaced by what they stand for."""
    match value:
        case {"Ref": str(name)} if name in values:
            return values[name]
        case {"Fn::GetAtt": [str(name), str(attribute)]} if f"{name}.{attribute}" in values:
            return values[f"{name}.{attribute}"]
        case {"Fn::GetAtt": str(name)} if name in values:
            return values[name]
        case {"Fn::Join": [str(separator), {"Ref": str(name)}]} if name in values:
            return {"Fn::Join": [separator, values[name]]}
        case {"Fn::If": [str(condition), yes, no]}:
            yes = _replaced(yes, _under(values, condition, holds=True))
            return {"Fn::If": [condition, yes, _replaced(no, _under(values, condition, holds=False))]}
        case {"Fn::Sub": str(text)}:
            return _substituted(text, {}, values)
        case {"Fn::Sub": [str(text), dict(own)]}:
            return _substituted(text, own, values)
        case dict():
            return {key: _replaced(member, values) for key, member in value.items()}
        case list():
            return [_replaced(member, values) for member in value]
        case _:
            return value


def _under(values: dict[str, Any], condition: str, *, holds: bool) -> dict[str, Any]:
    """What parameters stand for where a condition is decided: the branch that is not taken is no part of them."""

    def decided(value: Any) -> Any:
        match value:
            case {"Fn::If": [str(name), yes, no]} if name == condition:
                return yes if holds else no
            case _:
                return value

    return {name: decided(value) for name, value in values.items()}


def _substituted(text: str, own: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """An Fn::Sub: a variable that stands for a reference becomes that reference, any other one an own variable."""
    variables = {name: _replaced(part, values) for name, part in own.items()}

    def put(found: re.Match[str]) -> str:
        name = found[1]
        if name in own or name not in values:
            return found[0]
        match values[name]:
            case {"Ref": str(target)}:
                return f"${{{target}}}"
            case {"Fn::GetAtt": [str(target), str(attribute)]}:
                return f"${{{target}.{attribute}}}"
            case other:
                variable = re.sub(r"[^A-Za-z0-9]", "", name)
                variables[variable] = other
                return f"${{{variable}}}"

    text = _VARIABLE.sub(put, text)
    return {"Fn::Sub": [text, variables]} if variables else {"Fn::Sub": text}


def stack_paths(root: dict[str, Any]) -> Iterator[str]:
    """The files of the nested stacks."""
    for resource in root["Resources"].values():
        if resource.get("Type") == STACK:
            yield resource["Properties"]["TemplateURL"]
