"""Where this checkout of the project is, and where the embedded AWS of this checkout keeps its state."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from os import fsencode
from pathlib import Path

from console.errors import NotACheckoutError

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: the command line is installed from it, editable."""

DEFAULT_PORT = 4599
"""The embedded AWS's port, unless the user names another."""


@dataclass(frozen=True)
class Checkout:
    """The files of one checkout that the `local` verbs read and write.

    Attributes:
        root: The folder of template.yaml.
        state: Where the embedded AWS and the deployment keep their files: `build/local` unless the user names another.
    """

    root: Path
    state: Path

    @classmethod
    def here(cls, state: Path | None = None) -> Checkout:
        """The checkout that this command line was installed from.

        Raises:
            NotACheckoutError: There is no template.yaml where it should be.
        """
        if not (ROOT / "template.yaml").is_file():
            raise NotACheckoutError(
                "there is no template.yaml here; install Millrace from a checkout: make install",
                operation="find the project",
                target=str(ROOT),
            )
        return cls(ROOT, (ROOT / "build" / "local" if state is None else state).resolve())

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


RECORDS = (
    "batch_jobs/__init__.py",
    "batch_jobs/workloads/__init__.py",
    "batch_jobs/workloads/*/__init__.py",
    "batch_jobs/workloads/*/record.py",
)
"""What the functions' layer has of the jobs, as patterns: layer/Makefile copies it."""
