"""Running one command to its end, whatever it does: a time limit, a bounded tail of stderr, its whole group killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from batch_jobs.workloads.isolation import start_apart

_TAIL_BYTES = 2_000
"""How much of the end of stderr is kept."""

_STEP_SECONDS = 0.1
"""How often a running command is looked at: whether it ended, whether the job has to stop."""

_GRACE_SECONDS = 2.0
"""How long a command may take to end after SIGTERM, before SIGKILL: less than a stopping job waits for its items."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        returncode: Its exit code, or minus the number of the signal that killed it.
        timed_out: Whether it was killed for its time limit.
        seconds: How long it ran.
        stderr: The end of what it wrote to its standard error, as text on one line.
        last_line: The last line of it that is not blank.
    """

    returncode: int
    timed_out: bool
    seconds: float
    stderr: str
    last_line: str = ""


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes] | int,
    time_limit_seconds: float,
    check: Callable[[], object],
) -> Ended:
    """Run a command in a process group of its own; nothing of the group is left when this returns or raises.

    Args:
        arguments: The program and its arguments; no shell reads them.
        folder: Its working directory.
        environment: All of its environment.
        stdout: Where its standard output goes.
        time_limit_seconds: How long it may run.
        check: Called ten times a second; what it raises ends the command.

    Raises:
        OSError: The program cannot be started.
    """
    started = time.monotonic()
    process = start_apart(
        lambda: subprocess.Popen(  # noqa: S603 - the argument list is the user's, and no shell reads it
            arguments,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            close_fds=True,
        )
    )
    tail = _Tail(process)
    try:
        timed_out = not _wait(process, tail, started + time_limit_seconds, check)
    finally:
        _end_group(process, tail)
    returncode = process.wait()
    return Ended(returncode, timed_out, time.monotonic() - started, tail.text(), tail.last_line())


class _Tail:
    """Reads a command's stderr as it comes, so that the command never waits for us, and keeps the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._pipe = cast("IO[bytes]", process.stderr)
        self._kept = b""
        self._cut = False
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    @property
    def open(self) -> bool:
        return not self._pipe.closed

    def read(self, seconds: float) -> None:
        """Wait for something to read, and read it."""
        if not self._poll.poll(seconds * 1000):
            return
        block = os.read(self._pipe.fileno(), 65_536)
        if not block:
            self._pipe.close()
        self._cut = self._cut or len(self._kept) + len(block) > _TAIL_BYTES
        self._kept = (self._kept + block)[-_TAIL_BYTES:]

    def close(self) -> None:
        """Read what is left in the pipe, at most its 64 KiB, and close it."""
        if self.open:
            self.read(0)
        self._pipe.close()

    def text(self) -> str:
        words = " ".join(self._kept.decode(errors="replace").split())
        return f"…{words}" if self._cut else words

    def last_line(self) -> str:
        return self._kept.decode(errors="replace").rstrip().rpartition("\n")[2].strip()


def _wait(process: subprocess.Popen[bytes], tail: _Tail, deadline: float, check: Callable[[], object]) -> bool:
    """Whether the command ended in time."""
    while process.poll() is None:
        check()
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        step = min(left, _STEP_SECONDS)
        if tail.open:
            tail.read(step)
            if tail.open:
                continue
        # Its stderr is closed, as a rule because it has just ended.
        try:
            process.wait(step)
        except subprocess.TimeoutExpired:
            continue
    return True


def _end_group(process: subprocess.Popen[bytes], tail: _Tail) -> None:
    """End the command and what it has started."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        last_moment = time.monotonic() + _GRACE_SECONDS
        while process.poll() is None and time.monotonic() < last_moment:
            if tail.open:
                tail.read(_STEP_SECONDS)
            else:
                time.sleep(_STEP_SECONDS / 10)
    # Also where it ended by itself: it may have left others of its group behind.
    _signal(process, signal.SIGKILL)
    process.wait()
    tail.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in the group; macOS says PermissionError where only a zombie is.
        return
