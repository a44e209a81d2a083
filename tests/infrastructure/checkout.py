"""A copy of what the checks read, small enough to plant a fault in for every test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from checks.security import linters as security
from checks.sources import TEMPLATE, Sources

REPOSITORY = Path(__file__).parents[2]
COPIED = (
    *("layer/python/millrace/settings.py", "docs/architecture.md"),
    *("layer/python/millrace/__init__.py", "batch_jobs/*/__init__.py"),
)
NAMED = ("functions/*.py", "batch_jobs/*/*.py", "tests/unit/functions/test_*.py")
"""Files whose names alone matter to the checks."""
REAL = Sources(REPOSITORY)
"""Read once."""
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None, reason="no Node.js here: `make check`, which CI runs, does not go without"
)
needs_tools = pytest.mark.skipif(
    not security.ENVIRONMENT.is_dir(), reason="no checkov here: `make check`, which CI runs, does not go without"
)


@dataclass(frozen=True)
class EditedSources(Sources):
    """Sources whose template is there already: to read it from YAML for every test would take most of the time."""

    edited: dict[str, Any]

    @cached_property
    def template(self) -> dict[str, Any]:
        """The template with its edits."""
        return self.edited


class Checkout:
    """The real template and state machine, as objects to edit.

    Attributes:
        root: Where the copy is.
        template: template.yaml, functions in their long form.
        definition: The state machine.
    """

    def __init__(self, root: Path) -> None:
        """Copy the repository's files to `root`."""
        (self.machine,) = REAL.machines
        self.root = root
        self.template: dict[str, Any] = json.loads(json.dumps(REAL.template))
        self.definition: dict[str, Any] = json.loads(self.machine.text)
        for pattern in NAMED:
            for path in REPOSITORY.glob(pattern):
                self.file(str(path.relative_to(REPOSITORY))).touch()
        for pattern in COPIED:
            for path in REPOSITORY.glob(pattern):
                self.file(str(path.relative_to(REPOSITORY))).write_text(path.read_text("utf-8"), "utf-8")

    def file(self, name: str) -> Path:
        """A file of the copy; its folder is there."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def resource(self, name: str) -> dict[str, Any]:
        """A resource's properties, to edit."""
        properties: dict[str, Any] = self.template["Resources"][name]["Properties"]
        return properties

    def container(self, name: str) -> dict[str, Any]:
        """A job definition's ContainerProperties, to edit."""
        properties: dict[str, Any] = self.resource(name)["ContainerProperties"]
        return properties

    def state(self, name: str) -> dict[str, Any]:
        """A state, to edit."""
        state: dict[str, Any] = self.definition["States"][name]
        return state

    def arguments(self, name: str) -> dict[str, Any]:
        """A state's Parameters, to edit."""
        parameters: dict[str, Any] = self.state(name)["Parameters"]
        return parameters

    def sources(self) -> Sources:
        """The copy with its edits, as the checks read it, and written down too: JSON is YAML."""
        self.file(TEMPLATE).write_text(json.dumps(self.template), encoding="utf-8")
        self.file(self.machine.path).write_text(json.dumps(self.definition, indent=2), encoding="utf-8")
        return EditedSources(self.root, json.loads(json.dumps(self.template)))


@dataclass(frozen=True)
class Plant:
    """One fault to plant.

    Attributes:
        why: Why it matters, in one sentence.
        edit: Plants it.
        message: What the check's message must contain.
    """

    why: str
    edit: Callable[[Checkout], object]
    message: str

    def __str__(self) -> str:
        return self.why
