"""`make deploy` builds for the runtime that the stack has."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from samcli.cli.types import CfnParameterOverridesType

from console.checkout import ROOT
from console.find.aws import Aws
from console.find.deployed_runtime import main


def asked(answer: dict[str, Any] | str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """What is printed where CloudFormation answers so: a stack, or the message of an error."""
    client = boto3.client("cloudformation", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    aws = Aws()
    aws.__dict__["cloudformation"] = client
    with Stubber(client) as stubber:
        if isinstance(answer, str):
            stubber.add_client_error("describe_stacks", "ValidationError", answer)
        else:
            stack = {"StackName": "s", "StackStatus": "UPDATE_COMPLETE", "CreationTime": "2026-01-01T00:00:00Z"}
            stubber.add_response("describe_stacks", {"Stacks": [{**stack, **answer}]}, {"StackName": "s"})
        code = main("s", aws)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_runtime_of_the_stack_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A stack that was deployed with another runtime than the default keeps it, so it is built for."""
    stack = {"Parameters": [{"ParameterKey": "LambdaRuntime", "ParameterValue": "python3.13"}]}
    assert asked(stack, capsys) == (0, "LambdaRuntime=python3.13\n", "")


def test_a_new_stack_gets_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed for a stack that is not there yet."""
    assert asked("Stack with id s does not exist", capsys) == (0, "", "")


def test_no_answer_is_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the stack cannot be asked for, the deployment ends before it builds for the wrong runtime."""
    code, out, told = asked("Rate exceeded", capsys)
    assert (code, out) == (1, "")
    assert "cannot ask for the runtime of the stack s" in told


@pytest.mark.parametrize("runtime", ["", "LambdaRuntime=python3.13"])
@pytest.mark.parametrize("given", ["", "Compute=EC2 LambdaRuntime=python3.11"])
def test_make_builds_for_it(tmp_path: Path, runtime: str, given: str) -> None:
    """The shell line of `make deploy` hands sam the stack's runtime, and the user's own behind it, which counts."""
    (tmp_path / "python").write_text(f"#!/bin/sh\necho {runtime}\n")
    (tmp_path / "sam").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    for name in ("python", "sam"):
        (tmp_path / name).chmod(0o755)
    words = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "deploy",
        f"BIN={tmp_path}",
        *([f"PARAMETERS={given}"] * bool(given)),
    ]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    line = said[said.index("runtime=") : said.index(f"{tmp_path}/sam deploy")]
    environment = {"PATH": os.environ["PATH"]}
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, env=environment).stdout
    built = shlex.join(ran.splitlines())
    overrides = ran.splitlines()[2:] if "--parameter-overrides" in built else []
    found: dict[str, str] = CfnParameterOverridesType().convert(tuple(overrides), None, None) if overrides else {}
    wanted = dict(pair.split("=") for pair in (*runtime.split(), *given.split()))
    assert found == wanted
    assert ran.splitlines()[0] == "build"
