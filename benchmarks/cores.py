"""What is measured on one core for itself, its server on the others: a job of one vCPU is the machine that is meant.

On two cores threads of Python hand their lock from core to core, which costs more than it gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

FIRST, OTHERS = slice(0, 1), slice(1, None)

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def on_cores(which: slice) -> Iterator[None]:
    """This process and those that it starts, on some of the cores; on all where there is one, or no way to say it."""
    if not _CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES[which] or _CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
