"""`_millrace/latest.json`: which runs last succeeded into a destination, and at which pace."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from millrace.cost.known_pace import known_pace
from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.records.latest import KEPT, MOST_BYTES, LatestRun, latest_uri, note_latest, options_digest, read_latest
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, RunInMemory, fast

DESTINATION = S3Uri(RESULT, "out/")
KEY = latest_uri(DESTINATION).key
REQUEST = RunRequest.parse({"source": "s3://source/in/", "destination": str(DESTINATION)})
FIRST = LatestRun(
    run_id="run-1",
    retry=0,
    source=REQUEST.source,
    workload="word-count",
    options_digest=options_digest(REQUEST.options),
    code_version="1+jobs.a",
    plan_digest="sha256:1",
    started_at="2026-11-28T10:00:00.000+00:00",
    finished_at="2026-11-28T10:10:00.000+00:00",
    pace={"seconds_per_item": 0.5, "bytes_per_second": 2e6},
)
LATER = replace(
    FIRST,
    run_id="run-2",
    finished_at="2026-11-28T11:00:00.000+00:00",
    pace={"seconds_per_item": 0.7, "bytes_per_second": 3e6},
)


@pytest.fixture
def client() -> InMemoryS3Client:
    """An S3 with the result's bucket."""
    return InMemoryS3Client(RESULT)


def s3_of(client: InMemoryS3Client) -> S3:
    """Its verbs."""
    return S3(client.stub, fast())


def test_it_moves_only_forward(client: InMemoryS3Client) -> None:
    """A later run of the same kind replaces an earlier one, never the other way; a retry replaces its run."""
    for run, expected in (
        (LATER, "run-2"),
        (FIRST, "run-2"),
        (replace(LATER, run_id="again", retry=1), "again"),
        (LATER, "again"),
    ):
        note_latest(DESTINATION, run, s3_of(client))
        assert [each.run_id for each in read_latest(DESTINATION, s3_of(client))] == [expected]


def test_times_are_compared_as_times(client: InMemoryS3Client) -> None:
    """Eleven o'clock in Berlin is before half past ten in London, whatever the texts' order."""
    berlin = replace(LATER, finished_at="2026-11-28T11:00:00+01:00")
    note_latest(DESTINATION, berlin, s3_of(client))
    note_latest(DESTINATION, FIRST, s3_of(client))
    assert [each.run_id for each in read_latest(DESTINATION, s3_of(client))] == ["run-1"]


@pytest.mark.parametrize(
    "other",
    [
        {"source": "s3://source/other/"},
        {"workload": "images"},
        {"options_digest": options_digest({"top": 3})},
        {"code_version": "1+jobs.b"},
    ],
)
def test_runs_of_another_kind_stay_beside_each_other(client: InMemoryS3Client, other: dict[str, Any]) -> None:
    """Another source, workload, options or code are another run's entry."""
    note_latest(DESTINATION, FIRST, s3_of(client))
    note_latest(DESTINATION, replace(LATER, **other), s3_of(client))
    assert [each.run_id for each in read_latest(DESTINATION, s3_of(client))] == ["run-2", "run-1"]


def test_the_file_stays_small(client: InMemoryS3Client) -> None:
    """With many kinds of runs, those that ended first go; the longest texts fit."""
    for number in range(KEPT + 9):
        ended = f"2026-11-28T12:{number // 60:02d}:{number % 60:02d}.000+00:00"
        run = replace(FIRST, source=f"s3://source/{number}/{'ä' * 500}", run_id=f"{number:080d}", finished_at=ended)
        note_latest(DESTINATION, run, s3_of(client))
    kept = read_latest(DESTINATION, s3_of(client))
    assert [int(run.run_id) for run in kept] == list(range(KEPT + 8, 8, -1))
    assert len(client.bodies(RESULT)[KEY]) < MOST_BYTES


def test_a_run_too_short_to_tell_keeps_the_pace_before_it(client: InMemoryS3Client) -> None:
    """An uploaded file's second of work does not displace what an hour has shown."""
    note_latest(DESTINATION, FIRST, s3_of(client))
    note_latest(DESTINATION, replace(LATER, pace=None), s3_of(client))
    (run,) = read_latest(DESTINATION, s3_of(client))
    assert (run.run_id, run.pace) == ("run-2", FIRST.pace)


def test_two_merges_at_once_lose_nothing(client: InMemoryS3Client) -> None:
    """Where another merge writes between the read and the write, the file is read again."""
    other = replace(FIRST, workload="images", run_id="other")
    left = [other]

    def disturb(verb: str, _bucket: str, _key: str) -> None:
        if verb == "put_object" and left:
            note_latest(DESTINATION, left.pop(), s3_of(client))

    client.before = disturb
    note_latest(DESTINATION, FIRST, s3_of(client))
    assert {run.run_id for run in read_latest(DESTINATION, s3_of(client))} == {"run-1", "other"}


DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"7",
    b'{"format":1}',
    b'{"format":1,"runs":[]}',
    b"[" * 100_000,
    b'{"format":1,"runs":{"x":7,"y":{"run_id":"z"}}}',
    b" " * (MOST_BYTES + 1),
]


@pytest.mark.parametrize("body", DAMAGED, ids=lambda body: repr(body[:24]))
def test_a_damaged_file_is_as_good_as_none(client: InMemoryS3Client, body: bytes) -> None:
    """It is read as no run, the workload's record counts, and the next merge replaces it."""
    client.store(RESULT, KEY, body)
    assert read_latest(DESTINATION, s3_of(client)) == []
    assert known_pace(REQUEST, s3_of(client)).origin == "the workload's record"
    note_latest(DESTINATION, FIRST, s3_of(client))
    assert read_latest(DESTINATION, s3_of(client)) == [FIRST]


@pytest.mark.parametrize(
    "damage",
    [
        {"finished_at": "yesterday"},
        {"finished_at": "2026-11-28T11:00:00"},
        {"retry": "1"},
        {"retry": True},
        {"run_id": None},
        {"pace": 3},
        {"more": 1},
    ],
)
def test_one_damaged_run_hides_no_other(client: InMemoryS3Client, damage: dict[str, Any]) -> None:
    """A run whose fields are not a merge's is passed over; the others count."""
    note_latest(DESTINATION, FIRST, s3_of(client))
    note_latest(DESTINATION, replace(LATER, workload="images"), s3_of(client))
    document = json.loads(client.bodies(RESULT)[KEY])
    document["runs"][replace(LATER, workload="images").name] |= damage
    client.store(RESULT, KEY, json.dumps(document).encode())
    assert read_latest(DESTINATION, s3_of(client)) == [FIRST]


@pytest.mark.parametrize(
    "pace",
    [
        {},
        {"seconds_per_item": 1},
        {"seconds_per_item": 0, "bytes_per_second": 1},
        {"seconds_per_item": -1, "bytes_per_second": 1},
        {"seconds_per_item": float("nan"), "bytes_per_second": 1},
        {"seconds_per_item": 1, "bytes_per_second": float("inf")},
        {"seconds_per_item": "1", "bytes_per_second": 1},
        {"seconds_per_item": 1, "bytes_per_second": 1, "outputs": 1e300},
    ],
)
def test_a_pace_that_is_none_does_not_count(client: InMemoryS3Client, pace: dict[str, Any]) -> None:
    """What no request may say is not taken from the file either; the run before it counts."""
    note_latest(DESTINATION, replace(FIRST, source="s3://source/before/"), s3_of(client))
    note_latest(DESTINATION, replace(LATER, pace=pace), s3_of(client))
    known = known_pace(REQUEST, s3_of(client))
    assert (known.origin, known.pace.known()) == ("run run-1", FIRST.pace)


def test_a_file_of_a_later_version_is_left_alone(client: InMemoryS3Client) -> None:
    """It is neither read nor written over."""
    body = b'{"format":2,"runs":{}}'
    client.store(RESULT, KEY, body)
    assert read_latest(DESTINATION, s3_of(client)) == []
    with pytest.raises(StorageError, match="later version"):
        note_latest(DESTINATION, FIRST, s3_of(client))
    assert client.bodies(RESULT)[KEY] == body


def test_a_file_that_may_not_be_read_stops_nothing(client: InMemoryS3Client) -> None:
    """A denied file is logged; the run continues with the record's pace."""
    note_latest(DESTINATION, FIRST, s3_of(client))
    client.denied.add((RESULT, KEY))
    assert known_pace(REQUEST, s3_of(client)).origin == "the workload's record"


def test_the_request_goes_before_the_last_run_and_that_before_the_record(client: InMemoryS3Client) -> None:
    """Part by part: what the request leaves open, the last run of the same workload, options and code says."""
    s3 = s3_of(client)
    assert known_pace(REQUEST, s3).pace.seconds_per_item == known_pace(REQUEST, None).pace.seconds_per_item
    note_latest(DESTINATION, FIRST, s3)
    note_latest(DESTINATION, replace(LATER, code_version="1+jobs.b"), s3)
    assert known_pace(REQUEST, s3).pace.seconds_per_item == 0.7
    assert known_pace(REQUEST, s3, code_version="1+jobs.a").pace.seconds_per_item == 0.5
    assert known_pace(REQUEST, s3, code_version="1+jobs.c").origin == "the workload's record"
    assert known_pace(replace(REQUEST, options={**REQUEST.options, "top": 9}), s3).origin == "the workload's record"
    said = known_pace(replace(REQUEST, pace={"seconds_per_item": 9.0}), s3)
    assert (said.origin, said.pace.seconds_per_item, said.pace.bytes_per_second) == ("the request", 9.0, 3e6)


def timed(run: RunInMemory, seconds: int) -> None:
    """All jobs of a run, each of whose shards takes so long."""
    made = run.plan()
    for index in range(made.shards):

        def take_long(verb: str, _bucket: str, key: str, done: int = run.ticks + seconds) -> None:
            if verb == "put_object" and "/partials/" in key:
                run.ticks = done

        run.client.before = take_long
        run.migrate(index)
    run.client.before = lambda *_call: None
    run.merge()


def test_merge_notes_the_run_and_the_pace_of_its_commits() -> None:
    """A merged run is the destination's latest, with its identity and the pace that its shards were worked at."""
    sizes = {"in/a": 1000, "in/b": 1, "in/c": 1, "in/d": 5000}
    objects = {key: b"x" * size for key, size in sizes.items()}
    run = RunInMemory(objects, {"shard": {"target_bytes": 2000, "max_items": 2}})
    timed(run, 120)
    (noted,) = read_latest(DESTINATION, s3_of(run.client))
    result = run.result()
    assert (noted.run_id, noted.retry, noted.plan_digest) == ("run", 0, result["plan_digest"])
    assert (noted.finished_at, noted.workload) == (result["finished_at"], result["workload"])
    known = known_pace(
        RunRequest.parse({"source": "s3://source/in/", "destination": str(DESTINATION), **run.request}),
        s3_of(run.client),
        code_version=noted.code_version,
    )
    shards = len([key for key in run.run_files() if "/shards/" in key])
    assert known.origin == "run run"
    assert known.pace.seconds(4, sum(sizes.values())) == pytest.approx(120 * shards, rel=0.05)


def test_a_merge_that_cannot_note_the_run_has_completed_it() -> None:
    """latest.json is denied: the result is there, marked, and nothing fails."""
    run = RunInMemory({"in/a": b"x"})
    run.client.denied.add((RESULT, KEY))
    run.all()
    assert run.file("_SUCCESS")
    assert run.result()["status"] == "SUCCEEDED"


def test_a_failed_run_is_not_the_latest() -> None:
    """More items failed than tolerated: the destination's last successful run stays what it was."""
    run = RunInMemory({"in/bad": b"bad"})
    with pytest.raises(Exception, match="failed"):
        run.all()
    assert read_latest(DESTINATION, s3_of(run.client)) == []
