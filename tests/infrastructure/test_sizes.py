"""A template that grew too long to be read, or has too many parameters, is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checks.sources import Sources
from checks.template import sizes
from tests.infrastructure.checkout import REAL

ROOT = "Resources: {Child: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: child.yaml}}}\n"


def parameters(count: int) -> str:
    """The section with so many parameters, in one line."""
    return f"Parameters: {{{', '.join(f'P{number}: {{Type: String}}' for number in range(count))}}}\n"


@pytest.mark.parametrize(
    ("root", "child", "messages"),
    [
        (lambda: ROOT + parameters(30) + "#\n" * 897, "#\n" * 450, []),
        (lambda: ROOT + "#\n" * 899, "", ["template.yaml: has 900 lines"]),
        (lambda: ROOT, "#\n" * 451, ["child.yaml: has 451 lines"]),
        (lambda: ROOT + parameters(31), "", ["template.yaml: Parameters: there are 31"]),
    ],
)
def test_what_is_too_long_is_seen(tmp_path: Path, root: Callable[[], str], child: str, messages: list[str]) -> None:
    """One line or one parameter more than the most is a fault, and the most is none."""
    (tmp_path / "template.yaml").write_text(root())
    (tmp_path / "child.yaml").write_text(child)
    found = [str(fault) for fault in sizes.check(Sources(tmp_path))]
    assert [any(message in each for each in found) for message in messages] == [True] * len(found)


def test_the_nested_stacks_are_those_of_the_folder() -> None:
    """Every file of stacks/ is part of the stack, and is held to the limit."""
    assert sorted(REAL.nested()) == sorted(f"stacks/{path.name}" for path in (REAL.root / "stacks").iterdir())
