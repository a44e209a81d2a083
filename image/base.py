"""The base image: which one it is, to the byte, and what is in it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image.commands import ROOT, ImageError, answer, show

DOCKERFILE = "batch_jobs/Dockerfile"
_DEFAULT = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)
_PACKAGES = "/var/lib/dpkg/status"
_RELEASE = "/etc/os-release"


@dataclass(frozen=True, slots=True)
class Base:
    """An image of the local engine that another is built on.

    Attributes:
        name: As it was given, such as python:3.12-slim.
        digest: Of the registry that it came from; empty for one that was made here.
    """

    name: str
    digest: str

    @property
    def reference(self) -> str:
        """What FROM takes: the digest with it, so that no later image by this name comes in between."""
        return f"{self.name}@{self.digest}" if self.digest and "@" not in self.name else self.name


def find(given: str, platform: str) -> Base:
    """The base of a build, pulled where the engine has none for the platform.

    Args:
        given: Its name; empty: the Dockerfile's own.
        platform: Such as linux/arm64; empty is the engine's own.

    Raises:
        ImageError: It is nowhere, or there is no Docker.
    """
    name = given or _of_the_dockerfile()
    try:
        there = answer(["docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", name])
    except ImageError:
        there = ""
    if not there or not f"{platform or there}/".startswith(f"{there}/"):
        show(["docker", "pull", *([f"--platform={platform}"] if platform else []), name])
    known = answer(["docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name])
    return Base(name, next((each.partition("@")[2] for each in known.split()), ""))


def contents(base: Base) -> list[dict[str, Any]]:
    """CycloneDX components: the interpreter, and the packages of the distribution. Nothing of the base is run.

    Raises:
        ImageError: The engine does not answer.
    """
    variables = answer(
        ["docker", "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", base.name]
    )
    known = dict(line.partition("=")[::2] for line in variables.splitlines())
    container = answer(["docker", "create", base.name, "none"])
    try:
        status, release = (_file(container, path) for path in (_PACKAGES, _RELEASE))
    finally:
        answer(["docker", "rm", container])
    return [*_interpreter(known.get("PYTHON_VERSION", "")), *debian_packages(status, _fields(release))]


def debian_packages(status: str, release: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A component for each installed package.

    Args:
        status: dpkg's own record, paragraphs of `Name: value` (deb-control, dpkg(1)).
        release: The fields of os-release(5).
    """
    distribution = release.get("ID", "debian")
    suffix = f"&distro={distribution}-{release['VERSION_ID']}" if "VERSION_ID" in release else ""
    for paragraph in re.split(r"\n\s*\n", status):
        field = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if field.get("Status", "").endswith(" installed"):
            version = field["Version"].replace("+", "%2B").replace(":", "%3A")
            purl = f"pkg:deb/{distribution}/{field['Package']}@{version}?arch={field['Architecture']}{suffix}"
            yield {
                "type": "library", "bom-ref": purl, "name": field["Package"], "version": field["Version"], "purl": purl,
            }  # fmt: skip


def _interpreter(version: str) -> Iterator[dict[str, Any]]:
    if version:  # the official images of Python set it
        yield {
            "type": "platform", "bom-ref": f"cpython@{version}", "name": "cpython", "version": version,
            "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*", "purl": f"pkg:generic/cpython@{version}",
        }  # fmt: skip


def _file(container: str, path: str) -> str:
    """A file of a container; empty where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        try:
            answer(["docker", "cp", "--follow-link", f"{container}:{path}", str(copy)])
        except ImageError:
            return ""
        return copy.read_text(encoding="utf-8")


def _fields(text: str) -> dict[str, str]:
    return {name: value.strip("\"'") for name, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)}


def _of_the_dockerfile() -> str:
    found = _DEFAULT.search((ROOT / DOCKERFILE).read_text(encoding="utf-8"))
    if found is None:
        raise ImageError(f"{DOCKERFILE} has no line ARG BASE_IMAGE=…")
    return found[1]
