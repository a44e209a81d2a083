"""The fault proxy of the workflow tests: what it passes on, what it counts, what it breaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

import pytest

from tests.workflow.fault_proxy import Exchange, FaultProxy
from tests.workflow.faults import Gate, call_behind, call_instead, cut_body, delay, lose_answer, refuse, reset
from tests.workflow.request_rules import Rule


class Upstream(BaseHTTPRequestHandler):
    """Stands for AWS: answers with what was sent, and remembers it."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]]

    def answer(self) -> None:
        """Answer any request; in chunks where the path asks for it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, body))
        content = body or b"content of " + self.path.encode()
        self.send_response(200)
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the names are http.server's

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def seen() -> list[tuple[str, str, bytes]]:
    """What AWS was asked."""
    return []


@pytest.fixture
def proxy(seen: list[tuple[str, str, bytes]]) -> Iterator[FaultProxy]:
    """A proxy in front of it."""
    handler = type("Handler", (Upstream,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, FaultProxy() as proxy:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        proxy.forward_to = f"http://127.0.0.1:{server.server_port}"
        yield proxy
        server.shutdown()
        thread.join()


class Client:
    """A job."""

    def __init__(self, proxy: FaultProxy) -> None:
        """Connect to the proxy."""
        address = urlsplit(proxy.url)
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def begin(self, method: str, path: str, body: bytes | None = None) -> HTTPResponse:
        """Make a request and read the answer's head."""
        self._connection.request(method, path, body)
        return self._connection.getresponse()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Make a request; status and body of its answer."""
        answer = self.begin(method, path, body)
        return answer.status, answer.read()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Client]:
    """A job that talks to the proxy."""
    with Client(proxy) as client:
        yield client


def test_passes_on_and_counts(proxy: FaultProxy, client: Client, seen: list[tuple[str, str, bytes]]) -> None:
    """Requests and answers pass unchanged over one connection, and are counted by verb, bucket and decoded key."""
    assert client.ask("PUT", "/bucket/a//b%20%C3%A9%2F", b"\x00\r\n\r\nbody") == (200, b"\x00\r\n\r\nbody")
    assert client.ask("GET", "/bucket/chunked") == (200, b"content of /bucket/chunked")
    assert client.ask("HEAD", "/bucket/key") == (200, b"")
    assert client.ask("GET", "/bucket/key") == (200, b"content of /bucket/key")
    assert client.ask("GET", "/bucket?list-type=2&prefix=in%2Fa+b")[0] == 200
    assert [request[:2] for request in seen] == [
        ("PUT", "/bucket/a//b%20%C3%A9%2F"),
        ("GET", "/bucket/chunked"),
        ("HEAD", "/bucket/key"),
        ("GET", "/bucket/key"),
        ("GET", "/bucket?list-type=2&prefix=in%2Fa+b"),
    ]
    assert proxy.requests == {
        ("PUT", "s3://bucket/a//b é/"): 1,
        ("GET", "s3://bucket/chunked"): 1,
        ("HEAD", "s3://bucket/key"): 1,
        ("GET", "s3://bucket/key"): 1,
        ("LIST", "s3://bucket/in/a b"): 1,
    }
    assert proxy.statuses["GET", "s3://bucket/key", 200] == 1
    assert proxy.count("GET|HEAD", "/key$") == 2
    proxy.clear()
    assert proxy.count(".*", "") == 0


def test_refuses(proxy: FaultProxy, client: Client, seen: list[tuple[str, str, bytes]]) -> None:
    """A refused request is answered by the proxy, as often as the rule says, and AWS never sees it."""
    with proxy.when("GET", "/key$", refuse(503, "SlowDown"), times=2) as rule:
        assert client.ask("GET", "/bucket/key")[0] == 503
        assert b"<Code>SlowDown</Code>" in client.ask("GET", "/bucket/key")[1]
        assert client.ask("GET", "/bucket/key")[0] == 200
        assert rule.hits == rule.answered == 2
    with proxy.when("HEAD", "", refuse(500, "InternalError")):
        assert client.ask("HEAD", "/bucket/key") == (500, b"")
    assert client.ask("HEAD", "/bucket/key") == (200, b"")
    assert len(seen) == 2


def test_breaks_connections(proxy: FaultProxy, seen: list[tuple[str, str, bytes]]) -> None:
    """A reset request never reaches AWS, one with a lost answer does, and a cut body ends half-way."""
    with proxy.when("PUT", "", reset), Client(proxy) as client, pytest.raises((OSError, HTTPException)):
        client.ask("PUT", "/bucket/reset", b"x")
    assert seen == []
    with proxy.when("PUT", "", lose_answer), Client(proxy) as client, pytest.raises((OSError, HTTPException)):
        client.ask("PUT", "/bucket/lost", b"x")
    assert seen == [("PUT", "/bucket/lost", b"x")]
    with proxy.when("GET", "", cut_body), Client(proxy) as client, pytest.raises(IncompleteRead) as cut:
        client.ask("GET", "/bucket/cut")
    assert cut.value.partial == b"content of /bucket/cut"[:11]
    assert proxy.errors == []


def test_calls(proxy: FaultProxy, seen: list[tuple[str, str, bytes]]) -> None:
    """A test's call comes instead of the request, or behind it; one that fails is kept for the test to see."""
    called: list[tuple[str, int]] = []

    def call(exchange: Exchange) -> None:
        called.append((exchange.uri, len(seen)))

    def broken(_exchange: Exchange) -> None:
        raise LookupError("no such job")

    for uri, fault in (("a", call_instead(call)), ("b", call_behind(call)), ("c", call_instead(broken))):
        with proxy.when("GET", f"/{uri}$", fault), Client(proxy) as client, pytest.raises((OSError, HTTPException)):
            client.ask("GET", f"/bucket/{uri}")
    assert called == [("s3://bucket/a", 0), ("s3://bucket/b", 1)]
    assert [type(error) for error in proxy.errors] == [LookupError]


def test_holds_and_delays(proxy: FaultProxy, client: Client, seen: list[tuple[str, str, bytes]]) -> None:
    """A gate holds requests until it is opened, and a test can wait for them to arrive; a delayed one arrives late."""
    gate = Gate()
    answers: list[tuple[int, bytes]] = []
    with proxy.when("GET", "/held$", gate) as rule:
        thread = threading.Thread(target=lambda: answers.append(client.ask("GET", "/bucket/held")))
        thread.start()
        rule.wait_for_hits()
        assert (rule.answered, seen, answers) == (0, [], [])
        gate.open()
        rule.wait_for_answers()
        thread.join(10)
    assert answers == [(200, b"content of /bucket/held")]
    with proxy.when("GET", "", gate):
        assert client.ask("GET", "/bucket/again")[0] == 200
    with proxy.when("GET", "", delay(0.01)):
        assert client.ask("GET", "/bucket/late")[0] == 200


def test_one_fault_at_most(proxy: FaultProxy, client: Client) -> None:
    """A request meets the fault of the first rule that hits it; rules that only watch see it all the same."""
    with (
        proxy.when("GET", "") as before,
        proxy.when("GET", "", refuse(500, "InternalError"), times=1) as first,
        proxy.when("GET", "", refuse(503, "SlowDown"), times=1) as second,
        proxy.when("GET", "") as behind,
    ):
        assert [client.ask("GET", "/bucket/key")[0] for _ in range(3)] == [500, 503, 200]
    assert [rule.hits for rule in (before, first, second, behind)] == [3, 1, 1, 3]


def test_the_same_seed_breaks_the_same_requests() -> None:
    """Chance goes by seed, verb, the key's last part and the try; neither by the order of requests nor by folders."""
    names = [f"{number}.txt" for number in range(200)]

    def hit(seed: int, folder: str, tries: int, order: int) -> set[str]:
        rule = Rule("GET", "", 0.3, None, seed)
        return {name for name in names[::order] if rule.hit("GET", f"s3://bucket/{folder}/{name}", tries)}

    assert 30 < len(hit(1, "run-1", 0, 1)) < 90
    assert hit(1, "run-1", 0, 1) == hit(1, "run-2", 0, -1)
    assert hit(1, "run-1", 0, 1) != hit(2, "run-1", 0, 1)
    assert hit(1, "run-1", 0, 1) != hit(1, "run-1", 1, 1)
