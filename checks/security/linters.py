"""The expanded template under checkov, and its policies under parliament: both from an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checks.exceptions import CHECKOV, PARLIAMENT
from checks.faults import Fault, ToolError
from checks.security.policies import policy_documents
from checks.sources import TEMPLATE, Sources

ENVIRONMENT = Path(__file__).parents[2] / ".venv/security"
SCRIPT = Path(__file__).with_name("parliament_findings.py")


def check(sources: Sources) -> Iterator[Fault]:
    """Every finding that is not suppressed with a reason, and every suppression that nothing needs any more.

    Raises:
        ToolError: The environment is missing, or a tool broke.
    """
    tools = ENVIRONMENT / "bin"
    if not tools.is_dir():
        raise ToolError(f"{ENVIRONMENT} is not there: `make check` makes it, with checkov and parliament")
    yield from _checkov(sources, tools)
    yield from _parliament(sources, tools)


def _checkov(sources: Sources, tools: Path) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "expanded.json"
        template.write_text(json.dumps(_without_definitions(sources.expanded)), encoding="utf-8")
        options = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"]
        done = run_tool(
            [str(tools / "python"), "-m", "checkov.main", "--file", str(template), *options], accepted=(0, 1)
        )
    answer = json.loads(done)
    found = [finding for part in _list(answer) for finding in part.get("results", {}).get("failed_checks", [])]
    for finding in found:
        if finding["check_id"] not in CHECKOV:
            resource = finding["resource"].rpartition(".")[2]
            yield Fault(f"{TEMPLATE}: {resource}", f"{finding['check_id']} {finding['check_name']}")
    for unused in sorted(set(CHECKOV) - {finding["check_id"] for finding in found}):
        yield Fault("checks/exceptions.py", f"suppresses {unused}, which checkov does not find any more")


def _without_definitions(template: dict[str, Any]) -> dict[str, Any]:
    """The template without the inlined state machine definitions, which checkov takes for properties."""
    copy: dict[str, Any] = json.loads(json.dumps(template))
    for resource in copy["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            resource["Properties"].pop("Definition", None)
    return copy


def _parliament(sources: Sources, tools: Path) -> Iterator[Fault]:
    documents = dict(policy_documents(sources.expanded))
    done = run_tool([str(tools / "python"), str(SCRIPT)], accepted=(0,), text=json.dumps(documents))
    for finding in json.loads(done):
        if not any(finding["issue"] == issue and part in finding["detail"] for issue, part in PARLIAMENT):
            yield Fault(f"{TEMPLATE}: {finding['policy']}", f"parliament: {finding['issue']} {finding['detail']}")


def run_tool(command: list[str], *, accepted: tuple[int, ...], text: str = "") -> str:
    """What a tool of an environment of its own prints.

    Raises:
        ToolError: It ended with another code, or printed nothing.
    """
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(  # noqa: S603 - our own environment
        command, input=text, capture_output=True, text=True, check=False, timeout=180, env=environment
    )
    if done.returncode not in accepted or not done.stdout.strip():
        raise ToolError(f"{Path(command[0]).name} broke:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
