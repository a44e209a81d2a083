"""Server-sent events: the parts of an open page that changed, and new lines of logs (HTML Living Standard, 9.2)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Flask, Response, abort, stream_with_context

PART = "live_"
"""How the names of the blocks of a template begin that are sent anew when they change."""

STREAMS = 64
"""How many pages are kept up to date at once: each takes a thread."""

BEAT_SECONDS = 15.0
"""A comment is sent so often while nothing changes, so that a page that was closed is noticed."""

_places = threading.BoundedSemaphore(STREAMS)


def parts_of(app: Flask, template_name: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The live blocks of a template, rendered.

    Args:
        app: The application.
        template_name: The template.
        given: What it shows.
    """
    template = app.jinja_env.get_template(template_name)
    return {
        name.removeprefix(PART): "".join(block(template.new_context(dict(given))))
        for name, block in template.blocks.items()
        if name.startswith(PART)
    }


def stream(news: Callable[[], tuple[str, Any] | None], every: float) -> Response:
    """A stream of events.

    Args:
        news: Gives the name and the data of the next event, or nothing new; a name of "end" is the last.
        every: Seconds between two looks.
    """
    if not _places.acquire(blocking=False):
        abort(503, f"{STREAMS} pages are open already; this one has to be loaded anew to change")

    def events() -> Iterator[str]:
        try:
            said = time.monotonic()
            yield "retry: 3000\n\n"
            while True:
                told = news()
                if told is not None:
                    yield f"event: {told[0]}\ndata: {json.dumps(told[1])}\n\n"
                    said = time.monotonic()
                    if told[0] == "end":
                        return
                elif time.monotonic() - said >= BEAT_SECONDS:
                    yield ": still here\n\n"
                    said = time.monotonic()
                time.sleep(every)
        finally:
            _places.release()

    answer = Response(stream_with_context(events()), content_type="text/event-stream; charset=utf-8")
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
    return answer


class Changes:
    """The parts of a page that differ from what was sent last.

    Args:
        render: Gives all parts, and whether no more will come.
    """

    def __init__(self, render: Callable[[], tuple[dict[str, str], bool]]) -> None:
        self._render = render
        self._sent: dict[str, str] = {}
        self._ended = False

    def __call__(self) -> tuple[str, Any] | None:
        """The next event for `stream`."""
        if self._ended:
            return "end", None
        parts, self._ended = self._render()
        changed = {name: html for name, html in parts.items() if self._sent.get(name) != html}
        self._sent = parts
        return ("parts", changed) if changed else None
