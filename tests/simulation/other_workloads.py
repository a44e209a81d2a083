"""The other built-in workloads in simulated runs, by name: the usual seeds are those of `WORKLOADS`."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from PIL import Image

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.command.workload import Command
from batch_jobs.workloads.copy.workload import CopyObjects
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from batch_jobs.workloads.images.workload import Images
from millrace.records.plan import Item
from millrace.workload.registry import checked_options
from tests.in_memory_dynamodb import InMemoryDynamoDB
from tests.simulation.workloads import Merged, ModelledWorkload

TABLE = "films"
SHOUT = ["sh", "-c", 'case "$(cat "$0")" in *bad*) exit 9;; esac; tr a-z A-Z < "$0"', "{input}"]


def csv_to_dynamodb() -> ModelledWorkload:
    """Rows with keys of their own, into a table that all jobs of the run share."""
    database = InMemoryDynamoDB()
    database.create_table(TABLE, ("id",))
    options = checked_options("csv-to-dynamodb", {"table": TABLE})

    def merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
        files, part = _import_report(succeeded)
        there = {item["id"]["S"] for item in database.items(TABLE)}
        missing = [row for _key, body in succeeded for row in _good_rows(body) if row.partition(",")[0] not in there]
        return files, {**part, "table": TABLE, **({"missing from the table": missing} if missing else {})}

    return ModelledWorkload(
        name="csv-to-dynamodb",
        load=lambda _name, _options: CsvToDynamoDB(
            options, database, TableRetryPolicy(0, lambda _dropped, _seconds: None)
        ),
        make=_csv,
        fault=lambda body: None if body.startswith(b"id,name\n") else "WRONG_COLUMNS" if body else "DAMAGED",
        suffixes=(),
        outputs=lambda _key, _body: {},
        merged=merged,
    )


def images() -> ModelledWorkload:
    """Small pictures. What must come out is what the workload makes of them by itself, one after the other."""
    workload = Images(checked_options("images", {"filter": "sepia"}))

    def merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
        partial = workload.partial()
        for key, body in reversed(succeeded):
            partial.add(_pictured(workload, key, body)[1])
        partial.write(file := io.BytesIO())
        file.seek(0)
        with SpooledOutputs(lambda _name: None) as results:
            part = workload.merge([file], results)
            return _contents(results), {**part, "images": len(succeeded)}

    return ModelledWorkload(
        name="images",
        load=lambda _name, _options: workload,
        make=_picture,
        fault=lambda body: None if body.startswith(b"\x89PNG") else "NOT_AN_IMAGE",
        suffixes=workload.item_suffixes,
        outputs=lambda key, body: _pictured(workload, key, body)[0],
        merged=merged,
    )


class _Timeless(Command):
    """The workload `command`, whose programs take no time: how long they take differs from attempt to attempt."""

    def migrate(self, *given: Any) -> dict[str, int]:
        """Run the command for one item."""
        return {**super().migrate(*given), "milliseconds": 0}


def command() -> ModelledWorkload:
    """A program for each item, which writes it in capitals."""
    options = checked_options("command", {"command": SHOUT, "output_suffixes": [".loud"]})

    def merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
        number = len(succeeded)
        return {}, {"commands": number, "seconds": 0.0, "exit_codes": {"0": number} if number else {}}

    return ModelledWorkload(
        name="command",
        load=lambda _name, _options: _Timeless(options),
        make=lambda chance: b"a bad one" if chance.random() < 0.1 else b"word %d" % chance.randrange(99),
        fault=lambda body: "COMMAND_FAILED" if b"bad" in body else None,
        suffixes=(".loud",),
        outputs=lambda _key, body: {".loud": body.upper()},
        merged=merged,
    )


def copy(renamed: Callable[[str], str] = lambda name: name, **options: str) -> ModelledWorkload:
    """Copies, which S3 makes: no body is read, no output has the mark of its run."""
    workload = CopyObjects(checked_options("copy", options))

    def merged(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
        number = len(succeeded)
        ways = {"checksum": 0, "etag": number, "size": 0}
        return {}, {"objects": number, "bytes": sum(len(body) for _key, body in succeeded), "verified_by": ways}

    return ModelledWorkload(
        name="copy",
        load=lambda _name, _options: workload,
        make=lambda chance: b"%d" % chance.randrange(999),
        fault=lambda _body: None,
        suffixes=("",),
        outputs=lambda _key, body: {"": body},
        merged=merged,
        marked=False,
        renamed=renamed,
        asked={"workload": "copy", "options": options},
    )


def copy_by_initial() -> ModelledWorkload:
    """Copies whose keys are the first characters of their sources': several objects would have one."""
    return copy(lambda name: name[0], key_pattern="(.).*", key_template="\\1")


OTHERS: Mapping[str, Callable[[], ModelledWorkload]] = {
    "csv-to-dynamodb": csv_to_dynamodb,
    "images": images,
    "command": command,
    "copy": copy,
    "copy-by-initial": copy_by_initial,
}
"""Made anew for every seed."""


def _csv(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return b"" if kind < 0.05 else b"key;name\n"
    rows = [
        "no cells but one" if chance.random() < 0.2 else f"{chance.randrange(2**60):x},mill"
        for _ in range(chance.randrange(5))
    ]
    return "\n".join(["id,name", *rows, ""]).encode()


def _rows(body: bytes) -> list[str]:
    return body.decode().splitlines()[1:]


def _good_rows(body: bytes) -> list[str]:
    return [row for row in _rows(body) if "," in row]


def _import_report(succeeded: Sequence[tuple[str, bytes]]) -> Merged:
    succeeded = sorted(succeeded)  # whatever run or rerun an item comes from, the report is in the order of the keys
    reason = "1 cells where there are 2 columns"
    rejected = [
        (key, "", "", str(line), reason)
        for key, body in succeeded
        for line, row in enumerate(_rows(body), start=2)
        if "," not in row
    ]
    counts = {key: (len(_rows(body)), len(_good_rows(body))) for key, body in succeeded}
    counted = [(key, "", "", str(read), str(good), "0", str(read - good)) for key, (read, good) in counts.items()]
    worst = sorted(((good - read, place) for place, (read, good) in enumerate(counts.values()) if good < read))[:20]
    keys = list(counts)
    files = {
        "rejected_rows.csv": _table(("file", "member", "first_byte", "line", "reason"), rejected),
        "files.csv": _table(
            ("file", "member", "first_byte", "rows_read", "rows_written", "rows_replaced", "rows_rejected"), counted
        ),
    }
    read, good = (sum(pair[which] for pair in counts.values()) for which in (0, 1))
    return files, {
        "files": len(counts),
        "rows_read": read,
        "rows_written": good,
        "rows_replaced": 0,
        "rows_rejected": read - good,
        "most_rejected": [{"file": keys[place], "member": "", "rejected": -less} for less, place in worst],
    }


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return text.getvalue().encode()


def _picture(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return b"no picture"
    picture = Image.new("RGB", (chance.randrange(1, 9), chance.randrange(1, 9)), (chance.randrange(256), 90, 30))
    picture.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@cache
def _pictured(workload: Images, key: str, body: bytes) -> tuple[dict[str, bytes], Any]:
    with SpooledOutputs(lambda _name: None) as outputs:
        contribution = workload.migrate(Item(key, len(body), '"e"'), [body], outputs)
        return _contents(outputs), contribution


def _contents(files: SpooledOutputs) -> dict[str, bytes]:
    found = {}
    for held in files:
        held.file.seek(0)
        found[held.name] = held.file.read()
    return found
