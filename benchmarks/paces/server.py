"""The S3 and the DynamoDB of the measurement: what a workload reads, and answers that take as long as S3's.

    python -m benchmarks.paces.server WORKLOAD [--latency-ms 30] [--part 1] [--certificate FILE]

A process of its own, on another core than the job. The first line that it writes is its port.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
from bisect import bisect_right
from math import ceil

from benchmarks.csv_to_dynamodb import KEY
from benchmarks.paces.sources import SOURCES, Source
from benchmarks.small_objects.server import PAGE, SOURCE, Objects, message, serve

_COPIED = re.compile(rb"\r\nx-amz-copy-source: *([^\r]+)", re.IGNORECASE)
_COPY = b'<CopyObjectResult><ETag>"%s"</ETag><LastModified>2026-11-21T10:00:00.000Z</LastModified></CopyObjectResult>'


class Held(Objects):
    """The objects of a source, what the job puts, and a table that takes everything.

    Args:
        source: It.
        latency: Seconds that pass before an answer.
        part: Which share of the objects there is.
    """

    def __init__(self, source: Source, latency: float, part: float = 1.0) -> None:
        super().__init__(0, 1, latency)
        self._held: dict[str, tuple[bytes, str]] = {}
        self._copies: dict[str, tuple[bytes, str]] = {}
        for group in source.groups():
            bodies = [(body, hashlib.md5(body).hexdigest()) for body in group.bodies]  # noqa: S324 - an ETag
            for number in range(ceil(group.objects * part)):
                self._held[f"in/{group.name}/{number:05}{source.suffix}"] = bodies[number % len(bodies)]
        self._keys = sorted(self._held)

    def answer(self, head: bytes, body: bytes) -> bytes:
        """The answer to one request."""
        if head.startswith(b"POST / "):
            self.seen["DynamoDB"] += 1
            return message(200, json.dumps({"Table": KEY} if b"DescribeTable" in head else {}).encode())
        copied = _COPIED.search(head)
        if copied is None:
            return super().answer(head, body)
        self.seen["COPY"] += 1
        held = self._held[copied[1].decode().partition(f"{SOURCE}/")[2]]
        self._copies[head.split(b" ", 2)[1].decode()] = held
        return message(200, _COPY % held[1].encode())

    def content(self, path: str, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag; None where there is none."""
        if bucket == SOURCE:
            return self._held.get(key)
        return self._copies.get(path) or super().content(path, bucket, key)

    def listed(self, bucket: str, prefix: str, after: str) -> tuple[list[tuple[str, str, int]], bool]:
        """A page of a listing."""
        if bucket != SOURCE or prefix != "in/":
            return [], False
        begin = bisect_right(self._keys, after)
        keys = self._keys[begin : begin + PAGE]
        objects = ((key, *self._held[key]) for key in keys)
        return [(key, etag, len(body)) for key, body, etag in objects], begin + PAGE < len(self._keys)


def main() -> None:
    """Read the command line, serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=SOURCES)
    parser.add_argument("--latency-ms", type=float, default=30)
    parser.add_argument("--part", type=float, default=1.0, help="which share of the objects there is")
    parser.add_argument("--certificate", help="PEM of certificate and key: answer over TLS")
    given = parser.parse_args()
    asyncio.run(serve(Held(SOURCES[given.workload], given.latency_ms / 1000, given.part), given.certificate))


if __name__ == "__main__":
    main()
