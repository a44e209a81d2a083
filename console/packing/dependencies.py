"""What the user's modules need, as wheels for the job's Python and machine: `requirements.txt`, or PEP 723 metadata."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from console.checkout import SOURCES
from console.deploy.installation import find_uv
from console.packing.place import CodePlace
from millrace.errors import CodePackageError
from millrace.settings import machine
from millrace.text import visible

IMAGE_PYTHON = "3.12"
"""The Python of the job image, as batch_jobs/Dockerfile has it."""

REQUIREMENTS = "requirements.txt"
JOBS_REQUIREMENTS = SOURCES / "batch_jobs" / "requirements.txt"
"""What the jobs themselves work with: nothing brings another version of it."""

_PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_28"}
"""uv's names for the image's machines: python:3.12-slim has glibc 2.28 or newer."""

_SCRIPT = re.compile(r"^# /// script *$\n(?P<text>(?:^#(?:| .*)$\n)+?)^# /// *$", re.MULTILINE)
"""A module's metadata: packaging.python.org, inline script metadata."""
_OURS = re.compile(r"\s*millrace\s*(?:[\[=<>~!;@,#]|$)")
_NO_WHEEL = re.compile(r"([A-Za-z0-9][\w.-]*?)(?:==\S+)? has no (?:usable )?wheels")

_EXACT = re.compile(r"\b([a-z0-9][\w.-]*==\w[\w.]*\w)")


@dataclass(frozen=True)
class JobMachine:
    """Where the code will run.

    Attributes:
        python: The version, "3.12".
        machine: As `millrace.settings.machine` has it: "x86_64".
        here: Whether that is this machine and this interpreter.
    """

    python: str
    machine: str
    here: bool = False

    @classmethod
    def this(cls) -> JobMachine:
        """This machine, where the embedded AWS runs jobs with the same interpreter."""
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", machine(), here=True)

    def chosen(self, python: str | None, platform: str | None) -> JobMachine:
        """This one, but for what the user named."""
        return (
            self if (python, platform) == (None, None) else JobMachine(python or self.python, platform or self.machine)
        )


def required_by(place: CodePlace, job: JobMachine) -> Path | None:
    """The file that says what the code needs: its module where that has inline metadata, else requirements.txt.

    Args:
        place: The module and its folder.
        job: Where it will run.

    Returns:
        The file; None where it needs nothing.

    Raises:
        CodePackageError: The metadata cannot be read, is for other versions of Python, or asks for millrace itself.
    """
    beside = place.folder / REQUIREMENTS
    metadata = _metadata(place.file)
    if metadata is not None:
        file, lines = place.file, [str(line) for line in metadata.get("dependencies", [])]
        _check_python(metadata.get("requires-python", ""), job, file)
    elif beside.is_file():
        file, lines = beside, beside.read_text("utf-8", "replace").splitlines()
    else:
        return None
    if any(_OURS.match(line) for line in lines):
        raise _unreadable("it asks for millrace, which every job has; take that line out", file)
    return file


def _metadata(file: Path) -> dict[str, Any] | None:
    found = _SCRIPT.search(file.read_text("utf-8", "replace"))
    if found is None:
        return None
    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in found["text"].splitlines(keepends=True))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(f"its inline metadata is no TOML: {error}", file) from None


def _check_python(wanted: object, job: JobMachine, file: Path) -> None:
    try:
        fits = SpecifierSet(str(wanted)).contains(job.python)
    except InvalidSpecifier:
        raise _unreadable(f"its requires-python is {wanted!r}, which is no version specifier: >=3.12", file) from None
    if not fits:
        raise _unreadable(
            f"it needs Python {wanted}, and the jobs have {job.python}; an image with another Python needs "
            "--code-python",
            file,
        )


def _unreadable(why: str, file: Path) -> CodePackageError:
    return CodePackageError(why, operation="read the requirements", target=visible(str(file)))


def install(file: Path, folder: Path, job: JobMachine) -> bytes:
    """Resolve requirements, and unpack the wheels. Nothing of a package is run.

    Args:
        file: requirements.txt, or a module with inline metadata.
        folder: Where the packages go.
        job: Whose wheels.

    Returns:
        The exact versions with their hashes, as a requirement file.

    Raises:
        CodePackageError: There are no such wheels, or no versions that fit together.
        ToolMissingError: uv is not installed.
    """
    uv, lock = find_uv(), folder.parent / "lock.txt"
    wheels = ["--only-binary", ":all:", "--python-version", job.python, "--python", sys.executable]
    if not job.here:
        wheels += ["--python-platform", _PLATFORMS.get(job.machine, job.machine)]
    constraint = ["--constraint", str(JOBS_REQUIREMENTS)]
    exact = ["--generate-hashes", "--no-header", "--no-annotate", "--emit-index-url", "--emit-find-links"]
    _run([uv, "pip", "compile", str(file), "--output-file", str(lock), *exact, *constraint, *wheels], file, job)
    folder.mkdir(exist_ok=True)
    if not lock.read_text().strip():
        return b""
    where = ["--target", str(folder), "--no-deps", "--require-hashes", "--link-mode", "copy"]
    # As its input, because paths in it begin where the user's file is, and not where the lock is.
    _run([uv, "pip", "install", "--requirement", "-", *where, *wheels], file, job, lock.read_bytes())
    # Where they came from is the user's own: an index's address may hold a password.
    lines = lock.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("--")).encode()


def _run(command: list[str], file: Path, job: JobMachine, given: bytes = b"") -> None:
    done = subprocess.run(  # noqa: S603 - uv, found by its name
        [*command, "--quiet", "--no-python-downloads", "--color", "never"],
        cwd=file.parent,
        input=given,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return
    said = " ".join(done.stderr.decode(errors="replace").split())
    without = sorted(set(_NO_WHEEL.findall(said)))
    why = (
        f"{' and '.join(without)}: there is no wheel for Python {job.python} on {job.machine}, and nothing is built "
        "from source; choose a version that has one, or build one and name its folder by --find-links"
        if without
        else f"they cannot be resolved for Python {job.python} on {job.machine}"
    )
    held = sorted(set(_EXACT.findall(JOBS_REQUIREMENTS.read_text("utf-8"))) & set(_EXACT.findall(said)))
    jobs = f" (the jobs themselves work with {', '.join(held)}: ask for that version, or for none)" if held else ""
    raise CodePackageError(
        f"{why}{jobs}. uv says: {said}", operation="resolve the requirements", target=visible(str(file))
    )
