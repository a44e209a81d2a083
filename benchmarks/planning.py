"""How long does the plan job take, and how much memory, by the number of objects? And what does it do to S3?

    python -m benchmarks.planning [--objects 100000 1000000] [--latency-ms 0]

The real job with a real botocore client, which signs its requests; they are answered here, below the client, with
pages as S3 writes them. What making the answers costs is taken off. One size of job to a process, so that the peak of
memory is its own. The other way in the table is botocore's own parser, measured on one page in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
from botocore.awsrequest import AWSResponse

from batch_jobs.job import Job
from batch_jobs.plan import plan
from benchmarks.results import Table, add_output_option
from millrace.layout import RunFolder, S3Uri
from millrace.plan import Shard
from millrace.request import RunRequest
from millrace.s3 import S3
from millrace.s3_client import new_client
from millrace.settings import JobSettings

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
            body = self._page(parse_qs(asked.query).get("start-after", [""])[0])
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

    def _page(self, after: str) -> bytes:
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


def measured(objects: int, latency_seconds: float) -> dict[str, float]:
    """Plan so many objects in this process."""
    os.environ.update(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1")  # noqa: S106
    answers = Answers(objects, latency_seconds)
    client = new_client(16)
    client.meta.events.register("before-send.s3", answers)
    client.meta.events.register("before-parameter-build.s3.PutObject", answers.see_put)
    destination = S3Uri("results", "out/")
    request = RunRequest.parse({"source": "s3://letters/documents/", "destination": str(destination)})
    begin, since = time.process_time(), time.monotonic()
    made = plan(request, RunFolder.of(destination, "run"), Job(S3(client), JobSettings()))
    taken = time.process_time() - begin - answers.seconds
    elapsed = time.monotonic() - since
    if made.items != objects or made.total_bytes != sum(answers.shards.values()):
        raise SystemExit(f"the plan lost objects: {made}")
    return {
        "objects": objects,
        "cpu": taken,
        "elapsed": elapsed,
        "requests": answers.requests,
        "shards": made.shards,
        "largest": max(answers.shards.values()) * made.shards / made.total_bytes,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def botocore_parser_seconds() -> float:
    """What botocore's own parser takes for an object of a page, dates and all."""
    session = botocore.session.get_session()
    parser = session.get_component("response_parser_factory").create_parser("rest-xml")
    shape = session.get_service_model("s3").operation_model("ListObjectsV2").output_shape
    response = {"status_code": 200, "headers": {}, "body": Answers(10**6, 0)._page("")}  # noqa: SLF001
    begin = time.process_time()
    parser.parse(response, shape)
    return (time.process_time() - begin) / PAGE


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[100_000, 1_000_000], help="how many objects")
    parser.add_argument("--latency-ms", type=float, default=0, help="how long S3 takes for an answer")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    add_output_option(parser)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measured(given.one, given.latency_ms / 1000)))
        return
    slow = botocore_parser_seconds() * 1e6
    table = Table("planning", COLUMNS)
    for objects in given.objects:
        command = [sys.executable, "-m", "benchmarks.planning", "--one", str(objects)]
        command += ["--latency-ms", str(given.latency_ms)]
        one = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603 - this script
        cells = [
            f"{objects:,}", f"{one['cpu']:.1f}", f"{one['cpu'] / objects * 1e6:.1f}", f"{slow:.0f}",
            f"{one['elapsed']:.0f}", f"{one['requests']:,}", f"{one['shards']:,}", f"{one['largest']:.2f}",
            f"{one['peak']:.0f}",
        ]  # fmt: skip
        table.add(dict(zip(COLUMNS, cells, strict=True)))
    table.goal(f"Peak memory of {objects:,} objects, MB", one["peak"], at_most=1024, digits=0)
    table.goal(f"Largest shard of {objects:,} objects by the mean", one["largest"], at_most=1.5, digits=2)
    table.goal("CPU of an object, µs", one["cpu"] / objects * 1e6, at_most=5)
    table.goal("Botocore's parser alone by all of it", slow / (one["cpu"] / objects * 1e6), at_least=1)
    table.show(given.output)


COLUMNS = [
    "objects", "CPU s", "µs an object", "botocore's parser alone, µs", "elapsed s", "requests", "shards",
    "largest shard by mean", "peak memory MB",
]  # fmt: skip


if __name__ == "__main__":
    main()
