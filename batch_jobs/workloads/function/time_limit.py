"""The time limit of an item: the function runs in a thread of its own, which is interrupted where it takes longer.

A thread cannot be killed. Python code in it is interrupted by an exception (`PyThreadState_SetAsyncExc`), again and
again until it ends; C code is not. What does not end is left behind, and the job ends: the next attempt begins afresh.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from millrace.errors import ErrorCode, ItemError, StuckItemError

Chunk = TypeVar("Chunk")

GRACE_SECONDS = 10.0
"""How long Python code may keep swallowing the interruption before it counts as stuck."""

_AGAIN_SECONDS = 0.2
"""How often it is interrupted."""

_LOOK_SECONDS = 5.0
"""How often the waiting thread checks whether Python still runs."""

_FROZEN_SECONDS = 60.0
"""C code that keeps the interpreter to itself so much longer than the limit is ended with the whole process."""


class _OverTimeError(BaseException):
    """The item's time is up. No `Exception`, so that a function that catches those does not catch it."""


class TimeLimit:
    """How long a function may take for an item. Several threads may use one.

    Args:
        seconds: From the call until the last thing that it yields, reading included.
        grace_seconds: How long it may swallow the interruption.
    """

    def __init__(self, seconds: float, grace_seconds: float = GRACE_SECONDS) -> None:
        self.seconds = seconds
        self._grace_seconds = grace_seconds

    def keep(self, chunks: Iterable[bytes], work: Callable[[Iterator[bytes]], Any]) -> Any:
        """What `work` makes of an item's bytes.

        Args:
            chunks: The bytes. Reading them is never interrupted, but no chunk is given once the time is up.
            work: Called in another thread.

        Raises:
            ItemError: `ITEM_TIMED_OUT`: it took longer.
            StuckItemError: It took longer, and does not end.
            BaseException: What `work` raised.
        """
        call = _Call(chunks, work)
        _WATCH.begin(self.seconds)  # before the thread may stop everything
        try:
            call.thread.start()
            return self._wait(call)
        finally:
            _WATCH.end()

    def _wait(self, call: _Call) -> Any:
        until = time.monotonic() + self.seconds
        while call.thread.is_alive() and (left := until - time.monotonic()) > 0:
            call.thread.join(min(left, _LOOK_SECONDS))
            _WATCH.still_running()
        if not call.thread.is_alive():
            if call.error is not None:
                raise call.error
            return call.result
        late = f"it took longer than {self.seconds:g} seconds, its workload's item_seconds"
        sent = 0.0
        while sent < self._grace_seconds:
            if call.interrupt():
                sent += _AGAIN_SECONDS
            call.thread.join(_AGAIN_SECONDS)
            _WATCH.still_running()
            if not call.thread.is_alive():
                raise ItemError(ErrorCode.ITEM_TIMED_OUT, late)
        raise StuckItemError(ErrorCode.ITEM_TIMED_OUT, f"{late}, and could not be interrupted")


class _Call:
    """One call in its thread."""

    def __init__(self, chunks: Iterable[bytes], work: Callable[[Iterator[bytes]], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True, name="millrace-item")
        self._chunks = iter(chunks)
        self._work = work
        self._lock = threading.Lock()
        self._over = False
        self._reading = False
        self._ended = False

    def interrupt(self) -> bool:
        """Interrupt it; returns False where it is reading, which ends by itself."""
        with self._lock:
            self._over = True
            if self._reading:
                return False
            if not self._ended and self.thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.thread.ident), ctypes.py_object(_OverTimeError)
                )
            return True

    def _run(self) -> None:
        try:
            try:
                self.result = self._work(self._guarded())
            except BaseException as error:  # noqa: BLE001 - raised where the item is worked
                self.error = error
            with self._lock:
                self._ended = True
        except _OverTimeError:  # between the work's end and here
            self._ended = True

    def _guarded(self) -> Iterator[bytes]:
        """The chunks. Between them it can be interrupted, within S3's client it cannot: others use its locks too."""
        while True:
            try:
                with self._lock:
                    if self._over:
                        raise _OverTimeError
                    self._reading = True
                chunk = next(self._chunks, None)
            finally:
                self._reading = False
            if chunk is None:
                return
            yield chunk


class _Watch:
    """Ends the process where nothing in Python runs any more: C code that never returns and never lets go of it.

    `faulthandler` has a thread that needs no interpreter. It writes where every thread is, and exits with 1.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._seconds = 0.0
        self._said = 0.0

    def begin(self, limit: float) -> None:
        """A call begins."""
        with self._lock:
            self._calls += 1
            if limit + _FROZEN_SECONDS > self._seconds or self._calls == 1:
                self._seconds = limit + _FROZEN_SECONDS
                self._said = 0.0
        self.still_running()

    def still_running(self) -> None:
        """Python runs."""
        with self._lock:
            if self._calls and time.monotonic() - self._said > 1.0:
                self._said = time.monotonic()
                faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__ or sys.stderr)

    def end(self) -> None:
        """A call is over."""
        with self._lock:
            self._calls -= 1
            if not self._calls:
                faulthandler.cancel_dump_traceback_later()


_WATCH = _Watch()
