"""Other workloads than word-count, through the real state machine: what they write, and what they report."""

from __future__ import annotations

import csv
import json
import re
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from console.checkout import ROOT
from millrace.layout import S3Uri
from tests.workflow.runs import Run, Runs
from tests.workflow.tables import Item, Tables

EXAMPLES = ROOT / "examples"


def example(name: str, table: str) -> dict[str, Any]:
    """The fields of examples/NAME.json beside source and destination, for another table."""
    request = json.loads((EXAMPLES / f"{name}.json").read_text())
    request["options"]["table"] = table
    return {field: value for field, value in request.items() if field not in {"source", "destination"}}


def uploaded(folder: Path) -> dict[str, bytes]:
    """A folder's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def result(runs: Runs, run: Run) -> dict[str, Any]:
    """The workload's part of result.json."""
    return dict(json.loads(runs.file(run, "result.json"))["result"])


def test_movies_become_items(runs: Runs, tables: Tables, source: str, destination: str) -> None:
    """examples/movies.json as it stands puts the rows of the zipped CSV into the table, numbers as numbers; a second
    run leaves the same items.
    """
    table = tables.make("id")
    runs.put(source, uploaded(EXAMPLES / "movies"))
    run = runs.start(source, destination, **example("movies", table))
    output = runs.wait(run)

    first = tables.items(table, "id")
    assert output["status"] == "SUCCEEDED"
    assert result(runs, run)["rows_written"] == len(first) == 10
    assert first["0"] == {
        "id": {"S": "0"},
        "title": {"S": "The Lighthouse Ledger"},
        "overview": {"S": "A keeper finds that the logbook already holds tomorrow's entries, all but one."},
        "release_date": {"S": "2011-03-18"},
        "vote_average": {"N": "7.4"},
        "vote_count": {"N": "1832"},
        "original_language": {"S": "en"},
        "popularity": {"N": "21.407"},
    }
    runs.wait(runs.start(source, destination, **example("movies", table)))
    assert tables.items(table, "id") == first


def test_products_become_items(runs: Runs, tables: Tables, source: str, destination: str) -> None:
    """examples/products.json puts file name and times beside the columns; the time is the plan's, in every shard; a
    second run leaves the same items but for that time.
    """
    table = tables.make("ProductId")
    second = b"ProductId,ProductName,ProductDescription\nP2001,Jug,\n"
    runs.put(source, {**uploaded(EXAMPLES / "products"), "more/second.CSV": second, "notes.txt": b"no product"})
    run = runs.start(source, destination, **example("products", table), max_items=1)
    output = runs.wait(run)

    first = tables.items(table, "ProductId")
    assert output["counts"]["shards"] == 2
    planned_at = json.loads(runs.file(run, "plan.json"))["planned_at"][:19] + "Z"
    assert {item["CreatedTime"]["S"] for item in first.values()} == {planned_at}
    assert first["P1004"]["ProductName"] == {"S": '"Explorer" backpack'}
    assert first["P1004"]["ProductDescription"] == {"S": "Holds 28 l,\nrain cover included"}
    assert first["P1004"]["Filename"] == {"S": "products.csv"}
    assert first["P2001"]["Filename"] == {"S": "second.CSV"}
    assert len(first) == 7

    def timeless() -> list[Item]:
        found = tables.items(table, "ProductId")
        return [{**item, "CreatedTime": {}, "LastModified": {}} for _, item in sorted(found.items())]

    before = timeless()
    runs.wait(runs.start(source, destination, **example("products", table)))
    assert timeless() == before


def test_bad_rows_and_bad_files_are_reported(runs: Runs, tables: Tables, source: str, destination: str) -> None:
    """A bad row is in rejected_rows.csv with line and reason, a bad file in the report; all else is in the table."""
    table = tables.make("id")
    runs.put(
        source,
        {
            "a.csv": b"id,name\n1,Alien\n2\n,Brazil\n",
            "b.csv": b"key;name\n3;Cabaret\n",
            "c.csv": b"id,name\n4,Dune\n",
            "d.csv": b"",
        },
    )
    options = {"table": table}
    run = runs.start(source, destination, workload="csv-to-dynamodb", options=options, tolerated_failure_percent=50)
    output = runs.wait(run)

    assert set(tables.items(table, "id")) == {"1", "4"}
    assert output["failures"] == {"DAMAGED": 1, "WRONG_COLUMNS": 1}
    assert result(runs, run)["rows_rejected"] == 2
    rows = list(csv.DictReader(StringIO(runs.file(run, "rejected_rows.csv").decode(), newline="")))
    assert [(row["file"].rpartition("/")[2], row["line"]) for row in rows] == [("a.csv", "3"), ("a.csv", "4")]
    assert rows[0]["reason"] == "1 cells where there are 2 columns"
    assert "'id' is empty" in rows[1]["reason"]


def test_a_table_that_is_not_there(runs: Runs, source: str, destination: str, job_logs: Any) -> None:
    """No object is blamed for it: the migrate job ends with exit code 2, once, and says what is wrong."""
    runs.put(source, {"a.csv": b"id\n1\n"})
    run = runs.start(source, destination, workload="csv-to-dynamodb", options={"table": "no-such-table"})
    runs.wait(run, "FAILED")
    job = runs.job(run, "migrate-and-merge")
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [2]
    assert json.loads(job_logs(job["jobId"])[-1])["error"] == "TableRefusedError"


def test_a_program_that_is_not_there(runs: Runs, source: str, destination: str, job_logs: Any) -> None:
    """The plan job finds it out: no migrate job is started."""
    runs.put(source, {"a": b"x"})
    options = {"command": ["no-such-program", "{input}"]}
    run = runs.start(source, destination, workload="command", options=options, plan="job")
    runs.wait(run, "FAILED")
    job = runs.job(run, "plan")
    assert job["container"]["exitCode"] == 2
    assert json.loads(job_logs(job["jobId"])[-1])["error"] == "WorkloadUnavailableError"
    assert runs.jobs(run, "migrate") == runs.jobs(run, "migrate-and-merge") == []


def test_a_folder_of_images(runs: Runs, source: str, destination: str) -> None:
    """examples/images comes back with a thumbnail, a filtered picture and the metadata of each picture, and with the
    contact sheet; the text that is named .jpg has its row.
    """
    pictures = {name: body for name, body in uploaded(EXAMPLES / "images").items() if not name.endswith(".py")}
    runs.put(source, pictures)
    run = runs.start(
        source, destination, workload="images", options={"filter": "sepia"}, max_items=2, tolerated_failure_percent=20
    )
    output = runs.wait(run)

    assert output["failures"] == {"NOT_AN_IMAGE": 1}
    assert result(runs, run)["images"] == len(pictures) - 1 == 6
    folder = S3Uri.parse_folder(destination)
    written = {name for name in runs.names(folder) if not name.startswith("_millrace/")}
    good = pictures.keys() - {"not-a-picture.jpg"}
    suffixes = (".thumbnail.jpg", ".sepia.jpg", ".metadata.json")
    assert written == {name + suffix for name in good for suffix in suffixes}
    for name in good:
        thumbnail = Image.open(BytesIO(runs.read(folder.join(f"{name}.thumbnail.jpg")) or b""))
        metadata = json.loads(runs.read(folder.join(f"{name}.metadata.json")) or b"")
        assert thumbnail.format == "JPEG"
        assert max(thumbnail.size) <= 200
        assert metadata["key"].endswith(name)
        # The same shape as the picture held upright, to a pixel.
        assert thumbnail.width * metadata["height"] == pytest.approx(
            thumbnail.height * metadata["width"], abs=max(metadata["width"], metadata["height"])
        )
    upright = json.loads(runs.read(folder.join("held-upright.jpg.metadata.json")) or b"")
    assert "GPS" not in json.dumps(upright)
    sheet = runs.file(run, "contact-sheet.html").decode()
    assert len(re.findall(r"<img[^>]* src=.data:image/", sheet)) == 6
    assert output["files"]["contact-sheet.html"].endswith("contact-sheet.html")
