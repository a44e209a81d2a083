"""A C source of a workload, and the library that it is compiled to.

The compiler is that of the package `ziglang` (batch_jobs/requirements-compiler.txt): the same one wherever the jobs
run. Where the package is not installed, as beside a wheel, it is the machine's own `cc`. A library's name identifies
the source and the machine it was made for, so that a stale one is never loaded. `compiling` compiles it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

Library = TypeVar("Library")

_TARGETS = {
    ("linux", "x86_64"): ["-target", "x86_64-linux-gnu.2.17", "-mcpu=x86_64_v2"],
    ("linux", "aarch64"): ["-target", "aarch64-linux-gnu.2.17"],
}
"""What Fargate's and EC2's machines of either kind all run; elsewhere, whatever the machine is."""


class CompilerMissingError(Exception):
    """Raised where there is neither `ziglang` nor `cc`."""


def _compiler(scratch: str) -> list[str]:
    """The command of the compiler, for this machine's target where it is known."""
    if find_spec("ziglang") is None:
        found = shutil.which("cc")
        if found is None:
            raise CompilerMissingError("there is no C compiler: neither the package ziglang nor the command cc")
        return [found]
    caches = [f"ZIG_{which}_CACHE_DIR={scratch}" for which in ("GLOBAL", "LOCAL")]
    target = _TARGETS.get((sys.platform, os.uname().machine), [])
    # -P: nothing is imported from the working directory
    return ["env", *caches, sys.executable, "-P", "-m", "ziglang", "cc", "-s", *target]


@dataclass(frozen=True, slots=True)
class CSource:
    """A C source; its library is, or would be, beside it.

    Attributes:
        path: The source.
    """

    path: Path

    @property
    def library_path(self) -> Path:
        """Where the library for this source and this machine is, or would be."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        return self.path.with_name(f"{self.path.stem}-{digest}-{sys.platform}-{os.uname().machine}.so")

    def loaded(self, load: Callable[[Path], Library]) -> Library | None:
        """The library; None where it was not compiled, or cannot be loaded.

        Args:
            load: Raises OSError where there is none, or one for another machine.
        """
        try:
            return load(self.library_path)
        except OSError as error:
            log.debug("the library of %s cannot be loaded: %s", self.path.name, error)
            return None

    def compile(self, load: Callable[[Path], object]) -> Path:
        """Compile it for this machine, and remove what older sources were compiled to.

        Args:
            load: Raises an error where the library made cannot be used.

        Returns:
            Where it is.

        Raises:
            CalledProcessError: The compiler refused; what it said is on stderr.
            CompilerMissingError: There is none.
        """
        path = self.library_path
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".compiling-") as folder:
            made = Path(folder, path.name)
            command = [*_compiler(folder), "-O3", "-shared", "-fPIC", "-o", str(made), str(self.path)]
            subprocess.run(command, check=True)  # noqa: S603 - our own
            load(made)
            for old in path.parent.glob(f"{self.path.stem}-*-{sys.platform}-{os.uname().machine}.so"):
                old.unlink()
            made.replace(path)
        return path
