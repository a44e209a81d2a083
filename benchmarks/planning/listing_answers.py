"""S3's answers to the plan job, made on this machine below a real client, as S3 writes them."""

from __future__ import annotations

import random
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSResponse

from millrace.records.plan import Shard
from millrace.s3.client import new_client

PAGE = 1000
KEY = b"documents/2026/%02d/customer-%08d/letter-%010d.txt"
OBJECT = (
    b"<Contents><Key>" + KEY + b"</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
    b"<ETag>&quot;%032x&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
    b"<ChecksumType>FULL_OBJECT</ChecksumType><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
TAIL = b"<EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated><KeyCount>%d</KeyCount></ListBucketResult>"


class Answers:
    """S3's answers: a listing of so many objects, and an ETag for whatever is put.

    Attributes:
        seconds: CPU that went into making them.
        shards: By shard file: how many bytes its items have.
    """

    def __init__(self, objects: int, latency_seconds: float) -> None:
        self.seconds = 0.0
        self.requests = 0
        self.shards: dict[str, int] = {}
        self._objects, self._latency = objects, latency_seconds
        dice = random.Random(6)  # noqa: S311 - the same sizes every time is the point
        self._sizes = [int(dice.lognormvariate(9.5, 2)) for _ in range(9973)]
        self._lock = threading.Lock()

    def __call__(self, request: Any, **_given: Any) -> AWSResponse:
        """Answer a request before it is sent."""
        time.sleep(self._latency)
        begin = time.thread_time()
        asked = urlsplit(request.url)
        status, body = 200, b""
        if "list-type" in asked.query:
            body = self.page(parse_qs(asked.query).get("start-after", [""])[0])
        elif request.method == "GET":
            status, body = 404, b"<Error><Code>NoSuchKey</Code></Error>"
        answer = AWSResponse(request.url, status, {"ETag": '"e"', "Content-Length": str(len(body))}, _Raw(body))
        with self._lock:
            self.seconds += time.thread_time() - begin
            self.requests += 1
        return answer

    def see_put(self, params: dict[str, Any], **_given: Any) -> None:
        """Note what a shard file holds."""
        begin = time.thread_time()
        if params["Key"].endswith(".jsonl"):
            shard = Shard.from_lines(0, params["Body"].split(b"\n")[:-1], params["Key"])
            self.shards[params["Key"]] = sum(item.length for item in shard.items)
        with self._lock:
            self.seconds += time.thread_time() - begin

    def _key(self, number: int) -> bytes:
        return KEY % (1 + number * 12 // self._objects, number // 10, number)

    def page(self, after: str) -> bytes:
        """The page of the listing behind a key."""
        low, high = 0, self._objects
        while low < high:  # the first key behind `after`
            middle = (low + high) // 2
            if self._key(middle).decode() <= after:
                low = middle + 1
            else:
                high = middle
        numbers = range(low, min(low + PAGE, self._objects))
        sizes, objects = self._sizes, self._objects
        contents = [OBJECT % (1 + n * 12 // objects, n // 10, n, n, sizes[n % len(sizes)]) for n in numbers]
        more = b"true" if numbers.stop < self._objects else b"false"
        return HEAD + b"".join(contents) + TAIL % (more, len(contents))


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_given: Any) -> Any:
        yield self._body

    def read(self, _size: int | None = None) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing."""


def client_of(answers: Answers) -> Any:
    """A real client, whose requests are answered here."""
    client = new_client(16)
    client.meta.events.register("before-send.s3", answers)
    client.meta.events.register("before-parameter-build.s3.PutObject", answers.see_put)
    return client
