"""The benchmark of the workloads' paces: what it makes of what was measured, and that it measures the real job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_jobs.native.word_library import word_library
from benchmarks.paces import __main__ as paces
from benchmarks.paces.server import Held
from benchmarks.paces.sources import SOURCES, Group, Source
from benchmarks.small_objects.server import PAGE, SOURCE
from millrace.workload.pace import LEAST_SECONDS
from millrace.workload.record import UNKNOWN_PACE
from millrace.workload.registry import workload_records


def round_of(*shards: tuple[int, int, float, float, float]) -> dict[str, Any]:
    """What a job says: of each shard items, bytes, seconds, seconds of CPU, and those that others had the core for."""
    return {"shards": [list(shard) for shard in shards], "failed": 0}


def test_the_pace_is_that_of_each_shards_best_round() -> None:
    """A thousand items a shard at 10 ms and 1 MB/s, each of them disturbed in one of two rounds."""
    small, large = (1000, 0, 10.0, 9.5, 0.0), (1000, 20_000_000, 30.0, 29.5, 0.0)
    slower = [(items, size, seconds * 3, cpu, 1.0) for items, size, seconds, cpu, _ in (small, large)]
    found = paces.measured("word-count", [round_of(small, slower[1]), round_of(slower[0], large)])
    assert found["pace"] == pytest.approx({"seconds_per_item": 0.01, "bytes_per_second": 1e6})
    assert (found["seconds"], found["cpu_seconds"], found["others_seconds"]) == (40, 39, 0)
    assert found["bound_by"] == "CPU"
    assert found["record"] == workload_records()["word-count"].pace.known()


def test_what_others_had_the_core_for_does_not_count() -> None:
    """Twenty seconds of a core that another process had half of; never less than the CPU that was used."""
    found = paces.measured("copy", [round_of((1000, 0, 20.0, 9.5, 10.0), (1000, 0, 20.0, 9.5, 15.0))])
    assert (found["seconds"], found["bound_by"]) == (19.5, "CPU")
    assert found["pace"]["seconds_per_item"] == pytest.approx(19.5 / 2000)


def test_what_waits_is_not_bound_by_the_core() -> None:
    """Less CPU than seconds, though nobody else had the core."""
    found = paces.measured("copy", [round_of((1000, 0, 40.0, 12.0, 0.0), (1000, 10**9, 40.0, 12.0, 0.0))])
    assert found["bound_by"] == "waiting"
    assert found["pace"]["seconds_per_item"] == pytest.approx(0.04, rel=0.1)


def test_too_little_work_shows_no_pace() -> None:
    """As in a run: merge would keep the pace that it knows; the table's cells are empty."""
    found = paces.measured("copy", [round_of((1, 1, LEAST_SECONDS / 2, 1.0, 0.0))])
    assert found["pace"] is None
    (row,) = paces.table_of([found], 30).rows
    assert row[7:9] == ["", ""]


def test_every_workload_with_a_pace_is_measured() -> None:
    """Only `command` is not: its record has none."""
    assert set(SOURCES) == {name for name, record in workload_records().items() if record.pace != UNKNOWN_PACE}


def test_the_server_lists_its_objects_page_by_page() -> None:
    """Each once, in the order of their keys, with the size and ETag that a GET of it has."""
    held = Held(Source(".x", lambda: [Group("b", PAGE, [b"one", b"three"]), Group("a", 5, [b""])]), 0)
    found, more = held.listed(SOURCE, "in/", "")
    assert more
    rest, more = held.listed(SOURCE, "in/", found[-1][0])
    assert not more
    keys = [key for key, _, _ in (*found, *rest)]
    assert (len(keys), keys) == (PAGE + 5, sorted(set(keys)))
    for key, etag, size in rest:
        body, its_etag = held.content(f"/{SOURCE}/{key}", SOURCE, key) or (b"", "")
        assert (len(body), its_etag) == (size, etag)


@pytest.mark.skipif(word_library() is None, reason="the library of word-count is not compiled")
@pytest.mark.parametrize("workload", ["copy", "csv-to-dynamodb", "word-count"])
def test_the_real_job_works_every_object(workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundredth of the objects, by the real jobs over HTTP: none fails, and the commits have all items and bytes."""
    part = 0.01
    held = Held(SOURCES[workload], 0, part)
    listed, _ = held.listed(SOURCE, "in/", "")
    quick = ["--rounds", "1", "--latency-ms", "0", "--part", str(part), "--plain", "--json"]
    paces.main(["--workloads", workload, *quick])
    (found,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (found["workload"], found["items"]) == (workload, len(listed))
    assert found["bytes"] == sum(size for _, _, size in listed)
    assert found["cpu_seconds"] > 0
