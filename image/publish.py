"""Pushing the image: the repository's stack, the login, the tag, and the digest that job definitions are pinned to."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from image.commands import ROOT, ImageError, answer, show
from millrace.version import VERSION

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ecr import ECRClient

TEMPLATE = ROOT / "image" / "repository.yaml"


def publish(given: str, stack: str) -> str:
    """Push an image of the local engine to the repository of a stack, which is made or brought up to date first.

    Args:
        given: The image's name or id.
        stack: The name of the repository's stack.

    Returns:
        What the template's parameter `Image` takes: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/name@sha256:…`.

    Raises:
        ImageError: The stack or the push failed.
    """
    image = answer(["docker", "image", "inspect", "--format", "{{.Id}}", given])
    repository = bring_up(boto3.client("cloudformation"), stack)
    # The tags are immutable, so that a tag must never stand for two images: this one is made of the image's own id.
    # A second push of it would be refused, so it is asked for first.
    tag = f"{VERSION}-{image.removeprefix('sha256:')[:12]}"
    ecr = boto3.client("ecr")
    if digest := pushed_digest(ecr, repository, tag):
        return f"{repository}@{digest}"
    registry = repository.partition("/")[0]
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    answer(["docker", "login", "--username", user, "--password-stdin", registry], password)
    name = f"{repository}:{tag}"
    try:
        digest = push_zstd(image, name) if shutil.which("skopeo") else push_as_it_is(image, name)
    except ImageError:
        # Another build may have pushed it between the lookup and the push.
        if digest := pushed_digest(ecr, repository, tag):
            return f"{repository}@{digest}"
        raise
    return f"{repository}@{digest}"


def push_zstd(image: str, name: str) -> str:
    """Push an image with layers that zstd packed, by skopeo: they are smaller, and much faster to unpack.

    Args:
        image: The image's id in the local engine.
        name: The repository and tag that it gets; `docker login` has let us in there.

    Returns:
        The digest of its manifest, which is an OCI one: Docker's own kind knows no zstd.

    Raises:
        ImageError: The engine does not hand the image out, or the registry does not take it.
    """
    with TemporaryDirectory(prefix="millrace-image-") as folder:
        archive, digest = Path(folder, "image.tar"), Path(folder, "digest")
        answer(["docker", "save", "--output", str(archive), image])
        show([
            "skopeo", "copy", "--format=oci", "--dest-compress-format=zstd",
            f"--digestfile={digest}", f"docker-archive:{archive}", f"docker://{name}",
        ])  # fmt: skip
        return digest.read_text().strip()


def push_as_it_is(image: str, name: str) -> str:
    """Push an image by the engine itself, which packs layers with gzip; returns its digest.

    Raises:
        ImageError: The push failed, or the engine knows no digest of it.
    """
    repository = name.rpartition(":")[0]
    answer(["docker", "tag", image, name])
    show(["docker", "push", name])
    found = answer(["docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name])
    pinned = [reference for reference in found.split() if reference.startswith(f"{repository}@sha256:")]
    if not pinned:
        raise ImageError(f"{name} was pushed, and the engine knows no digest of it in {repository}")
    return pinned[0].rpartition("@")[2]


def pushed_digest(ecr: ECRClient, repository: str, tag: str) -> str | None:
    """The digest of the image that a repository has under a tag; None where it has none."""
    registry, _, name = repository.partition("/")
    try:
        found = ecr.describe_images(
            registryId=registry.partition(".")[0], repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except ecr.exceptions.ImageNotFoundException:
        return None
    return found["imageDetails"][0]["imageDigest"]


def bring_up(cloudformation: CloudFormationClient, stack: str) -> str:
    """Make the repository's stack, or bring it up to date; returns the repository's URI.

    Raises:
        ImageError: CloudFormation gave up.
    """
    return bring_stack_up(cloudformation, stack, TEMPLATE, {}, "RepositoryUri")["RepositoryUri"]


def bring_stack_up(
    cloudformation: CloudFormationClient, stack: str, template: Path, parameters: Mapping[str, str], *needed: str
) -> dict[str, str]:
    """Make one of the image's stacks, or bring it up to date.

    Args:
        cloudformation: A client.
        stack: The stack's name.
        template: Its template.
        parameters: Its parameters, by name.
        needed: Outputs that it must have.

    Returns:
        Its outputs, by name.

    Raises:
        ImageError: CloudFormation gave up, or an output is missing.
    """
    given: Any = {
        "StackName": stack,
        "TemplateBody": template.read_text(encoding="utf-8"),
    }
    if parameters:
        given["Parameters"] = [{"ParameterKey": name, "ParameterValue": each} for name, each in parameters.items()]
        given["Capabilities"] = ["CAPABILITY_IAM"]
    try:
        if _exists(cloudformation, stack):
            cloudformation.update_stack(**given)
            cloudformation.get_waiter("stack_update_complete").wait(StackName=stack)
        else:
            cloudformation.create_stack(**given, OnFailure="DELETE")
            cloudformation.get_waiter("stack_create_complete").wait(StackName=stack)
    except (ClientError, WaiterError) as error:
        if "No updates are to be performed" not in str(error):
            raise ImageError(f"the stack {stack} ({template.name}): {error}") from error
    described: Any = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: str(output["OutputValue"]) for output in described.get("Outputs", [])}
    for name in needed:
        if name not in outputs:
            raise ImageError(f"the stack {stack} is {described['StackStatus']} and has no output {name}")
    return outputs


def _exists(cloudformation: CloudFormationClient, stack: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=stack)
    except ClientError as error:
        # CloudFormation answers ValidationError, "Stack with id … does not exist", for a missing stack.
        if "does not exist" in str(error):
            return False
        raise
    return True
