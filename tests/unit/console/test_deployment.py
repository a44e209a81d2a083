"""When a deployment is due, and how a failed one is told."""

import json
import sys
from pathlib import Path

import pytest
from samcli.cli.types import CfnParameterOverridesType

from console.checkout import ROOT, Checkout
from console.deploy.installation import find_sam
from console.deploy.parameters import quoted
from console.errors import DeployError, ToolMissingError
from console.local import deployment
from console.local.deployment import BUILT_FROM, DEPLOYED_FROM, deploy, digest

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A small checkout of its own."""
    for name in (
        "functions/f.py",
        "layer/python/l.py",
        "batch_jobs/workloads/w/record.py",
        "statemachine/m.json",
        "stacks/s.yaml",
        "template.yaml",
        "samconfig.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return Checkout(tmp_path, tmp_path / "build/local")


def test_a_changed_source_makes_a_deployment_due(checkout: Checkout) -> None:
    """A change in any source, its name included, changes the digest; the state machine concerns the deployment only."""
    seen = {digest(checkout.root, DEPLOYED_FROM)}
    built = digest(checkout.root, BUILT_FROM)
    for path in sorted(path for path in checkout.root.rglob("*") if path.is_file()):
        path.write_text("changed")
        seen.add(digest(checkout.root, DEPLOYED_FROM))
    (checkout.root / "functions/f.py").rename(checkout.root / "functions/g.py")
    seen.add(digest(checkout.root, DEPLOYED_FROM))
    assert len(seen) == 9
    now = digest(checkout.root, BUILT_FROM)
    assert now != built
    (checkout.root / "statemachine/m.json").write_text("again")
    assert digest(checkout.root, BUILT_FROM) == now


def test_what_python_compiles_is_no_source(checkout: Checkout) -> None:
    """Running the functions' tests leaves compiled files behind: they make no deployment due."""
    before = digest(checkout.root, DEPLOYED_FROM)
    (checkout.root / "functions/__pycache__").mkdir()
    (checkout.root / "functions/__pycache__/f.cpython-311.pyc").write_bytes(b"1")
    assert digest(checkout.root, DEPLOYED_FROM) == before


def test_the_digest_covers_what_the_template_names() -> None:
    """Every file and folder that the real template takes in is part of the digest."""
    template = (ROOT / "template.yaml").read_text()
    named = {
        line.split(":")[1].strip().rstrip("/")
        for line in template.splitlines()
        if "Uri: " in line or "TemplateURL: " in line
    }
    folders = {name.split("/")[0] for name in named if name and not name.startswith("!") and (ROOT / name).exists()}
    assert folders == {"functions", "layer", "stacks", "statemachine"}
    assert folders <= set(DEPLOYED_FROM)


def test_sam_is_found_beside_the_interpreter_or_on_the_path(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without .venv/bin on the PATH its sam is found all the same; without any sam the error says what to do."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    with pytest.raises(ToolMissingError, match="make install"):
        find_sam(checkout, print)
    for folder in (tmp_path / "elsewhere", tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "sam").write_text("#!/bin/sh\n")
        (folder / "sam").chmod(0o755)
        assert find_sam(checkout, print) == str(folder / "sam")


def test_a_failed_build_shows_sams_last_words(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command and the log, its details are the last lines, and nothing counts as built."""
    sam = checkout.root / "sam"
    sam.write_text('#!/bin/sh\nfor i in $(seq 40); do echo "line $i"; done\necho "AWS: $AWS_PROFILE." >&2\nexit 4\n')
    sam.chmod(0o755)
    monkeypatch.setattr(deployment, "find_sam", lambda _checkout, _say: str(sam))
    monkeypatch.setenv("AWS_PROFILE", "production")
    with pytest.raises(DeployError, match="sam build: sam ended with exit code 4; the whole output is in ") as caught:
        deploy(checkout, UNREACHABLE, 1, lambda _line: None)
    lines = caught.value.details.splitlines()
    assert lines[-1] == "  AWS: ."
    assert len(lines) == deployment.SHOWN_LINES
    assert not checkout.deployed.exists()
    assert not (checkout.build / "millrace.json").exists()


@pytest.mark.parametrize(
    "value",
    ['{"A": "a \\"quoted\\" \\\\ path\\n"}', '{"A": "\\u0022"}', "rate(1 day)", 'a "b" c', "in/*.csv", "a\\ b", "[]"],
)
def test_a_value_arrives_whole_through_sam(value: str) -> None:
    """Sam's own parser gives back what was quoted: the same text, or the same JSON."""
    (found,) = CfnParameterOverridesType().convert((f"P={quoted(value)}",), None, None).values()
    assert found == value or json.loads(found) == json.loads(value)
