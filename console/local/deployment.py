"""Deploying this checkout on the embedded AWS with the real `sam build` and `sam deploy`, and only when it is due."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from console import embedded_aws
from console.checkout import Checkout, files_digest
from console.deploy.installation import find_sam
from console.deploy.parameters import NO_PARAMETERS, RUNTIME, quoted
from console.errors import DeployError, StackNotFoundError
from console.find.aws import LOCAL_REGION, Aws
from console.find.stack import LOCAL_STACK, Stack

BUILT_FROM = ("template.yaml", "stacks", "samconfig.toml", "functions", "layer", "batch_jobs")
"""What `sam build` reads; of batch_jobs the workloads' records, and a digest of it all, which Prepare Run needs."""

DEPLOYED_FROM = (*BUILT_FROM, "statemachine")
"""What `sam deploy` puts on the embedded AWS."""

REPOSITORY = f"123456789012.dkr.ecr.{LOCAL_REGION}.amazonaws.com/millrace"
"""Of the image that the stack names here; nothing is there."""

STAND_IN_IMAGE = f"{REPOSITORY}@sha256:{'0' * 64}"
"""Where jobs run as processes of this machine, from the checkout: no image is looked at."""

OPTIONS = ("--config-env", "local", "--parameter-overrides", f"LambdaRuntime={RUNTIME}")
"""What `sam build` and `sam deploy` get; the rest is in samconfig.toml."""

SHOWN_LINES = 15
"""How many of sam's last lines a failure shows."""


def deploy(
    checkout: Checkout,
    endpoint_url: str,
    server_pid: int,
    say: Callable[[str], None],
    image: str = STAND_IN_IMAGE,
    *,
    parameters: Mapping[str, str] = NO_PARAMETERS,
) -> tuple[Stack, bool]:
    """Bring the stack of the embedded AWS up to this checkout.

    Args:
        checkout: The sources, and where the state is kept.
        endpoint_url: The embedded AWS.
        server_pid: Its process: another one knows nothing of what was deployed before.
        say: Called with each step, one line each.
        image: The image of the jobs, by its digest.
        parameters: The template's parameters that the user gave. Those of an earlier deployment on this server stay.

    Returns:
        The stack, and whether anything had to be deployed.

    Raises:
        ToolMissingError: sam is not installed.
        InstallationError: sam could not be installed.
        DeployError: sam failed.
    """
    checkout.state.mkdir(parents=True, exist_ok=True)
    with alone(checkout.build):
        last = _read(checkout.deployed) or {}
        kept = last.get("parameters", {}) if last.get("server_pid") == server_pid else {}
        chosen = {**kept, **parameters}
        sources = digest(checkout.root, DEPLOYED_FROM)
        due = {"server_pid": server_pid, "sources": sources, "image": image, "parameters": chosen}
        aws = Aws.embedded(endpoint_url)
        if last == due:
            try:
                return Stack.find(aws, LOCAL_STACK), False
            except StackNotFoundError:
                say("the stack is gone")
        sam = find_sam(checkout, say)
        checkout.sam_log.unlink(missing_ok=True)
        _build(checkout, sam, say)
        say("deploying with sam deploy")
        overrides = [f"Image={image}", *(f"{name}={quoted(value)}" for name, value in chosen.items())]
        _run(checkout, [sam, "deploy", *OPTIONS, *overrides], _environment(checkout, endpoint_url))
        stack = Stack.find(aws, LOCAL_STACK)
        checkout.deployed.write_text(json.dumps(due))
        return stack, True


def digest(root: Path, parts: tuple[str, ...]) -> str:
    """A digest over the content of files and folders, and the runtime; compiled Python files do not count."""
    places = (place for part in parts for place in root.glob(part))
    found = (file for place in places for file in (place.rglob("*") if place.is_dir() else (place,)))
    return f"sha256:{files_digest(root, (file for file in found if file.is_file()), RUNTIME.encode())}"


def _build(checkout: Checkout, sam: str, say: Callable[[str], None]) -> None:
    """Run `sam build` unless what it made last was made from the same sources, and by us."""
    made = checkout.build / "build" / "template.yaml"
    record = checkout.build / "millrace.json"
    sources = digest(checkout.root, BUILT_FROM)
    if made.is_file() and _read(record) == {"sources": sources, "made": made.stat().st_mtime_ns}:
        return
    say("building the functions and the layer with sam build")
    _run(checkout, [sam, "build", *OPTIONS], _environment(checkout, None))
    record.write_text(json.dumps({"sources": sources, "made": made.stat().st_mtime_ns}))


def _environment(checkout: Checkout, endpoint_url: str | None) -> dict[str, str]:
    """The environment of sam: nothing of the user's own AWS, so that it can reach the embedded one only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "BOTO_"))}
    past_proxies = ",".join(filter(None, [kept.pop("no_proxy", None), kept.get("NO_PROXY"), "127.0.0.1,localhost"]))
    tools = f"{checkout.tools}{os.pathsep}{kept.get('PATH', os.defpath)}"
    local = {
        "PATH": tools,  # sam builds with the `python3.x` it finds first: this environment's
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "NO_PROXY": past_proxies,
        "no_proxy": past_proxies,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",  # seconds between two looks at the stack; sam's own default is 5
        "PYTHONWARNINGS": "ignore",
    }
    if endpoint_url is None:  # `sam build` asks AWS nothing
        return {**kept, **local}
    return {**kept, **local, "AWS_ENDPOINT_URL": endpoint_url, **embedded_aws.credentials(endpoint_url).variables()}


def _run(checkout: Checkout, command: list[str], environment: dict[str, str]) -> None:
    """Run sam in the checkout, its output in the log file.

    Raises:
        DeployError: It ended with another code than 0.
    """
    with checkout.sam_log.open("ab") as log:
        ended = subprocess.run(  # noqa: S603 - the command is ours, the program found by name
            command, cwd=checkout.root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if ended.returncode:
        lines = checkout.sam_log.read_text(errors="replace").splitlines()
        shown = "\n".join(f"  {line}" for line in [line for line in lines if line.strip()][-SHOWN_LINES:])
        raise DeployError(
            f"sam ended with exit code {ended.returncode}; the whole output is in {checkout.sam_log}",
            operation=f"sam {command[1]}",
            details=shown,
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time do what the block does; the others wait.

    Args:
        folder: What they would get in each other's way in.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "millrace.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
