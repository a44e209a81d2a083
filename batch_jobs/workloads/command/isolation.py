"""What keeps a command from reading the memory, the environment and the open files of the job that starts it.

A process may read those of another one of its user, by /proc and ptrace, and the job's credentials are among them. The
job makes itself undumpable, so that Linux shows it only to processes that may trace everything. Where the kernel has
Landlock (5.19 and later, ABI 2), commands are also started by a thread of a Landlock domain, which they inherit: such a
process can trace none outside of its domain, the engine's init (PID 1) among them, and from 6.12 on not signal it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

log = logging.getLogger(__name__)

Started = TypeVar("Started")

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Their numbers are the same on every architecture (Linux, syscall tables)."""
_VERSION, _PATH_BENEATH = 1, 1
_MAKE_BLOCK, _REFER = 1 << 11, 1 << 13
_SCOPE_SIGNAL = 1 << 1
_ABI_OF_REFER, _ABI_OF_SCOPE = 2, 6


def start_apart(start: Callable[[], Started]) -> Started:
    """Start a process that cannot look into this one.

    Args:
        start: Starts it; called from a thread of its own, of which all such processes are children.
    """
    return _spawner().submit(start).result()


@cache
def _spawner() -> ThreadPoolExecutor:
    """The thread that starts commands. One, for the whole process: a domain belongs to a thread and its children."""
    make_undumpable()
    thread = ThreadPoolExecutor(1, thread_name_prefix="commands")
    try:
        thread.submit(_enter_domain).result()  # not as its initializer, whose error nobody gets to see
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return thread


def make_undumpable() -> bool:
    """See that no other process of this user can read this one; says whether the kernel did so."""
    return sys.platform == "linux" and not _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _enter_domain() -> None:
    """Put this thread, and all that it starts, into a Landlock domain that denies nothing of the file system."""
    if sys.platform != "linux":
        return
    libc = _libc()
    abi = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if abi < _ABI_OF_REFER:
        log.info("this kernel has no Landlock: commands can read other processes of their user, this one excepted")
        return
    # struct landlock_ruleset_attr: a kernel takes no more of it than it knows.
    handled = struct.pack("=Q", _MAKE_BLOCK | _REFER)
    if abi >= _ABI_OF_SCOPE:
        handled += struct.pack("=QQ", 0, _SCOPE_SIGNAL)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _MAKE_BLOCK | _REFER, root)
        entered = (
            ruleset >= 0
            and libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) == 0
            and libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
        )
    finally:
        os.close(root)
        if ruleset >= 0:
            os.close(ruleset)
    if not entered:
        log.warning("Landlock refused", extra={"fields": {"errno": os.strerror(ctypes.get_errno())}})


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
