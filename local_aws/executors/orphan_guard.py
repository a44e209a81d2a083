"""Nothing outlives the server: a small process that cleans up when the server is killed.

The server reports every process group and container to it over a pipe. When the pipe closes, whatever the reason, the
guard kills the groups that are left, and removes the containers and the server's directory. Run as a program it is the
guard; it needs only the standard library, and starts in some 20 ms.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_CONTAINER = "container "


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

    def watch_container(self, container: str) -> None:
        """Remove this container of the Docker engine when the server ends."""
        self._tell(f"+{_CONTAINER}{container}\n")

    def forget_container(self, container: str) -> None:
        """The container is gone."""
        self._tell(f"-{_CONTAINER}{container}\n")

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
    """Read groups and containers from standard input until it closes, then clean up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    names: set[str] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            names.add(line[1:].rstrip())
        else:
            names.discard(line[1:].rstrip())
    containers = [name.removeprefix(_CONTAINER) for name in names if name.startswith(_CONTAINER)]
    for group in [int(name) for name in names if not name.startswith(_CONTAINER)]:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    docker = shutil.which("docker") if containers else None
    if docker is not None:
        command = [docker, "rm", "--force", "--volumes", *containers]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - the engine's own ids
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
