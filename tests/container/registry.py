"""A registry that keeps what is pushed to it: as much of the distribution API as a push needs."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Registry(ThreadingHTTPServer):
    """What was pushed.

    Attributes:
        blobs: Layers and configurations by their digest.
        manifests: Manifests by their tag and by their digest: media type and body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.numbers = itertools.count()

    @property
    def name(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def manifest(self, reference: str) -> Any:
        """A manifest by its tag or digest."""
        return json.loads(self.manifests[reference][1])


@contextmanager
def registry() -> Iterator[Registry]:
    """A registry for the length of the block."""
    with Registry() as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        try:
            yield served
        finally:
            served.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """OCI Distribution Specification: pushing."""

    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        """`/v2/`, a blob, a manifest."""
        kind, name = self._place()
        if kind == "manifests" and name in self.server.manifests:
            media_type, body = self.server.manifests[name]
            self._answer(200, body, {"Content-Type": media_type, "Docker-Content-Digest": _digest(body)})
        elif kind == "blobs" and name in self.server.blobs:
            self._answer(200, self.server.blobs[name], {"Docker-Content-Digest": name})
        else:
            self._answer(200 if kind == "v2" else 404)

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def do_POST(self) -> None:
        """Begin an upload."""
        self._body()
        upload = f"{self.path.rstrip('/')}/{next(self.server.numbers)}"
        self.server.uploads[upload] = b""
        self._answer(202, headers={"Location": upload})

    def do_PATCH(self) -> None:
        """Go on with an upload."""
        upload = urlsplit(self.path).path
        self.server.uploads[upload] += self._body()
        self._answer(202, headers={"Location": upload, "Range": f"0-{len(self.server.uploads[upload]) - 1}"})

    def do_PUT(self) -> None:
        """End an upload, whose digest must be right, or take a manifest, whose blobs must be there."""
        body, (kind, name) = self._body(), self._place()
        if kind == "manifests":
            manifest = json.loads(body)
            named = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
            if not set(named) <= self.server.blobs.keys():
                self._answer(404)
                return
            for reference in (name, _digest(body)):
                self.server.manifests[reference] = (self.headers["Content-Type"], body)
            self._answer(201, headers={"Docker-Content-Digest": _digest(body)})
            return
        address = urlsplit(self.path)
        blob = self.server.uploads.pop(address.path) + body
        (digest,) = parse_qs(address.query)["digest"]
        if digest != _digest(blob):
            self._answer(400)
            return
        self.server.blobs[digest] = blob
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def log_message(self, *_given: Any) -> None:
        """Say nothing."""

    def _place(self) -> tuple[str, str]:
        parts = urlsplit(self.path).path.strip("/").split("/")
        return (parts[-2], parts[-1]) if len(parts) > 1 else (parts[0], "")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
