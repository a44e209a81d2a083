"""A copy of the real files passes every check, as `make check` shows of the files themselves; the command says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from checks.__main__ import CHECKS, main
from checks.faults import SourceError, ToolError
from tests.infrastructure.checkout import REPOSITORY, Checkout, needs_tools

LONG = pytest.mark.long
MARKS = {"cloudformation": [LONG], "deploy_failures": [LONG], "security": [needs_tools, LONG]}
"""What a check cannot do without, and which take longest."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS.get(name, ())) for name in CHECKS if name != "state_language"]
)
def test_passes_the_copy_that_faults_are_planted_in(name: str, checkout: Checkout) -> None:
    """Without a planted fault a copy of the real files passes, so that what a test sees is what it planted."""
    assert [str(fault) for fault in CHECKS[name](checkout.sources())] == []


def test_prints_each_fault_and_ends_with_1(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command names check, file, place and fault, a line each, and fails."""
    del checkout.state("Plan")["Comment"]
    checkout.sources()
    monkeypatch.chdir(checkout.root)
    assert main(["state_rules"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "state_rules: statemachine/migration.asl.json: Plan: has no Comment: say what the state is for",
        "1 checks, 1 faults",
    ]


def test_refuses_a_check_that_there_is_not() -> None:
    """A misspelt name runs nothing, and the exit code says wrong usage."""
    with pytest.raises(SystemExit) as stopped:
        main(["state_rulez"])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / "template.yaml").unlink(), "template.yaml"),
        (lambda root: (root / "template.yaml").write_text("Resources: [", "utf-8"), "template.yaml"),
        (
            lambda root: (root / "statemachine/migration.asl.json").unlink(),
            "MigrationStateMachine/Properties/DefinitionUri",
        ),
        (
            lambda root: (root / "statemachine/migration.asl.json").write_text('{"a": ${A}}', "utf-8"),
            "this is not JSON",
        ),
    ],
    ids=["no template", "a template that is no YAML", "no definition", "a placeholder without quotes"],
)
def test_names_a_file_that_it_cannot_read(
    break_it: object,
    message: str,
    checkout: Checkout,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missing or broken file, which sam and cfn-lint take no notice of behind DefinitionUri, stops the command."""
    checkout.sources()
    break_it(checkout.root)  # type: ignore[operator]
    monkeypatch.chdir(checkout.root)
    assert main(["substitutions"]) == 2
    assert message in capsys.readouterr().err


def test_says_what_sam_refuses(checkout: Checkout) -> None:
    """A template that the SAM transform refuses is named as such, with SAM's reason."""
    checkout.resource("ReadPlanFunction")["Handlerr"] = "read_plan.handler"
    with pytest.raises(SourceError, match="Handlerr"):
        list(CHECKS["cloudformation"](checkout.sources()))


def test_says_that_node_is_missing(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Node.js the check of the state language stops; it never passes without a linter."""
    monkeypatch.setenv("PATH", str(checkout.root))
    with pytest.raises(ToolError, match=r"Node\.js"):
        list(CHECKS["state_language"](checkout.sources()))


@pytest.mark.long
def test_sam_validate_sees_a_wrong_property(checkout: Checkout) -> None:
    """`sam validate --lint`, the other half of `make check`, fails on a property that Batch's schema does not have."""
    checkout.resource("StandardJobQueue")["Prioritty"] = 1
    checkout.sources()
    sam = Path(sys.executable).with_name("sam")
    command = [str(sam), "validate", "--lint", "--region", "us-east-1", "--template", "template.yaml"]
    done = subprocess.run(command, cwd=checkout.root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "Prioritty" in done.stdout + done.stderr


def test_the_lock_of_the_npm_linters_names_no_registry() -> None:
    """The lock holds versions and digests alone, so that any machine fetches from the registry it is told to use."""
    lock = json.loads((REPOSITORY / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
