"""A company's login before `millrace ui`, as docs/ui.md has it: a proxy that lets in who has a password."""

from __future__ import annotations

import base64
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

USER = "ada"
LOGIN = f"Basic {base64.b64encode(f'{USER}:secret'.encode()).decode()}"
_HOP_BY_HOP = {"connection", "transfer-encoding"}


class LoginProxy:
    """The proxy; a context manager that listens on a free port of loopback.

    It hands on the Host as the browser named it, overwrites the header that names the user, and passes on what comes
    as it comes.

    Args:
        port: Where the page is.

    Attributes:
        origin: The address that browsers use.
    """

    def __init__(self, port: int) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._pass_on(self)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._port = port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        if asked.headers.get("Authorization") != LOGIN:
            asked.send_error(401)
            return
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "x-forwarded-user"}
        page = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
            page.request(asked.command, asked.path, body, {**headers, "X-Forwarded-User": USER})
            answer = page.getresponse()
            asked.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    asked.send_header(name, value)
            asked.end_headers()
            while some := answer.read1(65536):
                asked.wfile.write(some)
        except ConnectionError:
            pass  # the browser has left
        finally:
            page.close()
