"""How many small objects does a core get through in a second, beside s5cmd and boto3, where S3 takes 30 ms to answer?

    python -m benchmarks.small_objects.comparison [--objects 100000] [--bytes 2048] [--latency-ms 30] [--plain]

The server is `small_object_server`, a process of its own, over TLS as S3 is, with a certificate of S3's kind; `--plain`
leaves TLS out. Every way is the program that a user would start, on one core, with all that it does from its first to
its last instruction: s5cmd lists and copies to and from memory, Millrace plans, counts the words of every object in
one child and commits. boto3 does a part of the objects, in threads. CPU is user and system time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.cores import FIRST, OTHERS, on_cores
from benchmarks.results import Table, add_output_option
from benchmarks.small_objects.certificate import make_certificate
from benchmarks.small_objects.server import KEY, RESULT, SOURCE

COLUMNS = [
    *("way", "objects", "requests an object", "connections", "elapsed s", "CPU s", "objects a core-second"),
    "by s5cmd's",
]
THREADS = 16
BOTO3_PART = 20
"""boto3 does one object of so many."""

GOAL = 4.0
GOAL_OBJECTS = 100_000
"""Of fewer objects the starts of two Pythons are too large a part."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one


@dataclass(frozen=True)
class Spent:
    """What a way took.

    Attributes:
        objects: How many it did.
        requests: How many requests it made for them, listings and its own files included.
        connections: How many connections it made.
        elapsed: Seconds.
        cpu: Seconds, of its processes together.
    """

    objects: int
    requests: int
    connections: int
    elapsed: float
    cpu: float

    @property
    def rate(self) -> float:
        """Objects in a second of a core."""
        return self.objects / self.cpu

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.objects,
            self.requests + other.requests,
            self.connections + other.connections,
            self.elapsed + other.elapsed,
            self.cpu + other.cpu,
        )


class Ways:
    """The ways, on one server.

    Args:
        url: The server's.
        authority: The file of the certificate to trust; None without TLS.
        objects: How many objects it has.
    """

    def __init__(self, url: str, authority: Path | None, objects: int) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=authority) if authority else None
        self._objects = objects
        self._numbers = count()
        self._environment = {
            **os.environ, "AWS_ENDPOINT_URL": self._url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
            **({"AWS_CA_BUNDLE": str(authority)} if authority else {}),
            "MILLRACE_MAX_VCPUS": "1", "MILLRACE_JOB_VCPUS": "1",
        }  # fmt: skip

    def s5cmd(self, folder: Path) -> tuple[Spent, Spent]:
        """Read all objects into a folder; write them from there."""
        command = [str(Path(sys.executable).with_name("s5cmd")), "--endpoint-url", self._url, "--log", "error", "cp"]
        read = self._spent([*command, f"s3://{SOURCE}/in/*", f"{folder}/"])
        there = sum(1 for _ in folder.iterdir())
        if there != self._objects:
            raise SystemExit(f"s5cmd copied {there} of {self._objects} objects")
        return read, self._spent([*command, f"{folder}/", f"s3://{RESULT}/{self._name()}/"])

    def boto3(self) -> tuple[Spent, Spent]:
        """Read a part of the objects; write them. In a process each."""
        command = [sys.executable, "-m", "benchmarks.small_objects.comparison", "--objects", str(self._part), "--boto3"]
        return self._spent([*command, "read"], self._part), self._spent([*command, "write"], self._part)

    def millrace(self, *options: str) -> Spent:
        """Plan and migrate a run of word-count, by the one child of its array."""
        destination = f"s3://{RESULT}/{self._name()}/"
        plan = f"{destination}_millrace/run/plan.json"
        command = [sys.executable, "-m", "batch_jobs"]
        given = ["--source", f"s3://{SOURCE}/in/", "--destination", destination, "--plan", plan]
        spent = self._spent([*command, "plan", *given, "--max-items", str(self._objects), *options])
        spent += self._spent([*command, "migrate", "--plan", plan])
        if spent.requests < self._objects:
            raise SystemExit(f"Millrace made {spent.requests:,} requests for {self._objects:,} objects")
        return spent

    def seen(self) -> dict[str, Any]:
        """The server's counts."""
        with urllib.request.urlopen(self._url, context=self._tls) as answer:  # noqa: S310 - our own server
            return dict(json.load(answer))

    @property
    def _part(self) -> int:
        return max(1, self._objects // BOTO3_PART)

    def _name(self) -> str:
        return f"out-{next(self._numbers)}"

    def _spent(self, command: list[str], objects: int | None = None) -> Spent:
        before, since = self.seen(), time.monotonic()
        process = subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE)  # noqa: S603 - see above
        said = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.monotonic() - since
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}:\n{said.decode(errors='replace')[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        after = self.seen()

        def more(*names: str) -> int:
            return sum(int(after.get(name, 0)) - int(before.get(name, 0)) for name in names)

        requests = more("GET", "PUT", "LIST", "HEAD", "DELETE")
        return Spent(objects or self._objects, requests, more("connections") - 1, elapsed, cpu)  # less that of `seen`


@contextmanager
def serving(objects: int, size: int, latency_ms: float, *, plain: bool) -> Iterator[tuple[str, Path | None]]:
    """The server during the block, on other cores than the ways; its URL, and the file of the certificate to trust."""
    given = ["--objects", str(objects), "--bytes", str(size), "--latency-ms", str(latency_ms)]
    with tempfile.TemporaryDirectory() as folder, on_cores(OTHERS):
        authority = None
        if not plain:
            authority, certificate = make_certificate(Path(folder))
            given += ["--certificate", str(certificate)]
        command = [sys.executable, "-m", "benchmarks.small_objects.server", *given]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - this package
            port = int(server.stdout.readline()) if server.stdout else 0
            try:
                with on_cores(FIRST):
                    yield f"{'http' if plain else 'https'}://localhost:{port}", authority
            finally:
                server.terminate()


def boto3_part(way: str, objects: int) -> None:
    """Read or write so many objects, as a user of boto3 would: threads around one client."""
    client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
    body = b"x" * 2048

    def read(number: int) -> None:
        client.get_object(Bucket=SOURCE, Key=KEY % number)["Body"].read()

    def write(number: int) -> None:
        client.put_object(Bucket=RESULT, Key=f"boto3/{number}", Body=body)

    one: Callable[[int], None] = read if way == "read" else write
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(one, range(objects)):
            pass


def measured(ways: Ways) -> dict[str, Spent]:
    """Every way once, what reads only and what writes besides."""
    folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        s5cmd_read, s5cmd_write = ways.s5cmd(folder)
    finally:
        shutil.rmtree(folder)
    boto3_read, boto3_write = ways.boto3()
    return {
        "s5cmd, read": s5cmd_read,
        "boto3, read": boto3_read,
        "Millrace, read": ways.millrace("--option", "outputs=none"),
        "s5cmd, read and write": s5cmd_read + s5cmd_write,
        "boto3, read and write": boto3_read + boto3_write,
        "Millrace, read and write": ways.millrace(),
    }


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=2048, help="how long each is")
    parser.add_argument("--latency-ms", type=float, default=30, help="how long S3 takes for an answer")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--boto3", choices=["read", "write"], help=argparse.SUPPRESS)
    add_output_option(parser)
    given = parser.parse_args()
    if given.boto3:
        boto3_part(given.boto3, given.objects)
        return
    with serving(given.objects, given.bytes, given.latency_ms, plain=given.plain) as (url, authority):
        ways = Ways(url, authority, given.objects)
        found = measured(ways)
        at_once = ways.seen()["most_at_once"]
    table = Table("small-objects-plain" if given.plain else "small-objects", COLUMNS)
    for name, spent in found.items():
        peer = found[f"s5cmd,{name.partition(',')[2]}"]
        cells = [
            name, f"{spent.objects:,}", f"{spent.requests / spent.objects:.2f}",
            f"{spent.connections:,}", f"{spent.elapsed:.1f}",
            f"{spent.cpu:.1f}", f"{spent.rate:,.0f}", f"{spent.rate / peer.rate:.2f}",
        ]  # fmt: skip
        table.add(dict(zip(COLUMNS, cells, strict=True)))
    if not given.plain and given.objects >= GOAL_OBJECTS:
        ratio = found["Millrace, read"].rate / found["s5cmd, read"].rate
        table.goal("Objects a core-second, read, by s5cmd's", ratio, at_least=GOAL, digits=2)
    table.note(f"At most {at_once} requests were under way at once.")
    table.show(given.output)


if __name__ == "__main__":
    main()
