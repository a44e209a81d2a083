"""The guard in front of everything: a page of the World Wide Web, and who has no credentials, gets nothing.

The embedded AWS runs what it is given as its owner's processes, and every page in the owner's browser can send requests
to this machine. So each request must name this machine as its host (a name of the page's own could lead here), must not
come out of a page, and must be signed with credentials of this very server, for a service that the stack uses. Not
signed may be what reads a bucket whose policy lets everyone do that, as on AWS.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from local_aws import signatures
from local_aws.signatures import Request, Signature, SignatureRefusedError

Application = Callable[..., Awaitable[None]]
SERVICES = frozenset({
    "batch", "cloudformation", "dynamodb", "events", "iam", "kms", "lambda", "logs", "monitoring", "s3",
    "scheduler", "secretsmanager", "sns", "sqs", "ssm", "states", "sts",
})  # fmt: skip
"""What the stack uses, by the name that requests are signed for."""
CONTROL_SERVICE = "millrace"
"""What requests to the server's own endpoints are signed for."""
CONTROL_PREFIX = "/_local_aws/"
HEALTH = "/_local_aws/health"
"""Says which server this is, to whom it does not know yet: the one answer that needs no signature."""
CODE_PREFIXES = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")
"""Where GetFunction and GetLayerVersion say that the code is, for who may ask Lambda."""
TRANSPORT_HEADER = b"x-forwarded-proto"
"""What a load balancer that ends TLS sets. A request that has it already keeps it: a test can ask for plain HTTP."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_XML_SERVICES = frozenset({"cloudformation", "iam", "monitoring", "sns", "sts"})
_DIGEST_LENGTH = 64
_OF_NOTHING = hashlib.sha256().hexdigest()
HEADERS = "local_aws.headers"
"""Where the headers are, read once, in the scope that is handed on: names in lower case, if none came twice."""


class Guard:
    """An ASGI application that refuses, or hands on to another."""

    def __init__(
        self,
        application: Application,
        secret_of: Callable[[str, str], str | None],
        service_of: Callable[[Request, str], str],
        is_open: Callable[[Request, str], bool | None],
    ) -> None:
        """Guard an application.

        Args:
            application: What is behind.
            secret_of: The secret of an access key with this session token; None: there is no such key.
            service_of: The service that a request to this path, decoded, would go to.
            is_open: Whether a request that is not signed may be answered all the same; None: it is none for a bucket.
        """
        self._application, self._secret_of, self._service_of = application, secret_of, service_of
        self._is_open = is_open

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: no service of the stack has one
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _read(scope)
        service = ""
        try:
            _check_no_page(request.headers)
            healthy = scope["path"] == HEALTH and scope["method"] == "GET"
            is_open = None if healthy or not signatures.is_missing(request) else self._is_open(request, scope["path"])
            if is_open is False:
                await _refuse(send, "s3", SignatureRefusedError("AccessDenied", "Access Denied"))
                return
            if is_open is None and not healthy:
                signature = signatures.read(request)
                service = signature.service
                receive = await self._check(request, signature, scope["path"], receive)
        except SignatureRefusedError as error:
            await _refuse(send, service, error)
            return
        if len(request.headers) == len(scope["headers"]):
            scope[HEADERS] = request.headers
        await self._application(scope, receive, _without_cors(send))

    def lets_in(self, request: Request, path: str, body: bytes) -> bool:
        """Whether a request whose body is there, with its SHA-256 among what is signed, would be handed on.

        Args:
            request: The request, signed in a header.
            path: Its path, decoded.
            body: All of its body.

        Returns:
            False also for a request of which this does not know.
        """
        try:
            _check_no_page(request.headers)
            signature = signatures.read(request)
            secret = self._secret(request, signature, path)
            digest = hashlib.sha256(body).hexdigest() if body else _OF_NOTHING
            if signature.payload_digest(request) != digest:
                return False
            signature.check(request, secret, digest)
        except SignatureRefusedError:
            return False
        return True

    async def _check(self, request: Request, signature: Signature, path: str, receive: Any) -> Any:
        """Check the signature, the service and the body; returns what the application receives from."""
        secret = self._secret(request, signature, path)
        signed = signature.payload_digest(request)
        if signed is not None:
            signature.check(request, secret, signed)
            if len(signed) != _DIGEST_LENGTH:  # UNSIGNED-PAYLOAD, or a body in chunks of their own
                return receive
        if signed == _OF_NOTHING and not has_body(request.headers):
            return receive
        messages, digest = await _body(receive)
        if signed is None:
            signature.check(request, secret, digest)
        elif signed != digest:
            raise SignatureRefusedError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        return _again(messages, receive)

    def _secret(self, request: Request, signature: Signature, path: str) -> str:
        """What the request must be signed with, if it is for a service of the stack, and signed a short while ago."""
        self._check_service(request, signature.service, path)
        signature.check_time(datetime.now(UTC))
        secret = self._secret_of(signature.access_key, signature.token)
        if secret is None:
            code = "InvalidAccessKeyId" if signature.service == "s3" else "UnrecognizedClientException"
            raise SignatureRefusedError(code, "The security token included in the request is invalid.")
        return secret

    def _check_service(self, request: Request, service: str, path: str) -> None:
        if path.startswith(CONTROL_PREFIX):
            allowed = service == CONTROL_SERVICE
        elif path.startswith(CODE_PREFIXES):
            allowed = service == "lambda" and request.method == "GET"
        else:
            behind = self._service_of(request, path)
            # No bucket's name begins with "_": such paths are ministack's own, to look into it and to reset it.
            allowed = service in SERVICES and behind in SERVICES and not path.startswith("/_")
        if not allowed:
            raise SignatureRefusedError("AccessDenied", f"the embedded AWS does not offer this: {service} {path[:100]}")


def _read(scope: dict[str, Any]) -> Request:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), _text(value)
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers)


def has_body(headers: Mapping[str, str]) -> bool:
    """Whether a request with these headers can have a body (RFC 9112, 6.3)."""
    return "content-length" in headers or "transfer-encoding" in headers


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _check_no_page(headers: Mapping[str, str]) -> None:
    """Refuse what a page in a browser sent, and what was sent to another name than this machine's own."""
    if not _is_this_machine(headers.get("host", "")):
        raise SignatureRefusedError("AccessDenied", "the embedded AWS is asked by the name 127.0.0.1 or localhost only")
    # `none`: the owner's own doing, as a pre-signed URL that is pasted into the address bar.
    if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
        raise SignatureRefusedError("AccessDenied", "the embedded AWS does not answer web pages")


@lru_cache(64)
def _is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine; two of them, joined by a comma, do not."""
    try:
        return "@" not in host and urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:
        return False


async def _body(receive: Any) -> tuple[list[dict[str, Any]], str]:
    """All of a request's body, as the messages that it came in, and its SHA-256."""
    messages, digest = [], hashlib.sha256()
    while True:
        message = await receive()
        messages.append(message)
        chunk = message.get("body", b"")
        if len(chunk) > 1 << 16:
            await asyncio.to_thread(digest.update, chunk)
        else:
            digest.update(chunk)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages, digest.hexdigest()


def _again(messages: list[dict[str, Any]], receive: Any) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages.reverse()

    async def next_message() -> dict[str, Any]:
        message: dict[str, Any] = messages.pop() if messages else await receive()
        return message

    return next_message


def _without_cors(send: Any) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """Leave out every header that would let a page read an answer."""

    async def sent(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if not is_cors(name)]
            message = {**message, "headers": kept}
        await send(message)

    return sent


@lru_cache(512)
def is_cors(name: bytes) -> bool:
    """Whether a header would let a page read an answer."""
    return name.lower().startswith((b"access-control-", b"timing-allow-origin"))


async def _refuse(send: Any, service: str, error: SignatureRefusedError) -> None:
    """Answer 403 in the shape that the service's clients read."""
    code, message = escape(error.code), escape(error.message)
    if service == "s3":
        kind, body = "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    elif service in _XML_SERVICES:
        inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        kind, body = "text/xml", f"<ErrorResponse>{inner}<RequestId>refused</RequestId></ErrorResponse>"
    else:
        kind, body = "application/json", json.dumps({"__type": error.code, "message": error.message})
    headers = [
        (b"content-type", kind.encode()), (b"x-amzn-errortype", error.code.encode()),
        (b"cache-control", b"no-store"), (b"connection", b"close"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def as_secure_transport(application: Application) -> Application:
    """Let every request that does not say otherwise arrive as one that came over TLS.

    The embedded AWS listens on plain HTTP, on the loopback interface only. What a bucket policy denies with
    `aws:SecureTransport: false` is a request that others could read on its way, and none leaves this machine. Without
    this, such a policy, which production must have, would refuse every request here.

    Args:
        application: The ASGI application behind.

    Returns:
        An ASGI application.
    """

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not any(name.lower() == TRANSPORT_HEADER for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (TRANSPORT_HEADER, b"https")]}
        await application(scope, receive, send)

    return serve
