"""A process that has loaded code, and is copied for each job or function: a start without the interpreter's.

Run as a program it is that process. It belongs to the interpreter of the jobs or functions and knows nothing of the
server but the socket in its first argument; the second is a JSON object: names of modules to load, and folders to find
them in beside the interpreter's own. A request is a JSON object behind its length: `{"start": {...}}`, with the
descriptors of standard input, output and error, or `{"reap": pid}`, which frees the number of a process that has ended.
It answers `{"started": pid}` at once, and sends `{"ended": pid, "code": n}` when a process has ended. It has one
thread, so that a copy of it is whole, and ends with the socket.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

LENGTH = struct.Struct("!I")
DESCRIPTORS = 3


def send(peer: socket.socket, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
    """Send a message, with descriptors."""
    content = json.dumps(message).encode()
    socket.send_fds(peer, [LENGTH.pack(len(content))], list(descriptors))
    peer.sendall(content)


def receive(peer: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message, and its descriptors; None when the peer is gone."""
    head, descriptors, _, _ = socket.recv_fds(peer, LENGTH.size, DESCRIPTORS)
    head += _exactly(peer, LENGTH.size - len(head)) if head else b""
    if len(head) < LENGTH.size:
        return None
    content = _exactly(peer, LENGTH.unpack(head)[0])
    return (json.loads(content), descriptors) if content else None


def _exactly(peer: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        chunk = peer.recv(length - len(content))
        if not chunk:
            return b""
        content += chunk
    return content


def serve(peer: socket.socket, names: Sequence[str], folders: Sequence[str]) -> None:
    """Load modules, then start processes until the peer is gone.

    Args:
        peer: The server.
        names: The modules.
        folders: Where they are, if not where the interpreter looks. A copy does not look there.
    """
    before = _open_descriptors()
    sys.path[:0] = folders
    for name in names:
        with contextlib.suppress(ImportError):  # the copy will say so itself
            importlib.import_module(name)
    del sys.path[: len(folders)]
    # What a module opened, as X-Ray's SDK does a socket, is open in a copy, as it would be in a process of its own.
    kept = _open_descriptors() - before
    gc.collect()
    gc.freeze()  # a copy's collector leaves alone what was there before it
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake)
    running: set[int] = set()
    while True:
        waited_for: list[Any] = [peer, woken]
        ready, _, _ = select.select(waited_for, [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            _tell_ends(peer, running)
        if peer not in ready:
            continue
        received = receive(peer)
        if received is None:
            return
        message, descriptors = received
        if "reap" in message:
            os.waitpid(message["reap"], 0)
            continue
        try:
            pid = _copy(message["start"], descriptors, kept)
        except OSError as error:
            send(peer, {"refused": str(error)})
        else:
            running.add(pid)
            send(peer, {"started": pid})
        for each in descriptors:
            os.close(each)


def _copy(start: dict[str, Any], descriptors: Sequence[int], kept: set[int]) -> int:
    """Copy this process; returns when the copy leads a session of its own, and takes signals as any process."""
    read, write = os.pipe()
    # A signal that comes before the copy has its own handlers waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        pid = os.fork()
        if pid == 0:
            _become(start, descriptors, kept, write)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        os.close(write)
        with os.fdopen(read, "rb") as ready:
            ready.read(1)
    return pid


def _open_descriptors() -> set[int]:
    found = set(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - pathlib need not be loaded
    for each in list(found):
        try:
            os.fstat(each)
        except OSError:  # the one that the others were listed by
            found.discard(each)
    return found


def _tell_ends(peer: socket.socket, running: set[int]) -> None:
    """Report each process that has ended; its number is kept until it is reaped."""
    for pid in list(running):
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            running.discard(pid)
            by_itself = ended.si_code == os.CLD_EXITED
            send(peer, {"ended": pid, "code": ended.si_status if by_itself else -ended.si_status})


def _become(start: dict[str, Any], descriptors: Sequence[int], kept: set[int], ready: int) -> NoReturn:
    """Be a process as a fresh interpreter would be one, and run the module or the file."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        os.write(ready, b"1")
        os.chdir(start["directory"])
        os.environ.clear()
        os.environ.update(start["environment"])
        tempfile.tempdir = None
        for descriptor, source in enumerate(descriptors):
            os.dup2(source, descriptor)
        for each in _open_descriptors() - kept - set(range(DESCRIPTORS)):
            os.close(each)
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]  # as PYTHONUNBUFFERED does
        sys.argv = [start["program"], *start["arguments"]]
        if os.path.isabs(start["program"]):  # noqa: PTH117 - pathlib need not be loaded
            runpy.run_path(start["program"], run_name="__main__")
        else:
            runpy.run_module(start["program"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter itself does
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with the socket
    to_load = json.loads(sys.argv[2])
    serve(socket.socket(fileno=int(sys.argv[1])), to_load["names"], to_load["folders"])
