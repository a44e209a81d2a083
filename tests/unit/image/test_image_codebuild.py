"""Building the job image by CodeBuild: what is packed, what AWS is asked, and what a failed build says."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from image import codebuild
from image.codebuild import build_in_account, packed_sources
from image.commands import ROOT, ImageError
from millrace.version import VERSION

URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/images"
DIGEST = f"sha256:{'cd' * 32}"
OUTPUTS = {
    "images": {"RepositoryUri": URI, "RepositoryArn": "arn:repository"},
    "images-builder": {"BuilderName": "builder", "SourcesName": "sources"},
}


class Account:
    """CloudFormation, ECR, S3 and CodeBuild of an account, as far as a build asks them."""

    class exceptions:  # noqa: N801 - as botocore has it
        """What botocore generates."""

        class ImageNotFoundException(Exception):  # noqa: N818 - as in the API
            """The repository has no such image."""

    def __init__(self, *, succeeds: bool = True) -> None:
        self.succeeds = succeeds
        self.tags: set[str] = set()
        self.stacks: dict[str, dict[str, str]] = {}
        self.builds: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}

    def client(self, _service: str) -> Account:
        """The client of any service is this account."""
        return self

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803 - the API's
        """A stack with its outputs."""
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS[StackName].items()]
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]}

    def update_stack(self, *, StackName: str, **given: Any) -> None:  # noqa: N803 - the API's
        """Remember what a stack was brought up to date with."""
        self.stacks[StackName] = {each["ParameterKey"]: each["ParameterValue"] for each in given.get("Parameters", [])}

    def get_waiter(self, _name: str) -> Account:
        """All is done at once."""
        return self

    def wait(self, **_given: Any) -> None:
        """It is done."""

    def describe_images(self, *, imageIds: list[dict[str, str]], **_given: Any) -> dict[str, Any]:  # noqa: N803
        """The image of a tag."""
        if imageIds[0]["imageTag"] not in self.tags:
            raise self.exceptions.ImageNotFoundException
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - the API's
        """Keep an object."""
        self.objects[f"{Bucket}/{Key}"] = Body

    def start_build(self, **given: Any) -> dict[str, Any]:
        """Start a build of an object that is there."""
        assert given["sourceLocationOverride"] in self.objects
        self.builds.append(given)
        return {"build": {"id": "builder:1", "buildComplete": False}}

    def batch_get_builds(self, *, ids: list[str]) -> dict[str, Any]:
        """The build is complete, and has pushed its image or not."""
        if self.succeeds:
            variables = {each["name"]: each["value"] for each in self.builds[-1]["environmentVariablesOverride"]}
            self.tags.add(variables["TAG"])
            return {"builds": [{"id": ids[0], "buildComplete": True, "buildStatus": "SUCCEEDED"}]}
        phases = [
            {"phaseType": "PRE_BUILD", "phaseStatus": "SUCCEEDED"},
            {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "docker build: exit status 1"}]},
        ]
        logs = {"deepLink": "https://console/log"}
        failed = {"id": ids[0], "buildComplete": True, "buildStatus": "FAILED", "phases": phases, "logs": logs}
        return {"builds": [failed]}


def built(account: Account, monkeypatch: pytest.MonkeyPatch, *extras: str) -> str:
    """Build in an account."""
    monkeypatch.setattr(boto3, "client", account.client)
    return build_in_account("images", extras, lambda _line: None, sleep=lambda _seconds: None)


def test_sources_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is named by its digest; the same sources are not built again, other extras are."""
    account = Account()
    assert built(account, monkeypatch) == f"{URI}@{DIGEST}"
    assert built(account, monkeypatch) == f"{URI}@{DIGEST}"
    assert len(account.builds) == 1
    assert account.stacks["images-builder"] == {"RepositoryUri": URI, "RepositoryArn": "arn:repository"}
    built(account, monkeypatch, "images")
    tags = {each["value"] for build in account.builds for each in build["environmentVariablesOverride"]
            if each["name"] == "TAG"}  # fmt: skip
    assert len(tags) == 2
    assert all(tag.startswith(f"{VERSION}-") for tag in tags)


def test_a_failed_build_says_why_and_where_its_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase's own words and the log's address are in the error."""
    with pytest.raises(ImageError, match=r"FAILED; BUILD: docker build: exit status 1; its log: https://console/log"):
        built(Account(succeeds=False), monkeypatch)


def test_the_archive_holds_what_the_dockerfile_copies() -> None:
    """Every path of a COPY from the context is there, and the same sources give the same bytes."""
    packed = packed_sources()
    assert packed == packed_sources()
    names = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert not [name for name in names if "__pycache__" in name or name.endswith(".so")]
    lines = (ROOT / "batch_jobs/Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    patterns = [word for words in copied for word in words if "jso[n]" not in word]
    assert patterns
    for pattern in patterns:
        assert any(Path(name).match(pattern) or name.startswith(f"{pattern}/") for name in names), pattern


def test_the_builder_may_do_no_more_than_build() -> None:
    """Its role reads the sources, writes its log, and pushes into the one repository."""
    text = re.sub(r"!(Ref|Sub|GetAtt) ", "", codebuild.BUILDER.read_text())
    role = yaml.safe_load(text)["Resources"]["BuilderRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    anywhere = [each["Action"] for each in role if each["Resource"] == "*"]
    assert anywhere == ["ecr:GetAuthorizationToken"]
