"""The base of the job image: found or pulled, named by its digest, and its packages read without running it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from image.base import Base, contents, debian_packages, find

DIGEST = f"sha256:{'ab' * 32}"
STATUS = """\
Package: libssl3t64
Status: install ok installed
Architecture: amd64
Version: 1:3.5.4-1~deb13u1+b1
Description: Secure Sockets Layer toolkit
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
DOCKER = """#!/usr/bin/env python3
import pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
words = " ".join(sys.argv[1:])
if "Architecture" in words:
    print((here / "there").read_text())
elif "RepoDigests" in words:
    print("python@DIGEST")
elif "Config.Env" in words:
    print("PATH=/usr/bin\\nPYTHON_VERSION=3.12.99")
elif sys.argv[1] == "create":
    print("container")
elif sys.argv[1] == "cp":
    found = here / pathlib.Path(sys.argv[3].partition(":")[2]).name
    pathlib.Path(sys.argv[4]).write_text(found.read_text())
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker command that writes down how it was called; the image it has is for linux/amd64."""
    script = tmp_path / "docker"
    script.write_text(DOCKER.replace("DIGEST", DIGEST))
    script.chmod(0o755)
    (tmp_path / "there").write_text("linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


@pytest.fixture
def pulls(engine: Path) -> Callable[[], list[str]]:
    """What was pulled."""
    return lambda: [line for line in (engine / "calls").read_text().splitlines() if line.startswith("pull")]


def test_a_base_that_is_there_is_not_pulled(engine: Path, pulls: Callable[[], list[str]]) -> None:
    """The Dockerfile's own is found by its name, and built on by its digest."""
    found = find("", "linux/amd64")
    assert found.reference == f"python:3.12-slim@{DIGEST}"
    assert pulls() == []
    assert engine.is_dir()


def test_a_base_of_another_platform_is_pulled(pulls: Callable[[], list[str]]) -> None:
    """An engine keeps one platform by a name."""
    find("python:3.13-slim", "linux/arm64")
    assert pulls() == ["pull --platform=linux/arm64 python:3.13-slim"]


def test_a_base_that_is_missing_is_pulled(engine: Path, pulls: Callable[[], list[str]]) -> None:
    """Inspecting it fails first."""
    (engine / "there").unlink()
    find("python:3.13-slim", "")
    assert pulls() == ["pull python:3.13-slim"]


@pytest.mark.parametrize("base", [Base("stand-in", ""), Base(f"python@{DIGEST}", DIGEST)], ids=lambda base: base.name)
def test_a_name_stays_as_it_is(base: Base) -> None:
    """One that was made here has no digest, and one that was given with its digest has it already."""
    assert base.reference == base.name


def test_what_is_in_it(engine: Path) -> None:
    """The interpreter and every installed package, read from the files of a container that never starts."""
    (engine / "status").write_text(STATUS)
    (engine / "os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    python, openssl = contents(Base("python:3.12-slim", DIGEST))
    assert (python["name"], python["version"]) == ("cpython", "3.12.99")
    assert openssl["version"] == "1:3.5.4-1~deb13u1+b1"
    assert openssl["purl"] == "pkg:deb/debian/libssl3t64@1%3A3.5.4-1~deb13u1%2Bb1?arch=amd64&distro=debian-13"
    calls = (engine / "calls").read_text()
    assert "rm container" in calls
    assert "start" not in calls


def test_a_base_without_dpkg_has_no_packages(engine: Path) -> None:
    """A file that is not there is no fault."""
    assert [part["name"] for part in contents(Base("distroless", ""))] == ["cpython"]
    assert list(debian_packages("", {})) == []
    assert engine.is_dir()
