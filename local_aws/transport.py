"""Requests of this machine count as TLS, so that a policy with aws:SecureTransport can be deployed unchanged.

The embedded AWS listens on plain HTTP, on the loopback interface only. What a bucket policy denies with
`aws:SecureTransport: false` is a request that others could read on its way, and none leaves this machine. Without this
module such a policy, which production must have, would refuse every request here.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[..., Awaitable[None]]
HEADER = b"x-forwarded-proto"
"""What a load balancer that ends TLS sets. A request that has it already keeps it: a test can ask for plain HTTP."""


def as_secure_transport(application: Application) -> Application:
    """Let every request that does not say otherwise arrive as one that came over TLS.

    Args:
        application: The ASGI application behind.

    Returns:
        An ASGI application.
    """

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not any(name.lower() == HEADER for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (HEADER, b"https")]}
        await application(scope, receive, send)

    return serve
