"""The files that the checks read: the template with its nested stacks, its state machines, and what SAM makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse
from yaml import YAMLError

from checks.conditions import Resolver
from checks.expansion import expand
from checks.faults import SourceError
from checks.nested import flattened, stack_paths

TEMPLATE = "template.yaml"


@dataclass(frozen=True)
class StateMachine:
    """One AWS::Serverless::StateMachine of the template, and the definition it names.

    Attributes:
        resource: Its logical id.
        path: Its DefinitionUri, relative to the template.
        text: The definition as written.
        definition: The definition as JSON.
        substitutions: Its DefinitionSubstitutions.
    """

    resource: str
    path: str
    text: str
    definition: dict[str, Any]
    substitutions: dict[str, Any]

    def states(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every state with its name, those inside Map and Parallel states too."""
        yield from _states(self.definition)

    def tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every Task state with its name."""
        for name, state in self.states():
            if state.get("Type") == "Task":
                yield name, state

    def where(self, state: str) -> str:
        """A state as faults name it: the file and the state."""
        return f"{self.path}: {state}"


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine.get("States", {}).items():
        yield name, state
        inner = [state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", [])]
        for nested in inner:
            if isinstance(nested, dict):
                yield from _states(nested)


@dataclass(frozen=True)
class Sources:
    """A checkout, read when it is first asked for.

    Attributes:
        root: The folder that holds template.yaml.
    """

    root: Path

    @cached_property
    def template(self) -> dict[str, Any]:
        """The template and its nested stacks as one, functions in their long form; YAML anchors are copies here.

        Raises:
            SourceError: A template is missing or is not YAML, or does not fit the root template.
        """
        return flattened(self.file(TEMPLATE), self.file)

    def nested(self) -> dict[str, dict[str, Any]]:
        """The templates of the nested stacks, by their paths."""
        return {path: self.file(path) for path in stack_paths(self.file(TEMPLATE))}

    def file(self, name: str) -> dict[str, Any]:
        """One template file as it is.

        Raises:
            SourceError: There is none, or it is not YAML.
        """
        try:
            parsed = yaml_parse((self.root / name).read_text(encoding="utf-8"))
        except (OSError, YAMLError) as error:
            raise SourceError(f"{name}: {error}") from error
        template: dict[str, Any] = json.loads(json.dumps(parsed, default=str))
        return template

    @cached_property
    def machines(self) -> tuple[StateMachine, ...]:
        """The state machines of the template.

        Raises:
            SourceError: A definition is missing or is not JSON.
        """
        found = self.of_type("AWS::Serverless::StateMachine")
        return tuple(self._machine(resource, properties) for resource, properties in found.items())

    @cached_property
    def expanded(self) -> dict[str, Any]:
        """The template as CloudFormation gets it, every definition inlined.

        Raises:
            SourceError: SAM refuses the template.
        """
        return expand(self.template, {machine.resource: machine.definition for machine in self.machines})

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties by logical id of the template's resources of one type; Fn::If decided by the defaults."""
        resources = self.template.get("Resources", {})
        resolver = Resolver(self.template, {})
        found = {name: part.get("Properties", {}) for name, part in resources.items() if part.get("Type") == kind}
        return {name: resolver.resolve(properties) for name, properties in found.items()}

    def _machine(self, resource: str, properties: dict[str, Any]) -> StateMachine:
        where = f"{TEMPLATE}: Resources/{resource}/Properties/DefinitionUri"
        uri = properties.get("DefinitionUri")
        if not isinstance(uri, str):
            raise SourceError(f"{where}: the definition must be a file of this repository, not {uri!r}")
        try:
            text = (self.root / uri).read_text(encoding="utf-8")
            definition = json.loads(text)
        except OSError as error:
            raise SourceError(f"{where}: {error}") from error
        except ValueError as error:
            raise SourceError(f"{uri}: this is not JSON, so no linter can read it: {error}") from error
        return StateMachine(resource, uri, text, definition, properties.get("DefinitionSubstitutions", {}))
