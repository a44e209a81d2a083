"""What the image is: its user, its files, its labels, its bill of materials."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from image.base import Base, contents
from image.build import BILL, BUILT, Recipe, build
from millrace.version import VERSION
from tests.container.conftest import BASE, NETWORK, TAG, docker

DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps([[each.name, each.version] for each in importlib.metadata.distributions(path=["/opt/millrace"])]))
"""
DPKG_STATUS = """\
Package: libssl3t64
Status: install ok installed
Architecture: amd64
Version: 3.5.4-1~deb13u1+b1
Description: Secure Sockets Layer toolkit
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
MOST_ADDED_MB = 60
"""What the image may add to its base; botocore is most of it. The compiler of the build stage is not in it."""


def inspected(image: str) -> dict[str, Any]:
    """What the engine knows of an image."""
    (found,) = json.loads(docker("image", "inspect", image))
    described: dict[str, Any] = found
    return described


def inside(image: str, *command: str) -> str:
    """What a command prints in a container as the job definitions make it: read-only, with an init."""
    options = ["--rm", "--init", "--read-only", "--network=none", "--mount=type=volume,dst=/scratch"]
    return docker("run", *options, f"--entrypoint={command[0]}", image, *command[1:])


def test_it_runs_as_nobody_and_says_how_it_is_used(image: str) -> None:
    """Without a command, in a read-only container without a network, the image prints its usage and exits 0; its
    user is 65534, who may write to the scratch directory and nowhere else.
    """
    assert "usage: python -m batch_jobs" in docker("run", "--rm", "--read-only", "--network=none", image)
    where = "import os, tempfile; print(os.getuid(), os.getgid(), tempfile.mkstemp()[1][:9], os.access('/', os.W_OK))"
    assert inside(image, "python", "-c", where) == "65534 65534 /scratch/ False"


def test_labels_say_what_it_is(image: str) -> None:
    """Version, revision, source, licence and base are labels, filled in by the build."""
    labels = inspected(image)["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    named = {name.removeprefix(prefix): value for name, value in labels.items() if name.startswith(prefix)}
    assert (named["title"], named["version"], named["licenses"]) == ("millrace", VERSION, "MIT")
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", named["revision"])
    assert {"source", "base.digest"} <= set(named)
    assert named["base.name"] == (BASE or "python:3.12-slim")
    assert inside(image, "head", "-1", "/opt/millrace/LICENSE").startswith("MIT")


def test_its_bill_of_materials_names_what_is_in_it(image: str, bill: dict[str, Any]) -> None:
    """The bill inside the image is the one in build/image, and names every installed package with the digest of the
    file that pip checked.
    """
    found = json.loads(inside(image, "python", "-c", DISTRIBUTIONS))
    installed = {f"{canonicalize_name(name)}=={version}" for name, version in found}
    packages = [part for part in bill["components"] if part.get("purl", "").startswith("pkg:pypi/")]
    named = {f"{canonicalize_name(part['name'])}=={part['version']}": part for part in packages}
    assert installed == set(named)
    assert "boto3" in {part["name"] for part in packages}
    for part in named.values():
        digests = [digest for reference in part["externalReferences"] for digest in reference.get("hashes", [])]
        assert digests, part["name"]
        assert all(re.fullmatch("[0-9a-f]{64}", digest["content"]) for digest in digests)
    assert bill["metadata"]["component"]["name"] == "millrace"
    assert (BASE or "python:3.12-slim") in {part["name"] for part in bill["components"]}


def test_its_bill_of_materials_names_what_is_in_the_base(image: str, tmp_path: Path) -> None:
    """The interpreter and every Debian package of the base are in the bill of an image built on it."""
    (tmp_path / "status").write_text(DPKG_STATUS)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    copies = "COPY status /var/lib/dpkg/status\nCOPY os-release /etc/os-release\nENV PYTHON_VERSION=3.12.99\n"
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nUSER root\n{copies}")
    docker("build", "--tag", f"{TAG}-debian", str(tmp_path))
    parts = contents(Base(f"{TAG}-debian", ""))
    assert [part["name"] for part in parts] == ["cpython", "libssl3t64"]
    assert parts[0]["version"] == "3.12.99"
    assert parts[1]["purl"] == "pkg:deb/debian/libssl3t64@3.5.4-1~deb13u1%2Bb1?arch=amd64&distro=debian-13"


def test_it_is_slim_and_compiled(image: str) -> None:
    """It adds little to its base, brings no tests or pip of its own, and every module is compiled."""
    base = BASE or "python:3.12-slim"
    assert (inspected(image)["Size"] - inspected(base)["Size"]) / 1e6 < MOST_ADDED_MB
    script = (
        "import pathlib; r = pathlib.Path('/opt/millrace');"
        "m = [p for p in r.rglob('*.py') if not list((p.parent / '__pycache__').glob(p.stem + '.cpython-*.pyc'))];"
        "print(len(m), (r / 'pip').exists(), (r / 'PIL').exists())"
    )
    assert inside(image, "python", "-c", script) == "0 False False"


def test_an_extra_is_in_its_own_image_only(image: str) -> None:
    """The build argument EXTRAS=images adds Pillow, and to the bill too; the default image goes without."""
    with_images, kept = f"{TAG}-images", {file: file.read_bytes() for file in (BILL, BUILT / "id")}
    build(Recipe(base=BASE, extras=["images"], network=NETWORK), with_images)
    try:
        assert inside(with_images, "python", "-c", "import PIL; print(PIL.__name__)") == "PIL"
        bill = json.loads(inside(with_images, "cat", "/opt/millrace/sbom.cdx.json"))
        assert "pillow" in {part["name"] for part in bill["components"]}
        docker("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", "import PIL", code=1)
    finally:
        for file, content in kept.items():
            file.write_bytes(content)


def test_sigterm_reaches_the_job(image: str) -> None:
    """`docker stop` of the image with an init ends it at once, long before it would be killed."""
    name = f"{TAG}-stopped"
    waiting = ["--entrypoint=python", image, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    with subprocess.Popen(
        ["docker", "run", "--rm", "--init", "--network=none", f"--name={name}", *waiting], stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        docker("stop", "--time", "30", name)
        assert client.wait(10) == 143
