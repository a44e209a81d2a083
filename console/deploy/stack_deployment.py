"""Deploying the stack on AWS with `sam build` and `sam deploy`, from a checkout or from what a wheel carries."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from console.checkout import Checkout
from console.deploy.installation import find_sam
from console.deploy.parameters import RUNTIME, quoted
from console.errors import DeployError
from console.find.aws import Aws
from console.find.deployed_runtime import PARAMETER, deployed_runtime


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is deployed where.

    Attributes:
        stack: The stack's name.
        parameters: The template's parameters that the user gave; the stack keeps the others.
        region: The AWS Region; None for the environment's.
        profile: The profile of the user's AWS configuration; None for the environment's.
        confirmed: Whether the changes are made without asking.
    """

    stack: str
    parameters: Mapping[str, str]
    region: str | None = None
    profile: str | None = None
    confirmed: bool = False

    def environment(self) -> dict[str, str]:
        """The user's environment, with what leads to the account."""
        chosen = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, "AWS_PROFILE": self.profile}
        return {**os.environ, **{name: value for name, value in chosen.items() if value}, "SAM_CLI_TELEMETRY": "0"}


def runtime_of(deployment: Deployment) -> str:
    """The functions' runtime: what the user says, else what the stack has, else this Python.

    `sam deploy` keeps a parameter that it is not given. `sam build` does not: it takes the template's default.
    """
    aws = Aws(region=deployment.region, profile=deployment.profile)
    return deployment.parameters.get(PARAMETER) or deployed_runtime(deployment.stack, aws) or RUNTIME


def deploy_stack(checkout: Checkout, deployment: Deployment, image: str, say: Callable[[str], None]) -> None:
    """Build the stack and deploy it; sam's output goes to the terminal, and so do its questions.

    Args:
        checkout: The sources.
        deployment: What is deployed where.
        image: The job image, by its digest.
        say: Takes a line on what is being done.

    Raises:
        ToolMissingError: sam is not installed.
        InstallationError: sam could not be installed.
        DeployError: sam failed; its output was shown.
    """
    sam = find_sam(checkout, say)
    runtime = f"{PARAMETER}={runtime_of(deployment)}"
    parameters = [runtime, *(f"{name}={quoted(value)}" for name, value in deployment.parameters.items()
                             if name != PARAMETER)]  # fmt: skip
    environment = deployment.environment()
    environment["PATH"] = f"{checkout.tools}{os.pathsep}{environment.get('PATH', os.defpath)}"
    say(f"building the functions and the layer with sam build, for {runtime.partition('=')[2]}")
    _run([sam, "build", "--parameter-overrides", *parameters], checkout, environment)
    say(f"deploying the stack {deployment.stack} with sam deploy")
    options = ["--no-confirm-changeset"] if deployment.confirmed else []
    words = ["--stack-name", deployment.stack, *options, "--parameter-overrides", f"Image={image}", *parameters]
    _run([sam, "deploy", *words], checkout, environment)


def _run(command: list[str], checkout: Checkout, environment: Mapping[str, str]) -> None:
    ended = subprocess.run(command, cwd=checkout.root, env=environment, check=False)  # noqa: S603 - found by name
    if ended.returncode:
        raise DeployError(
            f"sam ended with exit code {ended.returncode}; its output is above",
            operation=f"sam {command[1]}",
        )
