"""Pushing the job image: what docker and AWS are asked, and what the template is given."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from image import publish as publishing
from image.commands import ROOT, ImageError
from image.publish import TEMPLATE, bring_up, publish
from millrace.version import VERSION

REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-images-imagerepository-1x"
IMAGE = f"sha256:{'ab' * 32}"
PUSHED = f"{REPOSITORY}@sha256:{'cd' * 32}"
TAG = f"{REPOSITORY}:{VERSION}-abababababab"
DOCKER = """#!PYTHON
import pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if "login" in sys.argv:
    (here / "password").write_text(sys.stdin.read())
if "{{.Id}}" in sys.argv:
    print("IMAGE")
if "inspect" in sys.argv and "{{.Id}}" not in sys.argv:
    print("example.com/other@sha256:00")
    print("PUSHED")
"""


@pytest.fixture
def cloudformation() -> Any:
    """A client that reaches nobody."""
    return boto3.client("cloudformation", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")


SKOPEO = """#!PYTHON
import pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write("skopeo " + " ".join(sys.argv[1:]) + "\\n")
for word in sys.argv:
    if word.startswith("--digestfile="):
        pathlib.Path(word.partition("=")[2]).write_text("PUSHED".partition("@")[2])
"""


def command(folder: Path, name: str, source: str) -> None:
    """A command in a folder."""
    text = source.replace("PYTHON", sys.executable).replace("IMAGE", IMAGE).replace("PUSHED", PUSHED)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker command that writes down how it was called, and no other command."""
    command(tmp_path, "docker", DOCKER)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def skopeo(docker: Path) -> Path:
    """A skopeo command beside it that does the same."""
    command(docker, "skopeo", SKOPEO)
    return docker


def stacks(status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    """DescribeStacks of the repository's stack."""
    stack = {"StackName": "images", "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z"}
    return {"Stacks": [{**stack, "Outputs": [{"OutputKey": "RepositoryUri", "OutputValue": REPOSITORY}]}]}


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """ECR, of which every answer is given before; the repository's stack is there."""
    client = boto3.client("ecr", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(publishing, "bring_up", lambda _client, _stack: REPOSITORY)
    monkeypatch.setattr("image.publish.boto3.client", lambda name: client if name == "ecr" else None)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


ASKED = {
    "registryId": "123456789012",
    "repositoryName": "millrace-images-imagerepository-1x",
    "imageIds": [{"imageTag": TAG.rpartition(":")[2]}],
}


def is_missing(ecr: Stubber) -> None:
    """The next question for the tag is answered with no."""
    ecr.add_client_error("describe_images", "ImageNotFoundException", expected_params=ASKED)


def is_there(ecr: Stubber) -> None:
    """The next question for the tag is answered with its digest."""
    ecr.add_response("describe_images", {"imageDetails": [{"imageDigest": PUSHED.partition("@")[2]}]}, ASKED)


def lets_in(ecr: Stubber) -> None:
    """A password for twelve hours."""
    token = base64.b64encode(b"AWS:secret").decode()
    ecr.add_response("get_authorization_token", {"authorizationData": [{"authorizationToken": token}]})


def test_it_is_pushed_and_named_by_its_digest(docker: Path, ecr: Stubber) -> None:
    """The tag is made of the image's own id, as tags are immutable; the digest is the one that the registry gave, and
    the password goes through standard input.
    """
    is_missing(ecr)
    lets_in(ecr)
    assert publish("millrace", "images") == PUSHED
    calls = (docker / "calls").read_text().splitlines()
    assert f"login --username AWS --password-stdin {REPOSITORY.partition('/')[0]}" in calls
    assert calls.index(f"tag {IMAGE} {TAG}") < calls.index(f"push {TAG}")
    assert (docker / "password").read_text() == "secret"
    assert "secret" not in "\n".join(calls)


def test_layers_are_packed_with_zstd_where_skopeo_is(skopeo: Path, ecr: Stubber) -> None:
    """It copies what the engine saves, in the format that knows zstd; the digest is the one that it wrote down."""
    is_missing(ecr)
    lets_in(ecr)
    assert publish("millrace", "images") == PUSHED
    calls = (skopeo / "calls").read_text().splitlines()
    login, save, copy = calls[-3:]
    assert login.startswith("login ")
    archive = save.removeprefix("save --output ").removesuffix(f" {IMAGE}")
    assert copy.startswith("skopeo copy --format=oci --dest-compress-format=zstd ")
    assert copy.endswith(f" docker-archive:{archive} docker://{TAG}")
    assert not Path(archive).parent.exists()


def test_a_zstd_push_that_failed_is_an_error(skopeo: Path, ecr: Stubber) -> None:
    """As with the engine's own push: where the tag is not there afterwards, it failed."""
    (skopeo / "skopeo").write_text(f"#!{sys.executable}\nimport sys\nsys.exit(1)\n")
    is_missing(ecr)
    lets_in(ecr)
    is_missing(ecr)
    with pytest.raises(ImageError, match="skopeo copy"):
        publish("millrace", "images")


def test_an_image_that_is_there_is_not_pushed_again(docker: Path, ecr: Stubber) -> None:
    """The repository refuses a second push of a tag; the digest that it has is the image's."""
    is_there(ecr)
    assert publish("millrace", "images") == PUSHED
    assert "push" not in (docker / "calls").read_text()


def test_an_image_that_somebody_else_pushed_meanwhile_is_taken(docker: Path, ecr: Stubber) -> None:
    """Two deployments at once push the same image: the later push is refused, and both get the same digest."""
    (docker / "docker").write_text((docker / "docker").read_text() + 'if "push" in sys.argv:\n    sys.exit(1)\n')
    is_missing(ecr)
    lets_in(ecr)
    is_there(ecr)
    assert publish("millrace", "images") == PUSHED


def test_a_push_that_failed_is_an_error(docker: Path, ecr: Stubber) -> None:
    """Where the tag is not there afterwards, the push did not do it."""
    (docker / "docker").write_text((docker / "docker").read_text() + 'if "push" in sys.argv:\n    sys.exit(1)\n')
    is_missing(ecr)
    lets_in(ecr)
    is_missing(ecr)
    with pytest.raises(ImageError, match="docker push"):
        publish("millrace", "images")


def test_the_template_takes_what_a_push_gives_and_no_tag() -> None:
    """The parameter Image lets the digest in that a push names, and refuses a tag, no tag, and another registry."""
    text = (ROOT / "template.yaml").read_text()
    pattern = re.search(r'  Image:\n(?:.*\n)*?    AllowedPattern: (".*")\n', text)
    assert pattern is not None
    allowed = re.compile(yaml.safe_load(pattern[1]))
    assert allowed.fullmatch(PUSHED)
    for refused in ("", TAG, REPOSITORY, f"millrace@sha256:{'cd' * 32}", f"{PUSHED}0", f"{TAG}@sha256:{'cd' * 32}"):
        assert not allowed.fullmatch(refused), refused


def test_a_missing_stack_is_made_and_one_that_is_there_brought_up_to_date(cloudformation: Any) -> None:
    """The repository comes before any stack that names an image; a stack without changes is left as it is."""
    body = TEMPLATE.read_text()
    with Stubber(cloudformation) as stub:
        stub.add_client_error("describe_stacks", "ValidationError", "Stack with id images does not exist")
        stub.add_response(
            "create_stack", {"StackId": "1"}, {"StackName": "images", "TemplateBody": body, "OnFailure": "DELETE"}
        )
        stub.add_response("describe_stacks", stacks())
        stub.add_response("describe_stacks", stacks())
        assert bring_up(cloudformation, "images") == REPOSITORY
        stub.add_response("describe_stacks", stacks())
        stub.add_client_error("update_stack", "ValidationError", "No updates are to be performed.")
        stub.add_response("describe_stacks", stacks())
        assert bring_up(cloudformation, "images") == REPOSITORY
        stub.add_response("describe_stacks", stacks())
        stub.add_client_error("update_stack", "AccessDenied", "not authorized")
        with pytest.raises(ImageError, match=r"stack images \(repository.yaml\): .*not authorized"):
            bring_up(cloudformation, "images")
        stub.assert_no_pending_responses()


def test_the_repository_is_immutable_scanned_and_kept() -> None:
    """A tag never changes what it stands for, every push is scanned, and deleting the stack keeps the images that job
    definitions name.
    """
    resource = yaml.safe_load(TEMPLATE.read_text().replace("!GetAtt ", ""))["Resources"]["ImageRepository"]
    assert resource["Properties"]["ImageTagMutability"] == "IMMUTABLE"
    assert resource["Properties"]["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
