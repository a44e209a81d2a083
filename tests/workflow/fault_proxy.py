"""A proxy between the jobs and the embedded AWS: it counts their S3 requests, and breaks those that a test picks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.workflow.http_messages import HEAD_BYTES, Message, read_message, s3_request
from tests.workflow.request_rules import SECONDS, Rule

HOST = "127.0.0.1"
Fault = Callable[["Exchange"], Awaitable[None]]
"""What is done with a request; tests/workflow/faults.py has them."""


@dataclass
class Exchange:
    """One request on its way.

    Attributes:
        verb: As in Rule.
        uri: As in Rule.
        request: The request itself.
    """

    verb: str
    uri: str
    request: Message
    _proxy: FaultProxy
    _upstream: _Upstream
    _client: asyncio.StreamWriter

    async def forward(self) -> Message:
        """Let AWS do it."""
        answer = await asyncio.wait_for(self._upstream.ask(self.request), SECONDS)
        self._proxy.statuses[self.verb, self.uri, answer.status] += 1
        return answer

    async def answer(self, content: bytes) -> None:
        """Send this to the job."""
        self._client.write(content)
        await self._client.drain()

    async def in_thread(self, call: Callable[[], object]) -> None:
        """Wait for a call that may block."""
        await asyncio.get_running_loop().run_in_executor(self._proxy.threads, call)

    async def pass_on(self) -> None:
        """Let AWS do it, and give the job its answer."""
        answer = await self.forward()
        await self.answer(bytes(answer))
        if answer.last:
            self._client.close()

    def reset(self) -> None:
        """Break the connection: the job sees ECONNRESET."""
        self._client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.transport.abort()

    def close(self) -> None:
        """End the connection behind what was sent."""
        self._client.close()


class _Upstream:
    """A connection to AWS, made when it is first needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Message) -> Message:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=HEAD_BYTES)
        reader, writer = self._streams
        writer.write(bytes(request))
        await writer.drain()
        answer = await read_message(reader, answer_to=request.first_line[0])
        if answer.last:
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class FaultProxy:
    """The proxy; a context manager that listens on a free port of loopback, in a thread of its own.

    Attributes:
        url: Where the jobs find it.
        forward_to: The embedded AWS's address; it is set once that is known.
        requests: How often each (verb, uri) arrived.
        statuses: How often AWS answered each (verb, uri) with a status.
        errors: What went wrong in the proxy itself, or in a fault's call.
    """

    def __init__(self) -> None:
        self.url = ""
        self.forward_to = ""
        self.requests: Counter[tuple[str, str]] = Counter()
        self.statuses: Counter[tuple[str, str, int]] = Counter()
        self.errors: list[BaseException] = []
        self.threads = ThreadPoolExecutor(32, "fault-proxy")
        self._rules: list[tuple[Rule, Fault | None]] = []
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, HOST, 0, limit=HEAD_BYTES, backlog=512), self._loop
        ).result(SECONDS)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_error: object) -> None:
        async def end() -> None:
            if self._server is not None:
                self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def when(
        self,
        verb: str,
        uri: str,
        fault: Fault | None = None,
        *,
        chance: float = 1.0,
        times: int | None = None,
        seed: int = 0,
    ) -> Iterator[Rule]:
        """Apply a rule during the block; without a fault it only counts.

        A request meets one fault at most: that of the first rule which hits it.
        """
        rule = Rule(verb, uri, chance, times, seed)
        self._rules.append((rule, fault))
        try:
            yield rule
        finally:
            self._rules.remove((rule, fault))

    def count(self, verb: str, uri: str) -> int:
        """How many requests arrived that a Rule of this verb and URI would hit."""
        found = self.requests.copy().items()
        return sum(number for (each, name), number in found if re.fullmatch(verb, each) and re.search(uri, name))

    def clear(self) -> None:
        """Forget rules, counts and errors."""
        self._rules.clear()
        self.requests.clear()
        self.statuses.clear()
        self.errors.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = urlsplit(self.forward_to)
        upstream = _Upstream(address.hostname or HOST, address.port or 80)
        try:
            while not writer.is_closing():
                request = await read_message(reader)
                await self._exchange(Exchange(*s3_request(request), request, self, upstream, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the job closed the connection, or died
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception as error:  # noqa: BLE001 - the test that caused it must fail
            self.errors.append(error)
            writer.transport.abort()
        finally:
            upstream.close()
            writer.close()

    async def _exchange(self, exchange: Exchange) -> None:
        asked = exchange.verb, exchange.uri
        before = self.requests[asked]
        self.requests[asked] += 1
        met: Fault | None = None
        rules: list[Rule] = []
        for rule, fault in self._rules:
            if (met is None or fault is None) and rule.hit(*asked, before):
                rules.append(rule)
                met = met or fault
        try:
            await (met or Exchange.pass_on)(exchange)
        finally:
            for rule in rules:
                rule.done()
