"""Compiles the C source of word-count for this machine: `python -m batch_jobs.native.compiling`."""

from __future__ import annotations

import sys

from batch_jobs.native import word_library

if __name__ == "__main__":
    sys.stdout.write(f"{word_library.SOURCE.compile(word_library.load)}\n")
