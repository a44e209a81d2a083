"""What is the host's fault and no object's: a full disk, no memory, no file handles. The one place that decides it.

Such a fault is never an object's row: another host, or the same one later, may well work the object. Libraries wrap
errors, and some hide the first one behind their own; so the whole chain of an error counts.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from millrace.errors import HostFaultError

_HINTS = {
    errno.ENOSPC: "give the job more disk (JobStorage), or less to do at once (MILLRACE_CONCURRENCY)",
    errno.EDQUOT: "raise the disk quota of the job's user",
    errno.EMFILE: "raise the job's limit of open files, or give it less to do at once (MILLRACE_CONCURRENCY)",
    errno.ENFILE: "the host has no file handles left",
    errno.ENOMEM: "give the job more memory (JobSize), or less to do at once (MILLRACE_CONCURRENCY)",
    errno.EIO: "the host's disk is broken",
    errno.EROFS: "the job's disk cannot be written; TMPDIR must name a folder that can",
    errno.ESTALE: "the host lost a file system that it had mounted",
    errno.EAGAIN: "the host allows no more processes or threads",
}
"""The errors that are the host's, with what helps."""

_SQLITE = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_NOMEM: errno.ENOMEM, sqlite3.SQLITE_IOERR: errno.EIO}
_RUST = re.compile(r"\bos error (\d+)\b|\bOs \{ code: (\d+),")
"""How Rust's libraries write an error of the system: obstore's exceptions have it in their text alone."""

_OF_RUST = re.compile(r" \(os error \d+\)\W*\Z")
"""What programs in Rust put behind these words."""

_TOLD = {os.strerror(number): number for number in _HINTS if number != errno.EAGAIN} | {"MemoryError": errno.ENOMEM}
"""What programs write of such an error: the C library's words, in the locale that the command is given."""

_MOST = 100
"""No chain of errors is followed further."""

LEAST_FREE_BYTES = 65_536
"""A disk with less room than this is full."""


def host_fault(error: BaseException) -> OSError | None:
    """The host's fault in an error or in what led to it: those it was raised from, or while handling.

    Returns:
        An OSError with one of the numbers above; None where nothing of it is the host's fault.
    """
    for link in _chain(error):
        number = _number(link)
        if number is not None:
            if isinstance(link, OSError) and link.errno == number:
                return link
            return OSError(number, f"{os.strerror(number)} ({type(link).__name__}: {link})")
    return None


def fault_error(fault: OSError, doing: str, target: str) -> HostFaultError:
    """The error that ends the attempt. It goes to logs and messages, so it has the system's words and no others.

    Args:
        fault: What `host_fault` found.
        doing: The operation: "work the item".
        target: What it was done to.
    """
    number = fault.errno or 0
    hint = _HINTS.get(number, "the host is at fault")
    words = f"[Errno {number}] {os.strerror(number)}"
    return HostFaultError(f"the host failed, not the object: {words}; {hint}", operation=doing, target=target)


def check_disk(folder: Path) -> None:
    """See whether the disk of a folder has room.

    Raises:
        OSError: ENOSPC: it has none, or no more files fit on it.
    """
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < LEAST_FREE_BYTES or (room.f_files and not room.f_favail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def check_words(last_line: str) -> None:
    """See whether a program that failed ended with the words for a fault of the host.

    Args:
        last_line: The last line of its standard error: lines before may cite the object.

    Raises:
        OSError: It did.
    """
    line = last_line.lower()
    end = _OF_RUST.sub("", line).rstrip(" .)'\"")
    for words, number in _TOLD.items():
        told = words.lower()  # Go's programs write it in lower case
        marks = (f"[errno {number}] {told}", f"{errno.errorcode[number].lower()}: {told}")  # Python's, and Node's
        if end.endswith(told) or any(mark in line for mark in marks):
            raise OSError(number, last_line[-200:])


def _number(error: BaseException) -> int | None:
    number: int | None = None
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    elif isinstance(error, OSError):
        # What tempfile says where no folder can be written, a full one among them.
        number = errno.ENOSPC if "No usable temporary directory" in str(error) else error.errno
    elif isinstance(error, sqlite3.Error):
        number = _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    elif isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        number = errno.EAGAIN
    elif type(error).__module__.partition(".")[0] == "obstore":
        found = _RUST.search(str(error))
        number = int(found[1] or found[2]) if found else None
    return number if number in _HINTS else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and whatever it was made of, each once."""
    seen: list[BaseException] = []
    left: list[object] = [error]
    while left and len(seen) < _MOST:
        link = left.pop(0)
        if not isinstance(link, BaseException) or any(link is other for other in seen):
            continue
        seen.append(link)
        yield link
        left += [link.__cause__, link.__context__, *link.args, getattr(link, "reason", None)]
        if isinstance(link, BaseExceptionGroup):
            left += link.exceptions
        if isinstance(kwargs := getattr(link, "kwargs", None), dict):  # botocore keeps what it wraps there
            left += kwargs.values()
