"""Nothing outlives the server: a small process that cleans up when the server is killed.

The server tells it of every process group over a pipe. When the pipe closes, whatever the reason, the guard kills the
groups that are left and removes the server's directory. Run as a program it is the guard; it needs only the standard
library, and starts in some 20 ms.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


class OrphanGuard:
    """The server's end of the pipe."""

    def __init__(self, directory: Path) -> None:
        """Start the guard; it will remove the directory."""
        self._lock = threading.Lock()
        read, write = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", __file__, str(directory)],
            stdin=read,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that a signal to the server's group does not reach it
        )
        os.close(read)
        self._pipe = os.fdopen(write, "wb")

    def watch(self, group: int) -> None:
        """Kill this process group when the server ends."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended, and its number may be used again."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let the guard do its work, and wait until it is done."""
        with self._lock:
            self._pipe.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        # A guard that someone killed is no reason to stop working.
        with self._lock, contextlib.suppress(BrokenPipeError):
            if not self._pipe.closed:
                self._pipe.write(line.encode())
                self._pipe.flush()


def main(directory: str) -> None:
    """Read groups from standard input until it closes, then clean up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
