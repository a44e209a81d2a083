"""The last requests that arrived, so that a test can count what a run asks for: what it would be billed for."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

Application = Callable[..., Awaitable[None]]
REMEMBERED = 20_000
_TELLING = (b"authorization", b"x-amz-target")


class RequestLog:
    """Remembers requests by service, operation and what they are done to.

    Attributes:
        requests: The last of them, the oldest first: `s3 GET bucket/key`, `s3 LIST bucket/prefix`,
            `batch /v1/submitjob`, `states StartExecution`.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.requests: deque[str] = deque(maxlen=REMEMBERED)

    def remember_object(self, method: str, path: str) -> None:
        """Remember a request for an object.

        Args:
            method: GET, say.
            path: `/bucket/key`, decoded.
        """
        self.requests.append(f"s3 {method} {path.removeprefix('/')}")

    def of(self, application: Application) -> Application:
        """Remember what comes to an ASGI application."""

        async def logged(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.requests.append(_described(scope))
            await application(scope, receive, send)

        return logged


def _described(scope: dict[str, Any]) -> str:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _TELLING}
    # Credential=ID/date/region/service/aws4_request: Signature Version 4.
    credential = headers.get(b"authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = credential[-2] if len(credential) > 4 else "unsigned"
    path: str = scope["path"]
    if service != "s3":
        return f"{service} {headers.get(b'x-amz-target', '').rpartition('.')[2] or path}"
    bucket, _, key = path.removeprefix("/").partition("/")
    if scope["method"] == "GET" and not key:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return f"s3 LIST {bucket}/{query.get('prefix', [''])[0]}"
    return f"s3 {scope['method']} {bucket}/{key}"
