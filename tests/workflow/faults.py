"""What a FaultProxy can do with a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.workflow.fault_proxy import Exchange, Fault
from tests.workflow.request_rules import SECONDS


def refuse(status: int, code: str) -> Fault:
    """Answer with an error of S3 without asking S3: `refuse(503, "SlowDown")`."""

    async def fault(exchange: Exchange) -> None:
        body = f"<Error><Code>{code}</Code><Message>{code} of a test</Message></Error>".encode()
        if exchange.verb == "HEAD":
            body = b""
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        await exchange.answer(head.encode() + body)

    return fault


async def reset(exchange: Exchange) -> None:
    """Break the connection; S3 never sees the request."""
    exchange.reset()


async def lose_answer(exchange: Exchange) -> None:
    """Let S3 do it, and break the connection before the job knows."""
    await exchange.forward()
    exchange.reset()


async def cut_body(exchange: Exchange) -> None:
    """Break the connection in the middle of the answer's body."""
    answer = await exchange.forward()
    await exchange.answer(answer.head + answer.body[: len(answer.body) // 2])
    exchange.close()


def delay(seconds: float) -> Fault:
    """Pass it on later."""

    async def fault(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await exchange.pass_on()

    return fault


class Outage:
    """A fault that lasts for a while, from the request on that `begin` is applied to; before and behind, requests pass.

    Args:
        seconds: How long it lasts.
        fault: What is done with the requests of that time.
    """

    def __init__(self, seconds: float, fault: Fault) -> None:
        self._seconds = seconds
        self._fault = fault
        self._end = 0.0

    async def begin(self, exchange: Exchange) -> None:
        """Begin with this request."""
        self._end = time.monotonic() + self._seconds
        await self._fault(exchange)

    async def __call__(self, exchange: Exchange) -> None:
        """Break the request if it is time."""
        if time.monotonic() < self._end:
            await self._fault(exchange)
        else:
            await exchange.pass_on()


def call_instead(call: Callable[[Exchange], object]) -> Fault:
    """Make a call, then break the connection: S3 never sees the request."""

    async def fault(exchange: Exchange) -> None:
        await exchange.in_thread(lambda: call(exchange))
        exchange.reset()

    return fault


def call_behind(call: Callable[[Exchange], object]) -> Fault:
    """Let S3 do it, make a call, then break the connection before the job knows."""

    async def fault(exchange: Exchange) -> None:
        await exchange.forward()
        await exchange.in_thread(lambda: call(exchange))
        exchange.reset()

    return fault


class Gate:
    """A fault that holds requests until it is opened; from then on they pass."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, exchange: Exchange) -> None:
        """Hold the request."""
        self._loop = asyncio.get_running_loop()
        await asyncio.wait_for(self._opened.wait(), SECONDS)
        await exchange.pass_on()

    def open(self) -> None:
        """Let them pass."""
        if self._loop is None:
            self._opened.set()
        else:
            self._loop.call_soon_threadsafe(self._opened.set)
