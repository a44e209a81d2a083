"""Compiles the C sources of the workloads, for this machine: `python -m batch_jobs.workloads.compiling`."""

from __future__ import annotations

import sys

from batch_jobs.workloads import jpeg_library, word_library

if __name__ == "__main__":
    for library in (word_library, jpeg_library):
        sys.stdout.write(f"{library.SOURCE.compile(library.load)}\n")
