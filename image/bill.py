"""The bill of materials: what is in the image, each part with its version and, where pip checked them, its digests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image.base import Base, contents
from image.commands import ROOT, ImageError, answer

GENERATOR = ROOT / ".venv/image/bin/cyclonedx-py"


def write_bill(extras: Sequence[str], base: Base, path: Path) -> None:
    """Write the CycloneDX bill of materials: the Python packages, the interpreter, and the base with its packages.

    Args:
        extras: Words of which each stands for batch_jobs/requirements-WORD.txt.
        base: The image that it is built on.
        path: The file.

    Raises:
        ImageError: The generator is not installed, or refuses a file; the engine does not answer.
    """
    bill = python_packages(extras)
    bill["components"] += [_container(base), *contents(base)]
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def python_packages(extras: Sequence[str]) -> dict[str, Any]:
    """The bill of the Python packages alone, which the requirement files name with their digests.

    Raises:
        ImageError: The generator is not installed, or refuses a file.
    """
    if not GENERATOR.is_file():
        raise ImageError(f"{GENERATOR} is not there; `make image` installs it")
    files = [ROOT / "batch_jobs" / f"requirements{extra and '-'}{extra}.txt" for extra in ("", *extras)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ImageError(f"no such extra: batch_jobs/{missing[0]} is not there")
    requirements = "\n".join(file.read_text(encoding="utf-8") for file in files)
    options = ["--pyproject", "pyproject.toml", "--output-reproducible", "--output-format", "JSON"]
    bill: dict[str, Any] = json.loads(answer([str(GENERATOR), "requirements", *options, "-"], requirements))
    return bill


def _container(base: Base) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "container", "bom-ref": f"base {base.name}", "name": base.name}
    return {**found, "version": base.digest} if base.digest else found
