"""A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol): no port, no package."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class BrowserMissingError(Exception):
    """There is no Chromium here."""


def find_chromium() -> str:
    """The program's path.

    Raises:
        BrowserMissingError: It is not installed.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise BrowserMissingError(
            "no Chromium here: install one (Debian: apt-get install chromium), then run: make test-browser"
        )
    return found


class Page:
    """One page of a browser.

    Attributes:
        requests: The addresses of everything that it asked for.
        complaints: What its console and its security policy said.
    """

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the page for something, and wait for the answer."""
        return self._browser.call(method, parameters, self._session, self._note)

    def open(self, place: Path | str, *, width: int = 1100, dark: bool = False) -> None:
        """Load a file, or an address, and wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=place if isinstance(place, str) else place.resolve().as_uri())
        self._browser.wait_for("Page.loadEventFired", self._note)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path, *, top: int, height: int) -> None:
        """Write a part of the page, as wide as the page is, as a PNG."""
        width = self.call("Page.getLayoutMetrics")["cssContentSize"]["width"]
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(b64decode(answer["data"]))

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            parameters: dict[str, Any] = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
            if key == "Enter" and kind == "keyDown":
                parameters["text"] = "\r"
            self.call("Input.dispatchKeyEvent", **parameters)

    def _note(self, event: dict[str, Any]) -> None:
        method, given = event["method"], event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method == "Log.entryAdded" and given["entry"]["level"] != "verbose":  # verbose: what took long
            self.complaints.append(given["entry"]["text"])
        elif method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown"}:
            self.complaints.append(json.dumps(given))


class Chromium:
    """The browser. A context manager, which ends it."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        profile = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        # The browser takes commands from its file 3 and answers on its file 4. The shell puts them there.
        options = [
            "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking",
            "--disable-component-update", "--disable-quic", "--disable-sync", "--force-color-profile=srgb",
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', find_chromium(), *options],
            stdin=theirs_in,
            stdout=theirs_out,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(BrokenPipeError, EOFError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._stack.close()

    def page(self) -> Page:
        """A new page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session)

    def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None, note: Any = None
    ) -> dict[str, Any]:
        """Send a command; events that come before its answer are handed to `note`."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            command["sessionId"] = session
        os.write(self._in, json.dumps(command).encode() + b"\0")
        for message in self._messages():
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            if note is not None and "method" in message:
                note(message)
        raise EOFError(method)

    def wait_for(self, method: str, note: Any) -> None:
        """Read until an event comes."""
        for message in self._messages():
            if "method" in message:
                note(message)
            if message.get("method") == method:
                return

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" not in self._rest:
                read = os.read(self._out, 1 << 20)
                if not read:
                    raise EOFError("the browser has ended")
                self._rest += read
            first, _, self._rest = self._rest.partition(b"\0")
            yield json.loads(first)
