"""An S3 that answers after a while: so many small objects to read, and whatever is put there.

    python -m benchmarks.small_objects.server [--objects 100000] [--bytes 2048] [--latency-ms 30]

Bytes in, bytes out, on asyncio's protocol level, in a process of its own: it must not be what a measurement waits for.
The first line that it writes is its port. `GET /` asks for the counts so far.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import ssl
import sys
import time
from bisect import bisect_right
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

SOURCE, RESULT = "letters", "results"
KEY = "in/%07d.txt"
BODIES = 64
"""How many different objects there are: their making must not take longer than the measurement."""
PAGE = 1000
"""So many keys a page of a listing has."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CONDITION = re.compile(rb"\r\nif-none-match: *\*", re.IGNORECASE)
_ASKS = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_OBJECT = (
    "<Contents><Key>%s</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
    "<ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_WORDS = ("mill", "race", "water", "wheel", "stone", "grain", "sack", "the", "and", "of", "to", "carries", "while")


def small_texts(size: int) -> list[bytes]:
    """Some texts of so many bytes."""
    dice = random.Random(4)  # noqa: S311 - the same texts every time is the point
    made = []
    for _ in range(BODIES):
        words = " ".join(
            f"{dice.choice(_WORDS)}{dice.choice(('', '', dice.randrange(1000)))}" for _ in range(size // 4)
        )
        made.append(words[:size].encode())
    return made


class Objects:
    """What the server holds and has seen.

    Attributes:
        latency: Seconds that pass before an answer.
        limit: Requests in a second beyond which it answers 503 SlowDown; 0 for none.
        seen: How often each verb came, how often it was answered by SlowDown, and how many connections were made.
        most: The most requests that were under way at once.
    """

    def __init__(self, objects: int, size: int, latency: float, limit: int = 0) -> None:
        self.latency, self.limit = latency, limit
        self.seen: Counter[str] = Counter()
        self.under_way = self.most = 0
        self._second, self._in_second = 0, 0
        self._objects = objects
        self._texts = [(body, hashlib.md5(body).hexdigest()) for body in small_texts(size)]  # noqa: S324 - an ETag
        self._put: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self._outputs: set[str] = set()

    def answer(self, head: bytes, body: bytes) -> bytes:
        """The answer to one request."""
        method, target, _ = head.decode("latin-1").split(" ", 2)
        path, _, query = target.partition("?")
        bucket, _, key = path[1:].partition("/")
        if not bucket:
            seen = {**self.seen, "outputs": len(self._outputs), "most_at_once": self.most, "cpu": time.process_time()}
            return message(200, json.dumps(seen).encode())
        if self.limit and self._over_the_limit():
            self.seen["SlowDown"] += 1
            return message(503, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
        verb = "LIST" if not key else method
        self.seen[verb] += 1
        if verb == "LIST":
            return message(200, self._page(bucket, parse_qs(query)))
        if verb == "DELETE":
            self._put.pop(path, None)
            return message(204, b"")
        if verb in ("GET", "HEAD"):
            return self._give(path, bucket, key, head, with_body=method == "GET")
        in_parts = verb == "POST" or "partNumber=" in query
        return self._take_part(path, query, body) if in_parts else self._take(path, key, head, body)

    def content(self, path: str, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag; None where there is none. Of what a job puts, only its own files are kept."""
        if bucket == SOURCE:
            return self._texts[int(key[3:10]) % BODIES]
        return (self._put[path], "e") if path in self._put else None

    def _give(self, path: str, bucket: str, key: str, head: bytes, *, with_body: bool) -> bytes:
        held = self.content(path, bucket, key)
        if held is None:
            return message(404, b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>")
        content, etag = held
        found = _RANGE.search(head)
        if found:
            first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            extra = f'ETag: "{etag}"\r\nContent-Range: bytes {first}-{last}/{len(content)}\r\n'
            return message(206, content[first : last + 1], extra)
        return message(200, content if with_body else b"", f'ETag: "{etag}"\r\n', len(content))

    def _take(self, path: str, key: str, head: bytes, body: bytes) -> bytes:
        if _CONDITION.search(head) and path in self._put:
            return message(412, b"<Error><Code>PreconditionFailed</Code><Message>There is one.</Message></Error>")
        if "/_millrace/" in key:
            self._put[path] = body
        else:
            self._outputs.add(path)
        return message(200, b"", 'ETag: "e"\r\n')

    def _take_part(self, path: str, query: str, body: bytes) -> bytes:
        """An upload in parts, one at a time for each key: a shard's progress, where it is large."""
        given = parse_qs(query, keep_blank_values=True)
        parts = self._parts.setdefault(path, {})
        if "partNumber" in given:
            parts[int(given["partNumber"][0])] = body
            return message(200, b"", 'ETag: "e"\r\n')
        if "uploads" in given:
            parts.clear()
            return message(
                200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        self._put[path] = b"".join(parts[number] for number in sorted(parts))
        return message(200, b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')

    def _over_the_limit(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second > self.limit

    def listed(self, bucket: str, prefix: str, after: str) -> tuple[list[tuple[str, str, int]], bool]:
        """A page of a listing: each object's key, ETag and size; and whether there are more."""
        begin = bisect_right(range(self._objects), after, key=lambda number: KEY % number)
        numbers = range(begin, min(begin + PAGE, self._objects)) if bucket == SOURCE and prefix == "in/" else range(0)
        texts = ((KEY % number, *self._texts[number % BODIES]) for number in numbers)
        return [(key, etag, len(body)) for key, body, etag in texts], numbers.stop < self._objects

    def _page(self, bucket: str, asked: dict[str, list[str]]) -> bytes:
        prefix = asked.get("prefix", [""])[0]
        found, more = self.listed(bucket, prefix, asked.get("continuation-token", asked.get("start-after", [""]))[0])
        truncated = "<IsTruncated>false</IsTruncated>"
        if found and more:
            token = f"<NextContinuationToken>{found[-1][0]}</NextContinuationToken>"
            truncated = f"<IsTruncated>true</IsTruncated>{token}"
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType>{''.join(_OBJECT % each for each in found)}"
            f"{truncated}<KeyCount>{len(found)}</KeyCount></ListBucketResult>"
        ).encode()


def message(status: int, body: bytes, extra: str = "", length: int | None = None) -> bytes:
    """An answer over HTTP."""
    size = len(body) if length is None else length
    dated = "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    return f"HTTP/1.1 {status} X\r\n{dated}Content-Length: {size}\r\n{extra}\r\n".encode() + body


def _body_end(data: bytes, head: bytes, start: int) -> int | None:
    """Where a request's body ends; None where not all of it is there."""
    if _CHUNKED.search(head):
        end = data.find(b"\r\n0\r\n\r\n", start - 2)
        return None if end < 0 else end + 7
    found = _LENGTH.search(head)
    stop = start + (int(found[1]) if found else 0)
    return stop if len(data) >= stop else None


def _unchunked(data: bytes) -> bytes:
    """A body that came in chunks, without their sizes, trailers left out."""
    made: list[bytes] = []
    position = 0
    while True:
        line_end = data.index(b"\r\n", position)
        size = int(data[position:line_end].split(b";")[0], 16)
        if not size:
            return b"".join(made)
        made.append(data[line_end + 2 : line_end + 2 + size])
        position = line_end + 4 + size


class Connection(asyncio.Protocol):
    """A connection: each request is answered once the latency has passed.

    Args:
        objects: What is there.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._rest = b""
        self._asked = False
        self._transport: Any = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._objects.seen["connections"] += 1

    def data_received(self, data: bytes) -> None:
        """Take requests off the stream."""
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[: end + 2]
            body_end = _body_end(self._rest, head, end + 4)
            if body_end is None:
                if not self._asked and _ASKS.search(head):
                    self._asked = True
                    self._loop.call_later(self._objects.latency, self._transport.write, _CONTINUE)
                return
            self._asked = False
            body, self._rest = self._rest[end + 4 : body_end], self._rest[body_end:]
            if b"aws-chunked" in head:
                body = _unchunked(_unchunked(body) if _CHUNKED.search(head) else body)
            objects = self._objects
            objects.under_way += 1
            objects.most = max(objects.most, objects.under_way)
            self._loop.call_later(objects.latency, self._send, head, body)

    def _send(self, head: bytes, body: bytes) -> None:
        self._objects.under_way -= 1
        self._transport.write(self._objects.answer(head, body))


async def serve(objects: Objects, certificate: str | None) -> None:
    """Answer until the process is ended, over TLS where there is a file of certificate and key."""
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(objects), "127.0.0.1", 0, backlog=1024, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Read the command line, serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=2048)
    parser.add_argument("--latency-ms", type=float, default=30)
    parser.add_argument("--limit", type=int, default=0, help="requests a second beyond which it says SlowDown")
    parser.add_argument("--certificate", help="PEM of certificate and key: answer over TLS")
    given = parser.parse_args()
    objects = Objects(given.objects, given.bytes, given.latency_ms / 1000, given.limit)
    asyncio.run(serve(objects, given.certificate))


if __name__ == "__main__":
    main()
