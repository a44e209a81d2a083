"""The job image of a deployment: built here by Docker, or by CodeBuild in the account, and named by its digest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from console.checkout import Checkout
from console.deploy.installation import install
from console.errors import DeployError

DOCKER_SECONDS = 20
"""How long the Docker engine may take to say that it is there."""


def has_docker() -> bool:
    """Whether a Docker engine answers here."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, check=False, timeout=DOCKER_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def make_image(
    checkout: Checkout,
    images_stack: str,
    extras: Sequence[str],
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> str:
    """Build the job image and push it, unless the repository has it already.

    Args:
        checkout: The project.
        images_stack: The stack of the image's repository; it is created where it is missing.
        extras: Words of which each stands for batch_jobs/requirements-WORD.txt.
        environment: The variables that lead to the account: profile and Region.
        say: Takes a line on what is being done.

    Returns:
        What the template's parameter `Image` takes: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/name@sha256:…`.

    Raises:
        InstallationError: What writes the bill of materials could not be installed.
        DeployError: The image could not be built or pushed; its output was shown.
    """
    python = [sys.executable, "-m", "image"]
    words = ["--extras", " ".join(extras)]
    if has_docker():
        if checkout.is_carried:
            install(checkout, "image", "image/requirements.txt", "what writes the image's bill of materials", say)
        say("building the job image with Docker")
        steps = [[*python, "build", *words], [*python, "push", "--stack", images_stack]]
    else:
        say("no Docker engine answers here: building the job image with CodeBuild, which takes some minutes")
        steps = [[*python, "codebuild", *words, "--stack", images_stack]]
    path = os.pathsep.join([str(checkout.root), str(checkout.root / "layer/python")])
    for step in steps:
        ended = subprocess.run(step, cwd=checkout.root, env={**environment, "PYTHONPATH": path}, check=False)  # noqa: S603
        if ended.returncode:
            raise DeployError(
                f"`{' '.join(step[1:4])}` ended with exit code {ended.returncode}; its output is above. To deploy an "
                "image that is in ECR already: --image",
                operation="make the job image",
            )
    return (checkout.root / "build/image/uri").read_text().strip()
