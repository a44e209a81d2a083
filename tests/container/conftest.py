"""The job image, built once as `make image` builds it, and an embedded AWS that runs jobs as its containers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from console import embedded_aws
from console.checkout import ROOT, Checkout
from console.find.aws import LOCAL_REGION, Aws
from console.find.stack import Stack, stack_resources
from console.local.deployment import REPOSITORY, deploy
from image.build import Recipe, build
from tests.conformance.account import Account
from tests.workflow.runs import Runs

TAG = "millrace-test"
BASE = os.environ.get("MILLRACE_BASE_IMAGE", "")
"""Another base image than the Dockerfile's: where no registry can be reached, one that stands for it."""
NETWORK = os.environ.get("MILLRACE_BUILD_NETWORK", "host")


def docker(*arguments: str, code: int = 0) -> str:
    """What a docker command prints; it must end with this exit code."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> str:
    """The id of the job image."""
    version = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=60, check=False)
    if version.returncode:
        pytest.fail(f"no Docker engine answers; .ci/containers starts one: {version.stderr}", pytrace=False)
    return build(Recipe(base=BASE, network=NETWORK), TAG)


@pytest.fixture(scope="session")
def probe(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The job image without its entry point, by a name that says so: its jobs run any command."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / "Dockerfile").write_text(f"FROM {TAG}\nENTRYPOINT []\n")
    docker("build", "--tag", f"{TAG}-probe", str(folder))
    assert image
    return f"{TAG}-probe"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded_aws.EmbeddedAws]:
    """An embedded AWS whose jobs are containers, on a free port."""
    options = ["--executor=docker", "--enforce-iam", "--stop-grace-seconds=2", "--max-jobs=2"]
    with embedded_aws.running(0, state_dir=tmp_path_factory.mktemp("embedded-aws"), options=options) as running:
        yield running


@pytest.fixture(scope="session")
def stack(image: str, server: embedded_aws.EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The real template with the image's digest, deployed by the real sam."""
    checkout = Checkout(ROOT, tmp_path_factory.mktemp("stack"))
    deployed, _ = deploy(checkout, server.endpoint_url, server.pid, print, f"{REPOSITORY}@{image}")
    return deployed


@pytest.fixture(scope="session")
def runs(stack: Stack, server: embedded_aws.EmbeddedAws) -> Runs:
    """Starts executions, waits for them, looks at what they wrote."""
    found = embedded_aws.credentials(server.endpoint_url)
    s3: Any = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=LOCAL_REGION,
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
    )
    return Runs(Aws.embedded(server.endpoint_url), s3, stack.state_machine_arn, stack.job_queue_arn)


@pytest.fixture(scope="session")
def account(server: embedded_aws.EmbeddedAws) -> Account:
    """The account's administrator."""
    return Account(server.endpoint_url)


@pytest.fixture(scope="session")
def queue(account: Account) -> str:
    """A queue that the tests share."""
    return account.queue()


@pytest.fixture(scope="session")
def probing(account: Account, queue: str, stack: Stack, probe: str) -> Callable[..., str]:
    """Submit a job of the real migrate job definition, but of a program of one's own; returns the job's id.

    Call it with Python source; what else is given replaces containerProperties.
    """
    found = stack_resources(account.client("cloudformation"), stack.name)
    (arn,) = [each["PhysicalResourceId"] for each in found if each["LogicalResourceId"] == "MigrateJobDefinition"]
    (real,) = account.batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
    assert real["containerProperties"]["image"].startswith(f"{REPOSITORY}@sha256:")

    def submit(source: str, **replaced: Any) -> str:
        container = {**real["containerProperties"], "image": probe, "command": ["python", "-c", source], **replaced}
        return account.submit(queue, account.definition(container=container))

    return submit


@pytest.fixture(scope="session")
def printed(account: Account, stack: Stack) -> Callable[[str], list[Any]]:
    """What a job has written, line by line; each line is JSON."""

    def lines(job_id: str) -> list[Any]:
        return [json.loads(line) for line in account.output(job_id, stack.outputs["JobLogGroupName"])]

    return lines


@pytest.fixture(scope="session")
def bill(image: str) -> dict[str, Any]:
    """The bill of materials inside the image."""
    text = docker("run", "--rm", "--network=none", "--entrypoint", "cat", image, "/opt/millrace/sbom.cdx.json")
    found: dict[str, Any] = json.loads(text)
    assert found == json.loads((Path(ROOT) / "build/image/sbom.cdx.json").read_text())
    return found
