"""Deploying another stack of the real template, with parameters of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from console.checkout import ROOT, Checkout
from console.deploy.installation import find_sam
from console.deploy.parameters import quoted
from console.find.stack import stack_resources
from console.local.deployment import OPTIONS, _environment, alone


def sam_deploy(endpoint_url: str, name: str, **parameters: str) -> None:
    """Run the real `sam deploy` from what the session's deployment built.

    Args:
        endpoint_url: The embedded AWS.
        name: The stack's name.
        parameters: Parameter values; the others keep their defaults.
    """
    overrides = [f"{parameter}={quoted(value)}" for parameter, value in parameters.items()]
    _sam([_found_sam(), "deploy", *OPTIONS, *overrides, "--stack-name", name], endpoint_url)


def sam_delete(endpoint_url: str, name: str) -> None:
    """Run the real `sam delete`."""
    _sam([_found_sam(), "delete", "--no-prompts", "--region", "us-east-1", "--stack-name", name], endpoint_url)


def physical(cloudformation: Any, stack: str, logical_id: str) -> str:
    """The name or ARN of a resource of a stack, or of a stack that is nested in it."""
    (found,) = [
        each["PhysicalResourceId"]
        for each in stack_resources(cloudformation, stack)
        if each["LogicalResourceId"] == logical_id
    ]
    return str(found)


def _found_sam() -> str:
    return find_sam(Checkout.here(), print)


def _sam(command: list[str], endpoint_url: str) -> None:
    with alone(Checkout(ROOT, Path()).build):
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=_environment(Checkout.here(), endpoint_url),
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
