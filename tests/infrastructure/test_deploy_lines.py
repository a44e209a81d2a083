"""`make deploy` hands its parameters on whole, and the lines of the docs name parameters that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType

from tests.infrastructure.checkout import REAL, REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
LINES = [
    (page, line)
    for page in PAGES
    for line in re.findall(r"make deploy[^`\n]*PARAMETERS=(?:'[^'\n]*'|\"[^\"\n]*\")", page.read_text("utf-8"))
]


def parameters(line: str) -> dict[str, str]:
    """What sam takes for the stack's parameters when this line is typed into a shell."""
    words = [*shlex.split(line), "--dry-run", "--no-print-directory"]
    said = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    (deploy,) = (shlex.split(each) for each in said.splitlines() if "sam deploy" in each)
    given = deploy[deploy.index("--parameter-overrides") + 1 :]
    found: dict[str, str] = CfnParameterOverridesType().convert(tuple(given), None, None)
    assert found.pop("Image")  # beside the user's own: the new image's digest
    return found


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page.name}-{line}" for page, line in LINES])
def test_a_line_of_the_docs(page: Path, line: str) -> None:
    """Every parameter is the template's, and its value one that it lets in."""
    for name, value in parameters(line).items():
        parameter = REAL.template["Parameters"][name]
        assert re.search(parameter.get("AllowedPattern", ""), value), f"{page}: {name}"
        assert value in map(str, parameter.get("AllowedValues", [value])), f"{page}: {name}"


def test_there_are_such_lines() -> None:
    """The docs show parameters, a schedule's among them."""
    assert any("ScheduleExpression" in line for _, line in LINES)


def test_values_stay_whole() -> None:
    """Blanks, quotes of both kinds and JSON come through make and the shell as they are."""
    request = r'UploadRequest="{\"workload\": \"a\"}"'
    given = f"""make deploy PARAMETERS='ScheduleExpression="cron(0 3 * * ? *)" Compute=EC2 {request}'"""
    assert parameters(given) == {
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "Compute": "EC2",
        "UploadRequest": '{"workload": "a"}',
    }
    assert parameters('make deploy PARAMETERS="UploadKeys=it\'s/*"') == {"UploadKeys": "it's/*"}
