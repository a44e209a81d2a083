"""Asks a `millrace ui` as a browser does, and takes the time."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from console.checkout import ROOT
from console.watch.watching import LOCAL_SECONDS

WARM = 5
"""How often a page is asked for again."""


@dataclass(frozen=True)
class Asked:
    """A page to ask for.

    Attributes:
        of: What it shows: the list, or a run as it is.
        what: Which page of that.
        path: Its path and query.
        expected: A text that it has to have.
        form: The fields of the form that asks for it; None for a GET.
    """

    of: str
    what: str
    path: str
    expected: str
    form: dict[str, str] | None = None


@dataclass(frozen=True)
class Measured:
    """A page that has answered, with what it has to have: first and then again; seconds, and its bytes."""

    asked: Asked
    cold: float
    warm: list[float]
    bytes: int


class Browser:
    """Asks one `millrace ui`, as a browser that has opened the address that it printed.

    Args:
        address: That address, with its token.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._token = parts.query.partition("=")[2]
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # not past this machine
        self._cookie = f"millrace-{parts.port}={self._token}"

    def ask(self, asked: Asked) -> tuple[float, bytes]:
        """Ask for a page, or for the first event of a stream: seconds until it was there, and what it was.

        Raises:
            ValueError: It has not what it has to have.
            HTTPError: It is refused, or broken.
        """
        body = None if asked.form is None else urlencode({**asked.form, "token": self._token}).encode()
        request = urllib.request.Request(  # noqa: S310 - of this machine
            f"{self._origin}{asked.path}", body, {"Cookie": self._cookie, "Origin": self._origin}
        )
        began = time.perf_counter()
        with self._opener.open(request) as answer:
            is_stream = answer.headers["Content-Type"].startswith("text/event-stream")
            text: bytes = b"".join(_first_event(answer)) if is_stream else answer.read()
            taken = time.perf_counter() - began
        if asked.expected.encode() not in text:
            raise ValueError(f"{asked.path} has no {asked.expected!r}: {text[:2000]!r}")
        return taken, text

    def measure(self, asked: Asked, again: int = WARM) -> Measured:
        """Ask for it, and so many times again, each when it is looked up anew: not what was read just before."""
        cold, text = self.ask(asked)
        warm = []
        for _ in range(again):
            time.sleep(LOCAL_SECONDS)
            warm.append(self.ask(asked)[0])
        return Measured(asked, cold, warm, len(text))


def _first_event(answer: Any) -> Iterator[bytes]:
    for line in answer:
        if line.startswith(b"data:"):
            yield line
            return
        if line.startswith(b":"):  # sent while there is nothing to tell
            raise ValueError(f"no event of {answer.url}")


@contextmanager
def browser(state: Path) -> Iterator[Browser]:
    """A `millrace ui` of its own, which knows nothing yet."""
    command = [sys.executable, "-m", "console", "ui", "--port", "0", "--state-dir", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            said = process.stdout.readline() if process.stdout else b""
            yield Browser(said.decode().strip())
        finally:
            process.terminate()
