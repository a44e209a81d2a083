"""Job logs: a JSON object a line, on stderr. Keys and other people's text appear inside JSON strings only.

No line has an object's content: an exception that is not ours is logged by its type and its place in the code, because
its text may quote the object. At the level DEBUG, which an operator has to ask for, its text is logged too.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from millrace.errors import MillraceError
from millrace.workload_settings import Hiding


class JsonLines(logging.Formatter):
    """Formats a record as `{"level", "time", "message", …}`; `extra={"fields": {…}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII alone: no control character of a key reaches a terminal."""
        line: dict[str, object] = {
            "level": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            **getattr(record, "fields", {}),
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            full = logging.getLogger("batch_jobs").isEnabledFor(logging.DEBUG)
            line["traceback"] = self.formatException(record.exc_info) if full else places(record.exc_info[1])
        return hidden(json.dumps(line, default=str))


LONGEST_LINE = 65_536
"""How many characters of a line wait for its end."""

_hiding = Hiding()


def hide(secrets: Iterable[str]) -> None:
    """From now on, write `***` where a line of the log, a print of the workload or an error's text has a secret."""
    global _hiding  # noqa: PLW0603 - the process's streams are global as well
    _hiding = Hiding(secrets)
    if _hiding:
        # The log's own handler has the stream itself, and hides in whole lines.
        sys.stdout, sys.stderr = HidingStream(sys.stdout), HidingStream(sys.stderr)


def hidden(text: str) -> str:
    """A text without the secrets that this job knows."""
    return _hiding(text)


class HidingStream(io.TextIOBase):
    """A text stream that hides secrets, line by line; what its bytes are given is not looked at.

    A line is written when it is whole: threads that print at once do not mix theirs, and a secret that is written in
    pieces is found.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Write a text."""
        with self._lock:
            begun = self._begun.pop(threading.get_ident(), "") + text
            whole, end, rest = begun.rpartition("\n")
            if len(rest) > LONGEST_LINE:
                whole, end, rest = begun, "", ""
            if rest:
                self._begun[threading.get_ident()] = rest
            if whole or end:
                self._stream.write(hidden(whole + end))
        return len(text)

    def flush(self) -> None:
        """Write what was begun, and flush the stream."""
        with self._lock:
            for rest in self._begun.values():
                self._stream.write(hidden(rest))
            self._begun.clear()
            self._stream.flush()

    def fileno(self) -> int:
        """The stream's descriptor, for programs that get it."""
        return int(self._stream.fileno())

    @property
    def buffer(self) -> Any:
        """The stream's bytes."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return str(self._stream.encoding)


def places(error: BaseException) -> str:
    """A traceback without the exceptions' texts: types, files, lines and names, the cause first."""
    texts: list[str] = []
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        texts.append("".join(traceback.format_tb(step.__traceback__)) + type(step).__qualname__)
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
    return "\n\n".join(reversed(texts))


def error_text(error: BaseException) -> str:
    """An error in the words of a log: ours and the system's with their text, others by their type and place."""
    if isinstance(error, MillraceError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__}: {os.strerror(error.errno)}"
    if isinstance(error, ImportError):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}; its text may quote an object: it is logged at the level DEBUG alone"


def log_to_stderr() -> None:
    """Send every log line of this process to stderr as JSON, from INFO on; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level("INFO")


def set_level(level: str) -> None:
    """Log our own lines from this level on."""
    logging.getLogger("batch_jobs").setLevel(level)
    logging.getLogger("millrace").setLevel(level)
