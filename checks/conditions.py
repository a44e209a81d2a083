"""The template under given parameters: which resources there are, and which references lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from checks.faults import Fault, SourceError

VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")
NO_VALUE = {"Ref": "AWS::NoValue"}


class Resolver:
    """Decides the conditions of a template under given parameters, and leaves references to resources as they are."""

    def __init__(self, template: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take a plain CloudFormation template, and parameter values; the other parameters keep their defaults."""
        self.conditions: dict[str, Any] = template.get("Conditions", {})
        self.parameters: dict[str, Any] = template.get("Parameters", {})
        self.values = {name: parameter.get("Default") for name, parameter in self.parameters.items()} | dict(values)

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        return self._is_true(self.conditions[condition])

    def resolve(self, value: Any) -> Any:
        """A value with its conditional parts decided: the branch not taken is gone."""
        match value:
            case {"Fn::If": [str(name), yes, no]}:
                return self.resolve(yes if self.holds(name) else no)
            case dict():
                decided = {key: self.resolve(member) for key, member in value.items()}
                return {key: member for key, member in decided.items() if member != NO_VALUE}
            case list():
                return [member for member in map(self.resolve, value) if member != NO_VALUE]
            case _:
                return value

    def _is_true(self, condition: Any) -> bool:
        match condition:
            case {"Condition": str(name)}:
                holds = self.holds(name)
            case {"Fn::Equals": [left, right]}:
                holds = self._text(left) == self._text(right)
            case {"Fn::Not": [negated]}:
                holds = not self._is_true(negated)
            case {"Fn::And": list(parts)}:
                holds = all(map(self._is_true, parts))
            case {"Fn::Or": list(parts)}:
                holds = any(map(self._is_true, parts))
            case _:
                raise SourceError(f"template.yaml: no condition function is known in {condition}")
        return holds

    def _text(self, value: Any) -> str:
        """One side of Fn::Equals. A list parameter's value is its elements with commas between."""
        match value:
            case {"Ref": str(name)} if name in self.parameters:
                return str(self.values[name])
            case {"Fn::Sub": str(text)}:
                return VARIABLE.sub(lambda found: self._text({"Ref": found[1]}), text)
            case {"Fn::Join": [str(separator), members]}:
                return separator.join(self._members(members))
            case {"Fn::Select": [index, members]}:
                return self._members(members)[int(index)]
            case str() | int():
                return str(value)
            case _:
                raise SourceError(f"template.yaml: Fn::Equals takes parameters and constants here, not {value}")

    def _members(self, value: Any) -> list[str]:
        """A list within Fn::Equals: a parameter's elements, a text that is split, or texts."""
        match value:
            case {"Fn::Split": [str(separator), text]}:
                return self._text(text).split(separator)
            case list():
                return list(map(self._text, value))
            case _:
                return self._text(value).split(",")


def deployed(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The template as CloudFormation takes it under these answers: conditions decided, what is not made left out."""
    resolver = Resolver(template, values)
    made: dict[str, Any] = {"Mappings": template["Mappings"]} if "Mappings" in template else {}
    for section in ("Resources", "Outputs"):
        made[section] = {
            name: resolver.resolve({key: value for key, value in each.items() if key != "Condition"})
            for name, each in template[section].items()
            if "Condition" not in each or resolver.holds(each["Condition"])
        }
    parameters = {
        name: {**each, "Default": values[name]} if name in values else each
        for name, each in template["Parameters"].items()
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": parameters, **made}


def dangling_references(template: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Fault]:
    """References to a resource that is not there under these parameters: the deployment would fail on them.

    Args:
        template: A plain CloudFormation template.
        values: Parameter values; the others keep their defaults.

    Yields:
        A fault per resource or output that refers to one whose condition is false.
    """
    resolver = Resolver(template, values)
    there = {name: part for name, part in template["Resources"].items() if _is_there(part, resolver)}
    known = set(there) | set(resolver.parameters)
    outputs = {name: part for name, part in template.get("Outputs", {}).items() if _is_there(part, resolver)}
    for section, parts in (("Resources", there), ("Outputs", outputs)):
        for name, part in parts.items():
            for target in sorted(set(references(resolver.resolve(part))) - known):
                if not target.startswith("AWS::"):
                    yield Fault(f"template.yaml, expanded: {section}/{name}", f"refers to {target}, which is not there")


def _is_there(part: Mapping[str, Any], resolver: Resolver) -> bool:
    return "Condition" not in part or resolver.holds(part["Condition"])


def references(value: Any) -> Iterator[str]:
    """The logical ids that a resolved part of a template refers to by Ref, Fn::GetAtt, Fn::Sub and DependsOn."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::GetAtt": str(name)}:
            yield name.partition(".")[0]
        case {"Fn::Sub": [str(text), dict(own)]}:
            yield from (name.partition(".")[0] for name in VARIABLE.findall(text) if name not in own)
            yield from references(own)
        case {"Fn::Sub": str(text)}:
            yield from (name.partition(".")[0] for name in VARIABLE.findall(text))
        case dict():
            depends_on = value.get("DependsOn", []) if "Type" in value else []
            yield from [depends_on] if isinstance(depends_on, str) else depends_on
            for member in value.values():
                yield from references(member)
        case list():
            for member in value:
                yield from references(member)
