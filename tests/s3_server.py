"""The S3 in memory behind HTTP on a port of loopback, so that two clients can be held against each other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError

from tests.in_memory_s3 import InMemoryS3Client

Answer = tuple[int, dict[str, str], bytes]


class Handler(BaseHTTPRequestHandler):
    """Answers GetObject and PutObject; whatever is refused, as the S3 in memory refuses it.

    Attributes:
        s3: The S3 in memory.
        instead: What answers in its place, one request each; status 0 hangs up.
        seen: Method, path and headers of every request.
    """

    protocol_version = "HTTP/1.1"
    s3: ClassVar[InMemoryS3Client]
    instead: ClassVar[list[Callable[[Handler], Answer | None]]]
    seen: ClassVar[list[tuple[str, str, dict[str, str]]]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        given = self.instead.pop(0)(self) if self.instead else None
        if given is None:
            try:
                given = self._do(body)
            except ClientError as refused:
                error = refused.response["Error"]
                given = (
                    refused.response["ResponseMetadata"]["HTTPStatusCode"],
                    {},
                    f"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>{error['Code']}</Code>"
                    f"<Message>{escape(error['Message'])}</Message></Error>".encode(),
                )
        status, headers, content = given
        if not status:
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        if int(headers.get("Content-Length", len(content))) != len(content):
            self.close_connection = True

    do_GET = do_PUT = _answer  # noqa: N815 - http.server's names

    def _do(self, body: bytes) -> Answer:
        target = urlsplit(f"http://s3{self.path}")
        bucket, _, key = target.path[1:].partition("/")
        where: dict[str, Any] = {"Bucket": bucket, "Key": unquote(key, errors="strict")}
        names = {"If-Match": "IfMatch", "If-None-Match": "IfNoneMatch", "Range": "Range"}
        where |= {name: self.headers[header] for header, name in names.items() if header in self.headers}
        version = parse_qs(target.query).get("versionId")
        if version:
            where["VersionId"] = version[0]
        if self.command == "GET":
            found = self.s3.get_object(**where)
            content = found["Body"].read()
            headers = {"ETag": found["ETag"], "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
            if "ContentRange" in found:
                return 206, {**headers, "Content-Range": found["ContentRange"]}, content
            return 200, headers, content
        metadata = {
            name[len("x-amz-meta-") :].lower(): value
            for name, value in self.headers.items()
            if name.lower().startswith("x-amz-meta-")
        }
        made = self.s3.put_object(
            **where, Body=body, ContentType=self.headers.get("Content-Type", ""), Metadata=metadata
        )
        return 200, {"ETag": made["ETag"]}, b""

    def log_message(self, *_said: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(s3: InMemoryS3Client) -> Iterator[tuple[str, type[Handler]]]:
    """Serve during the block.

    Yields:
        The server's URL, and its handler: `seen` holds the requests, `instead` answers that come before S3's.
    """
    handler = type("Served", (Handler,), {"s3": s3, "instead": [], "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
