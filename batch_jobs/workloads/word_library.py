"""Where `word_table.c` lies once it is compiled, how it is loaded, and how it is compiled.

    python -m batch_jobs.workloads.word_library

compiles it with the C compiler of the package `ziglang` (batch_jobs/requirements-compiler.txt): the same one wherever
the jobs run. The file's name tells the source and the machine it was made for, so that a stale one is never loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("word_table.c")

_TARGETS = {
    ("linux", "x86_64"): ["-target", "x86_64-linux-gnu.2.17", "-mcpu=x86_64_v2"],
    ("linux", "aarch64"): ["-target", "aarch64-linux-gnu.2.17"],
}
"""What Fargate's and EC2's machines of either kind all run; elsewhere, whatever the machine is."""

_TABLE, _NUMBER = ctypes.c_void_p, ctypes.c_uint64

_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "words_new": (_TABLE, [ctypes.c_char_p, ctypes.c_char_p, _NUMBER, _NUMBER]),
    "words_free": (None, [_TABLE]),
    "words_clear": (None, [_TABLE]),
    "words_keep": (ctypes.c_int, [_TABLE, ctypes.c_int]),
    "words_held": (_NUMBER, [_TABLE]),
    "words_bytes": (_NUMBER, [_TABLE]),
    "words_read": (_NUMBER, [_TABLE]),
    "words_sum": (_NUMBER, [_TABLE]),
    "words_count_text": (ctypes.c_int64, [_TABLE, ctypes.c_char_p, _NUMBER, ctypes.c_int]),
    "words_add_lines": (ctypes.c_int64, [_TABLE, ctypes.c_char_p, _NUMBER]),
    "words_order": (ctypes.c_int64, [_TABLE, ctypes.c_int, ctypes.c_int]),
    "words_write": (_NUMBER, [_TABLE, ctypes.POINTER(_NUMBER), ctypes.c_uint8, ctypes.c_char_p, _NUMBER]),
}
"""What each function of the library returns and takes."""

_QUICK = frozenset({"words_new", "words_free", "words_clear", "words_held", "words_bytes", "words_read"})
"""What takes no time worth mentioning: to let other threads run meanwhile would cost many times as much."""


class WordLibrary(ctypes.CDLL):
    """The library, whose calls let other threads run, but for the quick ones.

    Attributes:
        on_little: The same functions, for a few kilobytes: other threads wait meanwhile.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.on_little = ctypes.PyDLL(path)


def library_path() -> Path:
    """Where the library for this source and this machine lies, or would lie."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    return SOURCE.with_name(f"word_table-{digest}-{sys.platform}-{os.uname().machine}.so")


@cache
def word_library() -> WordLibrary | None:
    """The library; None where it was not compiled: then Python counts."""
    try:
        return load(library_path())
    except OSError as error:
        log.debug("word-count's library cannot be loaded: %s", error)
        return None


def load(path: Path) -> WordLibrary:
    """A library compiled from `word_table.c`, ready to be called.

    Raises:
        OSError: It is not there, or not for this machine.
    """
    library = WordLibrary(str(path))
    for name, (returned, taken) in _FUNCTIONS.items():
        for which in (library, library.on_little):
            function = getattr(which, name)
            function.restype, function.argtypes = returned, taken
        if name in _QUICK:
            setattr(library, name, getattr(library.on_little, name))
    return library


def compile_library() -> Path:
    """Compile it for this machine, and remove what older sources were compiled to.

    Returns:
        Where it lies.

    Raises:
        CalledProcessError: The compiler refused; what it said is on stderr.
    """
    path = library_path()
    target = _TARGETS.get((sys.platform, os.uname().machine), [])
    with tempfile.TemporaryDirectory(dir=SOURCE.parent, prefix=".compiling-") as folder:
        made = Path(folder, path.name)
        caches = [f"ZIG_{which}_CACHE_DIR={folder}" for which in ("GLOBAL", "LOCAL")]
        compiler = ["env", *caches, sys.executable, "-m", "ziglang", "cc", "-O3", "-shared", "-fPIC", "-s", *target]
        subprocess.run([*compiler, "-o", str(made), str(SOURCE)], check=True)  # noqa: S603 - our own
        load(made)
        for old in SOURCE.parent.glob(f"word_table-*-{sys.platform}-{os.uname().machine}.so"):
            old.unlink()
        made.replace(path)
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{compile_library()}\n")
