"""How fast rows of a CSV file become items: csv-to-dynamodb beside boto3's `batch_writer` and botocore's client.

    python -m benchmarks.csv_to_dynamodb [--rows 1000000]

Rows have 200 bytes in eight columns, two of them numbers. The table is an HTTP server on this machine that takes
everything at once, in a process of its own: what is measured is the CPU that the writing side spends, each way in a
fresh process on one core, and its peak memory. Writes a Markdown table.
"""

# ruff: noqa: T201 - a script that prints

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from multiprocessing import Process, Queue
from typing import Any

from benchmarks.cores import FIRST, OTHERS, on_cores
from benchmarks.results import Table, add_output_option

COLUMNS = ("id", "title", "overview", "release_date", "vote_average", "vote_count", "original_language", "popularity")
KEY = {
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
}


class TakesEverything(asyncio.Protocol):
    """One connection of a server that answers as DynamoDB does when nothing is wrong."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: Any = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        """Answer when the request is complete."""
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        if not end or len(body) < int(length.split(b":")[1]):
            return
        describes = b"DescribeTable" in head
        answer = json.dumps({"Table": KEY} if describes else {"UnprocessedItems": {}}).encode()
        self.data = b""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n" % len(answer)
            + answer
        )


def serve(port: Queue[int]) -> None:
    """Run the server."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(TakesEverything, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def chunks(rows: int) -> Iterator[bytes]:
    """The file, as S3 gives it: in chunks."""
    yield ",".join(COLUMNS).encode() + b"\n"
    text = "An overview, quoted because of its commas, and long enough to bring the row to two hundred bytes. " * 2
    for start in range(0, rows, 4096):
        yield b"".join(
            b'%d,The film number %d,"%b",2019-%02d-%02d,%d.%d,%d,en,%d.125\n'
            % (n, n, text[:138].encode(), n % 12 + 1, n % 28 + 1, n % 10, n % 7, n % 9973, n % 997)
            for n in range(start, min(start + 4096, rows))
        )


def lines(rows: int) -> Iterator[str]:
    """The file's lines."""
    for chunk in chunks(rows):
        yield from io.StringIO(chunk.decode(), newline="")


def by_batch_writer(rows: int) -> None:
    """As boto3's guide has it."""
    import boto3  # noqa: PLC0415

    table = boto3.resource("dynamodb").Table("movies")
    with table.batch_writer(overwrite_by_pkeys=["id"]) as batch:
        for row in csv.DictReader(lines(rows)):
            for name in ("vote_average", "vote_count"):
                row[name] = Decimal(row[name])
            batch.put_item(Item=row)


def by_client(rows: int) -> None:
    """With botocore's client, its checks of the parameters off."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    client: Any = boto3.client("dynamodb", config=Config(parameter_validation=False))
    kinds = {name: "N" if name in {"vote_average", "vote_count"} else "S" for name in COLUMNS}
    puts: list[Any] = []
    for row in csv.DictReader(lines(rows)):
        puts.append({"PutRequest": {"Item": {name: {kinds[name]: cell} for name, cell in row.items()}}})
        if len(puts) == 25:
            client.batch_write_item(RequestItems={"movies": puts})
            puts = []
    if puts:
        client.batch_write_item(RequestItems={"movies": puts})


def by_millrace(rows: int) -> None:
    """With the workload."""
    from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts  # noqa: PLC0415
    from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB  # noqa: PLC0415
    from millrace.records.plan import Item  # noqa: PLC0415
    from millrace.workload.registry import checked_options  # noqa: PLC0415

    options = {"table": "movies", "types": {"vote_average": "N", "vote_count": "N"}}
    workload = CsvToDynamoDB(checked_options("csv-to-dynamodb", options))
    imported = workload.migrate(Item("movies.csv", 1, '"etag"'), chunks(rows), None)  # type: ignore[arg-type]
    expected = [FileCounts("movies.csv", read=rows, written=rows)]
    if imported.files != expected:
        raise SystemExit(f"expected {expected}, got {imported.files}")


def by_plan(rows: int) -> None:
    """Finding a row to cut at every 20 kB."""
    from batch_jobs.workloads.csv_to_dynamodb.files.cuts import record_starts  # noqa: PLC0415
    from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat  # noqa: PLC0415

    wanted = range(0, rows * 150, 20_000)
    if len(list(record_starts(chunks(rows), CsvFormat(), wanted))) != len(wanted):
        raise SystemExit("the file was not cut as often as it should be")


WAYS: dict[str, Callable[[int], None]] = {
    "boto3 batch_writer": by_batch_writer,
    "botocore client, no validation": by_client,
    "csv-to-dynamodb": by_millrace,
    "only finding the cuts, as the plan job does": by_plan,
}


def measure(way: str, rows: int) -> None:
    """One way, in this process; prints seconds of CPU, seconds, and peak memory in KiB."""
    WAYS[way](25)  # imports and connections
    cpu, wall = time.process_time(), time.perf_counter()
    WAYS[way](rows)
    spent = time.process_time() - cpu, time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(spent))


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many rows each way writes")
    add_output_option(parser)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.rows)
        return
    port: Queue[int] = Queue()
    server = Process(target=serve, args=(port,), daemon=True)
    with on_cores(OTHERS):
        server.start()
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port.get(timeout=30)}",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    size = sum(map(len, chunks(arguments.rows))) / arguments.rows
    columns = ["way", "CPU per row, µs", "rows per second and core", "times batch_writer", "seconds", "peak memory, MB"]
    table = Table("csv-to-dynamodb", columns)
    table.note(f"{arguments.rows:,} rows of {size:.0f} bytes.")
    spent: dict[str, float] = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.csv_to_dynamodb", "--way", way, "--rows", str(arguments.rows)]
        with on_cores(FIRST):
            answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this file
        spent[way], wall, memory = json.loads(answer.stdout)
        each = spent[way] / arguments.rows
        times = spent["boto3 batch_writer"] / spent[way]
        cells = [way, f"{each * 1e6:.1f}", f"{1 / each:,.0f}", f"{times:.1f}", f"{wall:.1f}", f"{memory / 1024:.0f}"]
        table.add(dict(zip(columns, cells, strict=True)))
    ratio = spent["boto3 batch_writer"] / spent["csv-to-dynamodb"]
    table.goal("Rows per core: csv-to-dynamodb by batch_writer", ratio, at_least=3)
    table.show(arguments.output)
    server.terminate()


if __name__ == "__main__":
    main()
