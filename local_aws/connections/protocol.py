"""The server's HTTP: uvicorn's, before which a plain request for an object is answered at once."""

from typing import Any

# Only in the server's environment.
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # type: ignore[import-not-found,unused-ignore]

from local_aws.connections.at_once import AtOnce, PlainRequest


class Connection(HttpToolsProtocol):  # type: ignore[misc,unused-ignore]
    """A connection of uvicorn's, which sees a request once it is clear that it is not answered at once.

    Args:
        at_once: Answers plain requests.
        given: What uvicorn gives to each of its connections.
    """

    def __init__(self, at_once: AtOnce, **given: Any) -> None:
        super().__init__(**given)
        self._at_once = at_once
        self._plain: PlainRequest | None = None
        self._handed_on = False

    def on_message_begin(self) -> None:
        """A request begins."""
        self._plain, self._handed_on = None, False
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers; behind a body in chunks, for uvicorn."""
        if self._handed_on:
            super().on_header(name, value)
        else:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """All of its head is there."""
        if self._is_free():
            self._plain = self._at_once.read(self.parser.get_method(), self._target, self._fields)
        if self._plain is None:
            self._hand_on()

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        if self._plain is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """All of it is there."""
        if self._plain is not None:
            answer = self._at_once.answer(self._plain, self._body)
            if answer is not None:
                self.transport.write(answer)
                self.on_response_complete()
                return
            self._plain = None
            self._hand_on()
            if self._body:
                super().on_body(self._body)
        super().on_message_complete()

    def _is_free(self) -> bool:
        """Whether this request may be answered now: none before it still is, and what was sent has gone out."""
        if self.transport.is_closing() or self.flow.write_paused or self.pipeline:
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        return self.parser.get_http_version() == "1.1" and bool(self.parser.should_keep_alive())

    def _hand_on(self) -> None:
        """Tell uvicorn of the head, as if it had just come."""
        self._handed_on = True
        super().on_message_begin()
        super().on_url(self._target)
        for name, value in self._fields:
            super().on_header(name, value)
        super().on_headers_complete()
