"""Where the project's template and sources are, and where the embedded AWS keeps its state.

A checkout has them around this package. A wheel carries a copy of them, which cannot be built in place: it is
copied into the user's cache once, and treated as a checkout there.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from os import fsencode
from pathlib import Path

from platformdirs import user_cache_path

from console.errors import NotACheckoutError
from millrace.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
"""The folder around this package: a checkout, or the part of a wheel that holds the command line."""

CARRIED = ROOT / "project"
"""The copy of the project that a wheel carries."""

SOURCES = CARRIED if CARRIED.is_dir() else ROOT
"""Where the project's files can be read, from a checkout and from a wheel."""

DEFAULT_PORT = 4599
"""The embedded AWS's port, unless the user names another."""


@dataclass(frozen=True)
class Checkout:
    """The files of one checkout that `deploy` and the `local` verbs read and write.

    Attributes:
        root: The folder of template.yaml.
        state: Where the embedded AWS and the deployment keep their files: `build/local` unless the user names another.
        is_carried: Whether they are a wheel's, so that the tools which they need are installed when they are needed.
    """

    root: Path
    state: Path
    is_carried: bool = False

    @classmethod
    def here(cls, state: Path | None = None) -> Checkout:
        """The checkout that this command line was installed from, or what its wheel carries, in the cache.

        Args:
            state: The folder for the embedded AWS's files; None for the usual one.

        Raises:
            NotACheckoutError: There is no template.yaml where it should be.
        """
        root = project_root()
        if root != ROOT:
            _unpack(CARRIED, root)
        if not (root / "template.yaml").is_file():
            raise NotACheckoutError(
                "template.yaml is missing; install Millrace again, from a checkout (make install) or from its wheel",
                operation="find the project",
                target=str(root),
            )
        return cls(root, (usual_state() if state is None else state).resolve(), is_carried=root != ROOT)

    @property
    def tools(self) -> Path:
        """The folder of the Python that `sam build` builds with; it comes first on sam's PATH."""
        return self.root / ".venv/sam/bin" if self.is_carried else Path(sys.executable).parent

    @property
    def template(self) -> Path:
        """The stack's template."""
        return self.root / "template.yaml"

    @property
    def build(self) -> Path:
        """What `sam build` makes, and where `sam deploy` looks for it."""
        return self.root / ".aws-sam"

    @property
    def deployed(self) -> Path:
        """What is deployed on the embedded AWS of this state folder."""
        return self.state / "deployed.json"

    def written(self, directory: Path) -> Path:
        """The record of what local runs wrote into a folder."""
        return self.state / "written" / f"{sha256(fsencode(directory)).hexdigest()[:16]}.jsonl"

    @property
    def sam_log(self) -> Path:
        """The output of the last `sam build` and `sam deploy`."""
        return self.state / "sam.log"


@cache
def project_root() -> Path:
    """Where template.yaml is: in this checkout, or where the files that a wheel carries are copied to when needed."""
    if (ROOT / "template.yaml").is_file() or not CARRIED.is_dir():
        return ROOT
    carried = (path for path in CARRIED.rglob("*") if path.is_file())
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return user_cache_path("millrace") / f"{VERSION}-{files_digest(CARRIED, carried)[:12]}-python{python}"


def files_digest(root: Path, files: Iterable[Path], begin: bytes = b"") -> str:
    """A digest over names and contents, in hexadecimal digits; what Python compiled does not count.

    Args:
        root: The folder that names are relative to.
        files: The files.
        begin: What else the digest is to depend on.
    """
    whole = sha256(begin)
    for file in sorted(each for each in files if "__pycache__" not in each.parts):
        whole.update(f"{file.relative_to(root).as_posix()}\0{sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def usual_state() -> Path:
    """Where the embedded AWS keeps its files unless the user names another folder."""
    return project_root() / "build" / "local"


def _unpack(carried: Path, root: Path) -> None:
    """Copy the project to where it can be built, as a whole or not at all."""
    if root.is_dir():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root.parent, prefix=".unpacking-"))
    try:
        shutil.copytree(carried, temporary / "project", ignore=shutil.ignore_patterns("__pycache__"))
        try:
            (temporary / "project").rename(root)
        except OSError:
            if not root.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


RECORDS = (
    "batch_jobs/__init__.py",
    "batch_jobs/workloads/__init__.py",
    "batch_jobs/workloads/*/__init__.py",
    "batch_jobs/workloads/*/record.py",
)
"""What the functions' layer has of the jobs, as patterns: layer/Makefile copies it."""
