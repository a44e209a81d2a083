"""The disk of a process's host fills up while it works an item, and stays full for as long as the process lives."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from millrace.errors import ErrorCode, ItemError

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

RATE = 1 / 50
"""How many items fill the disk."""


def on_a_disk(workload: Any, world: World, process: Process) -> Any:
    """The workload, as it works on the disk of this process."""
    placed = copy.copy(workload)
    for name in ("migrate", "transfer"):
        if hasattr(workload, name):
            setattr(placed, name, _working(getattr(workload, name), world, process))
    return placed


def _working(real: Callable[..., Any], world: World, process: Process) -> Callable[..., Any]:
    def work(*given: Any) -> Any:
        made = real(*given)  # so that the fault comes in the middle: the item was read, an output was begun
        if not process.disk_full and world.faults.happens("disk full", RATE, world.disks):
            process.disk_full = True
        if process.disk_full:
            world.trace(process, "the disk is full")
            _fail(hidden=world.disks.random() < 0.5)
        return made

    return work


def _fail(*, hidden: bool) -> NoReturn:
    """As the system tells it, or as a library does that takes it for the object's fault."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hidden:
        raise ItemError(ErrorCode.DAMAGED, "this is no sound object") from full
    raise full
