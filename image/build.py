"""Building the image with its labels, and its bill of materials beside and inside it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from image.base import DOCKERFILE, find
from image.bill import write_bill
from image.commands import ROOT, ImageError, answer, show
from millrace.version import VERSION

BUILT = ROOT / "build" / "image"
"""What a build leaves: the bill of materials, which goes into the image as well, and the image's id."""
BILL = BUILT / "sbom.cdx.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is built from.

    Attributes:
        base: The image with the interpreter; empty is the Dockerfile's own.
        extras: Words of which each stands for batch_jobs/requirements-WORD.txt.
        platform: Such as linux/arm64; empty is the engine's own.
        source: The address of the sources, for the label.
        network: The network of the build's own commands; empty is the engine's default.
    """

    base: str = ""
    extras: Sequence[str] = ()
    platform: str = ""
    source: str = ""
    network: str = ""


def build(recipe: Recipe, tag: str) -> str:
    """Build the image; returns its id, which is in build/image/id too.

    Args:
        recipe: What goes into it.
        tag: Its name in the local engine.

    Raises:
        ImageError: A tool is missing, or the build failed.
    """
    BUILT.mkdir(parents=True, exist_ok=True)
    base = find(recipe.base, recipe.platform)
    write_bill(recipe.extras, base, BILL)
    arguments = {
        "BASE_IMAGE": base.reference,
        "BASE_NAME": base.name,
        "BASE_DIGEST": base.digest,
        "EXTRAS": " ".join(recipe.extras),
        "VERSION": VERSION,
        "REVISION": revision(),
        "SOURCE": recipe.source,
    }
    identity = BUILT / "id"
    show([
        "docker", "build", "--file", DOCKERFILE, "--tag", tag, "--iidfile", str(identity),
        *([f"--platform={recipe.platform}"] if recipe.platform else []),
        *([f"--network={recipe.network}"] if recipe.network else []),
        *(word for name, value in arguments.items() if value for word in ("--build-arg", f"{name}={value}")),
        ".",
    ])  # fmt: skip
    return identity.read_text().strip()


def revision() -> str:
    """The commit that the checkout stands at, marked where files differ from it; empty without git."""
    try:
        commit = answer(["git", "rev-parse", "HEAD"])
        changed = answer(["git", "status", "--porcelain", "--untracked-files=no"])
    except (ImageError, subprocess.SubprocessError):
        return ""
    return f"{commit}-changed" if changed else commit
