"""Plain requests for objects, answered as soon as their last byte is there: without a task, and in one write.

Nearly all that a run asks for is a small object that is read or written by its path, with a signature in a header. What
is in any way different is handed on to the application, and so is what the guard would refuse: it says why. Handed on,
a request is as it came: nothing is done for it before it is clear that it is answered here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from local_aws.guard import Guard, is_cors
from local_aws.ministack.object_requests import encoded
from local_aws.signatures import Request

Response = tuple[int, dict[str, str], bytes]
LARGEST_BODY = 1 << 16
"""The largest body that is held until all of it is there."""
_METHODS = {b"GET": "GET", b"HEAD": "HEAD", b"PUT": "PUT"}
_READING = frozenset({
    "host", "accept", "accept-encoding", "user-agent", "authorization", "x-amz-date", "x-amz-content-sha256",
    "amz-sdk-invocation-id", "amz-sdk-request", "if-match", "if-none-match", "range", "x-amz-checksum-mode",
})  # fmt: skip
"""The headers of a plain request to read, and those below of one to write; ministack's S3 itself looks at no others."""
_WRITING = (_READING - {"range", "x-amz-checksum-mode"}) | {
    "content-length", "content-type", "content-md5", "x-amz-checksum-sha256", "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
}  # fmt: skip
_METADATA = "x-amz-meta-"
_TARGET = re.compile(rb"/[!-\"$->@-~]*")
"""A path in ASCII, without a query."""
_NO_NAME = re.compile(r"[\x00-\x20()<>@,;:\[\]={}\\\"\x7f-\uffff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request that is plain by its head.

    Attributes:
        asked: As it came.
        path: Decoded.
        body_bytes: How long its body is.
    """

    asked: Request
    path: str
    body_bytes: int


class AtOnce:
    """Answers plain requests."""

    def __init__(
        self,
        guard: Guard,
        answer: Callable[[str, str, dict[str, str], bytes], Response | None],
        remember: Callable[[str, str], None],
    ) -> None:
        """Answer what the guard lets in.

        Args:
            guard: Stands in front of the application that gets all other requests.
            answer: Answers a method, a path, headers and a body; None: the application has to.
            remember: Is told the method and the path of what is answered.
        """
        self._guard, self._answer, self._remember = guard, answer, remember

    def read(self, method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> PlainRequest | None:
        """A request by its head.

        Args:
            method: Of its first line.
            target: Of its first line.
            fields: Names and values of its headers.

        Returns:
            None where it is not plain.
        """
        word = _METHODS.get(method)
        if word is None or _TARGET.fullmatch(target) is None:
            return None
        known = _WRITING if word == "PUT" else _READING
        headers: dict[str, str] = {}
        try:
            for name, value in fields:
                key = _lower(name)
                if key in headers or not (key in known or (word == "PUT" and key.startswith(_METADATA))):
                    return None
                headers[key] = value.decode("ascii")
            length = int(headers["content-length"]) if word == "PUT" else 0
        except (KeyError, ValueError):
            return None
        if length > LARGEST_BODY or "authorization" not in headers:
            return None
        path = target.decode("ascii")
        return PlainRequest(Request(word, path, "", headers), unquote(path) if "%" in path else path, length)

    def answer(self, plain: PlainRequest, body: bytes) -> bytes | None:
        """The whole answer, head and body; None: the application has to answer.

        Args:
            plain: The request.
            body: All of its body.
        """
        asked = plain.asked
        if len(body) != plain.body_bytes or not self._guard.lets_in(asked, plain.path, body):
            return None
        headers: Any = asked.headers
        found = self._answer(asked.method, plain.path, headers, body)
        if found is None:
            return None
        self._remember(asked.method, plain.path)
        head = _head(found[0], found[1])
        if head is not None:
            return head + found[2]
        # As uvicorn answers a header that HTTP cannot hold. What was written is written.
        return _status_line(500) + b"content-length: 0\r\n\r\n"


def _head(status: int, fields: dict[str, str]) -> bytes | None:
    """A status line and headers, an empty line behind them; None: HTTP cannot hold them."""
    parts = [_status_line(status)]
    for name, value in fields.items():
        field, text = _field(name), encoded(str(value))
        if field is None or _CONTROL.search(text):
            return None
        if field:
            parts += (field, text, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


@lru_cache(64)
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


@lru_cache(512)
def _field(name: str) -> bytes | None:
    """A header's name with the colon; empty where no page may read it, None where HTTP cannot hold it."""
    if _NO_NAME.search(name):
        return None
    line = f"{name.lower()}: ".encode()
    return b"" if is_cors(line) else line


@lru_cache(512)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()
