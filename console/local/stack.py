"""The embedded AWS of this checkout, up and deployed."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from console.checkout import DEFAULT_PORT, Checkout
from console.deploy.installation import install_server
from console.deploy.parameters import NO_PARAMETERS
from console.embedded_aws import EmbeddedAws, PortTakenError, find, start
from console.find.stack import Stack
from console.local.deployment import alone, deploy
from console.terminal import Terminal, timed


def bring_up(checkout: Checkout, port: int | None, terminal: Terminal, *, enforce_iam: bool = False) -> EmbeddedAws:
    """Start the embedded AWS, or find the one that runs.

    Args:
        checkout: Whose embedded AWS.
        port: The port for a new one; one that runs keeps its own. None: the usual one, or a free one.
        terminal: Gets a line for each step.
        enforce_iam: Whether a new one checks IAM policies.

    Raises:
        EmbeddedAwsError: It does not start: the port that was asked for is taken, say.
        InstallationError: What it needs could not be installed.
    """
    checkout.state.mkdir(parents=True, exist_ok=True)
    with alone(checkout.state):  # two runs may start together
        server = find(checkout.state)
        if server is not None:
            return server
        install_server(checkout, lambda line: terminal.note(f"{line[0].upper()}{line[1:]} ..."))
        options = ["--job-python", sys.executable] if checkout.is_carried else []
        options += ["--enforce-iam"] if enforce_iam else []
        with timed() as took:
            try:
                server = start(DEFAULT_PORT if port is None else port, state_dir=checkout.state, options=options)
            except PortTakenError:
                if port is not None:
                    raise
                terminal.note(f"Port {DEFAULT_PORT} is taken; a free one is used instead.")
                server = start(0, state_dir=checkout.state, options=options)
            terminal.note(f"The embedded AWS is up at {server.endpoint_url} ({took()}).")
    return server


def bring_up_to_date(
    checkout: Checkout, server: EmbeddedAws, terminal: Terminal, parameters: Mapping[str, str] = NO_PARAMETERS
) -> Stack:
    """Deploy this checkout to the embedded AWS if it changed.

    Args:
        checkout: The sources.
        server: The embedded AWS.
        terminal: Gets a line for each step.
        parameters: The template's parameters that the user gave; those of earlier deployments on it stay.

    Raises:
        ToolMissingError: sam is not installed.
        DeployError: sam failed.
    """
    with timed() as took:
        stack, deployed = deploy(
            checkout,
            server.endpoint_url,
            server.pid,
            lambda line: terminal.note(f"{line} ..."),
            parameters=parameters,
        )
        if deployed:
            terminal.note(f"The stack {stack.name} is deployed ({took()}).")
    return stack
