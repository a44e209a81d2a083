"""How long does the plan job take, and how much memory, by the number of objects? And what does it do to S3?

    python -m benchmarks.planning.planning [--objects 100000 1000000] [--latency-ms 0]

The real job with a real botocore client, which signs its requests; they are answered here, below the client, with
pages as S3 writes them. What making the answers costs is taken off. One size of job to a process, so that the peak of
memory is its own. The other way in the table is botocore's own parser, measured on one page in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import botocore.session

from batch_jobs.job import Job
from batch_jobs.planning.plan import plan
from benchmarks.planning.listing_answers import PAGE, Answers, client_of
from benchmarks.results import Table, add_output_option
from millrace.layout import RunFolder, S3Uri
from millrace.planning.listing_pages import listing_pages
from millrace.request.run_request import RunRequest
from millrace.s3.requests import BotocoreRequests
from millrace.s3.verbs import S3
from millrace.settings import JobSettings


def measured(objects: int, latency_seconds: float) -> dict[str, float]:
    """Plan so many objects in this process."""
    os.environ.update(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1")  # noqa: S106
    answers = Answers(objects, latency_seconds)
    client = client_of(answers)
    destination = S3Uri("results", "out/")
    request = RunRequest.parse({"source": "s3://letters/documents/", "destination": str(destination)})
    begin, since = time.process_time(), time.monotonic()
    made = plan(request, RunFolder.of(destination, "run"), Job(S3(BotocoreRequests(client)), JobSettings()))
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


def listing_seconds(rounds: int) -> float:
    """What listing a key takes, its part of the request included: the median of so many listings."""
    os.environ.update(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1")  # noqa: S106
    objects = 300_000
    spent = []
    for _ in range(rounds):
        answers = Answers(objects, 0)
        s3 = S3(BotocoreRequests(client_of(answers)))
        begin = time.process_time()
        pages = listing_pages(S3Uri("letters", "documents/"), s3, lambda: None, JobSettings().concurrency)
        listed = sum(map(len, pages))
        spent.append((time.process_time() - begin - answers.seconds) / objects)
        if listed != objects:
            raise SystemExit(f"{objects:,} objects, {listed:,} listed")
    return statistics.median(spent)


def botocore_parser_seconds() -> float:
    """What botocore's own parser takes for an object of a page, dates and all."""
    session = botocore.session.get_session()
    parser = session.get_component("response_parser_factory").create_parser("rest-xml")
    shape = session.get_service_model("s3").operation_model("ListObjectsV2").output_shape
    response = {"status_code": 200, "headers": {}, "body": Answers(10**6, 0).page("")}
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
    slow, listing = botocore_parser_seconds() * 1e6, listing_seconds(min(3, len(given.objects))) * 1e6
    table = Table("planning", COLUMNS)
    for objects in given.objects:
        command = [sys.executable, "-m", "benchmarks.planning.planning", "--one", str(objects)]
        command += ["--latency-ms", str(given.latency_ms)]
        one = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603 - this script
        cells = [
            f"{objects:,}", f"{one['cpu']:.1f}", f"{one['cpu'] / objects * 1e6:.1f}", f"{listing:.1f}", f"{slow:.0f}",
            f"{one['elapsed']:.0f}", f"{one['requests']:,}", f"{one['shards']:,}", f"{one['largest']:.2f}",
            f"{one['peak']:.0f}",
        ]  # fmt: skip
        table.add(dict(zip(COLUMNS, cells, strict=True)))
    table.goal(f"Peak memory of {objects:,} objects, MB", one["peak"], at_most=1024, digits=0)
    table.goal(f"Largest shard of {objects:,} objects by the mean", one["largest"], at_most=1.5, digits=2)
    table.goal("CPU of a listed key, µs", listing, at_most=5)
    table.show(given.output)


COLUMNS = [
    "objects", "CPU s", "µs an object", "listing alone, µs", "botocore's parser alone, µs", "elapsed s", "requests",
    "shards", "largest shard by mean", "peak memory MB",
]  # fmt: skip


if __name__ == "__main__":
    main()
