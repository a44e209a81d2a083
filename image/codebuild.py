"""Building the image in the account by CodeBuild, from the sources, where there is no Docker engine.

What it makes lacks the bill of materials: its generator needs the base image's packages, which only an engine can list.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import boto3

from image.commands import ROOT, ImageError
from image.publish import TEMPLATE, bring_stack_up, pushed_digest
from millrace.reproducible_zip import reproducible_zip
from millrace.version import VERSION

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

BUILDER = ROOT / "image" / "builder.yaml"
SOURCES = ("LICENSE", "batch_jobs/**/*", "layer/python/millrace/**/*")
"""What the Dockerfile copies, as patterns."""
NOT_SOURCES = {"__pycache__"}
POLL_SECONDS = 5.0


def build_in_account(
    stack: str, extras: Sequence[str], say: Callable[[str], object], sleep: Callable[[float], object] = time.sleep
) -> str:
    """Build the image and push it, unless the repository has one of these sources.

    Args:
        stack: The stack of the repository; the builder's is `{stack}-builder`. Each is created where it is missing.
        extras: Words of which each stands for batch_jobs/requirements-WORD.txt.
        say: Takes a line on what is being done.
        sleep: Waits between two looks at the build, in seconds.

    Returns:
        What the template's parameter `Image` takes: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/name@sha256:…`.

    Raises:
        ImageError: A stack or the build failed.
    """
    cloudformation: CloudFormationClient = boto3.client("cloudformation")
    ecr = boto3.client("ecr")
    repository = bring_stack_up(cloudformation, stack, TEMPLATE, {}, "RepositoryUri", "RepositoryArn")
    uri = repository["RepositoryUri"]
    archive = packed_sources()
    tag = f"{VERSION}-{hashlib.sha256(archive + ' '.join(extras).encode()).hexdigest()[:12]}"
    if digest := pushed_digest(ecr, uri, tag):
        return f"{uri}@{digest}"
    parameters = {"RepositoryUri": uri, "RepositoryArn": repository["RepositoryArn"]}
    builder = bring_stack_up(cloudformation, f"{stack}-builder", BUILDER, parameters, "BuilderName", "SourcesName")
    key = f"{tag}.zip"
    boto3.client("s3").put_object(Bucket=builder["SourcesName"], Key=key, Body=archive)
    variables = {"TAG": tag, "EXTRAS": " ".join(extras), "VERSION": VERSION}
    codebuild: Any = boto3.client("codebuild")
    build = codebuild.start_build(
        projectName=builder["BuilderName"],
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{builder['SourcesName']}/{key}",
        environmentVariablesOverride=[
            {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
        ],
    )["build"]
    say(f"CodeBuild builds the image: {build['id']}")
    while not build["buildComplete"]:
        sleep(POLL_SECONDS)
        build = codebuild.batch_get_builds(ids=[build["id"]])["builds"][0]
    digest = pushed_digest(ecr, uri, tag) if build["buildStatus"] == "SUCCEEDED" else None
    if digest is None:
        raise ImageError(_what_failed(build))
    return f"{uri}@{digest}"


def packed_sources() -> bytes:
    """The sources of the image as a zip file; the same sources give the same bytes."""
    found = {path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}
    kept = (path for path in found if path.suffix != ".so" and not NOT_SOURCES & set(path.parts))
    return reproducible_zip([], [(path.relative_to(ROOT).as_posix(), path) for path in kept])


def _what_failed(build: dict[str, Any]) -> str:
    """The phase that failed, in CodeBuild's words, and where its log is."""
    failed = [phase for phase in build.get("phases", []) if phase.get("phaseStatus") not in {None, "SUCCEEDED"}]
    words = [
        f"{phase['phaseType']}: {context['message']}"
        for phase in failed
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    log = build.get("logs", {}).get("deepLink", "")
    return (
        f"the build {build['id']} is {build['buildStatus']}; {'; '.join(words) or 'no phase says why'}; its log: {log}"
    )
