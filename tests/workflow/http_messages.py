"""HTTP/1.1 messages as bytes: read off a stream whole, so that a proxy can pass them on, or break them off."""

from __future__ import annotations

from asyncio import StreamReader
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_BYTES = 65536
"""The longest head of a message."""


@dataclass(frozen=True)
class Message:
    """A request or an answer.

    Attributes:
        head: The first line and the headers, with the empty line at the end.
        body: As it came, chunk sizes included where it was sent in chunks.
    """

    head: bytes
    body: bytes

    @property
    def first_line(self) -> list[str]:
        """The words of the first line, three at most."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    def header(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return header(self.head, name)

    @property
    def status(self) -> int:
        """An answer's status."""
        return int(self.first_line[1])

    @property
    def last(self) -> bool:
        """Whether the connection closes behind it."""
        return self.header("connection").lower() == "close"

    def __bytes__(self) -> bytes:
        """The whole message."""
        return self.head + self.body


async def read_message(stream: StreamReader, answer_to: str = "") -> Message:
    """Read the next message.

    Args:
        stream: Where it comes from.
        answer_to: The method of the request that it answers; empty where it is a request itself.

    Raises:
        IncompleteReadError: The connection ended; `partial` is empty where it ended between two messages.
    """
    head = await stream.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1] if answer_to else b""
    if answer_to == "HEAD" or status in {b"204", b"304"}:
        return Message(head, b"")
    if "chunked" in header(head, "transfer-encoding").lower():
        return Message(head, await _chunks(stream))
    length = header(head, "content-length")
    if length:
        return Message(head, await stream.readexactly(int(length)))
    closed_behind = bool(answer_to)
    return Message(head, await stream.read() if closed_behind else b"")


def header(head: bytes, name: str) -> str:
    """A header's value in a message's head; empty where there is none."""
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    wanted = name.encode()
    return next((value.strip().decode("latin-1") for key, _, value in lines if key.lower() == wanted), "")


def s3_request(message: Message) -> tuple[str, str]:
    """What a request asks of S3.

    Returns:
        The verb (GET, PUT, HEAD, DELETE, POST, or LIST for a listing) and the `s3://bucket/key` that it is done to, or
        `s3://bucket/prefix`.
    """
    method, target = message.first_line[:2]
    bucket, _, key = target.partition("?")[0].removeprefix("/").partition("/")
    if method == "GET" and not key:
        prefix = parse_qs(urlsplit(f"//x/?{target.partition('?')[2]}").query).get("prefix", [""])[0]
        return "LIST", f"s3://{bucket}/{prefix}"
    return method, f"s3://{bucket}/{unquote(key)}"


async def _chunks(stream: StreamReader) -> bytes:
    """A chunked body as it is, up to and with its trailers."""
    body = b""
    while True:
        line = await stream.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line
        if not size:
            break
        body += await stream.readexactly(size + 2)
    while True:
        line = await stream.readuntil(b"\r\n")
        body += line
        if line == b"\r\n":
            return body
