"""Planning a small source without a job: the very files that the plan job writes, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.code_identity import code_identity
from batch_jobs.workloads.registry import load_workload
from millrace.errors import InvalidRunRequest, RunIdentityError, StoppedError
from millrace.layout import RunFolder, S3Uri
from millrace.planning import small_source
from millrace.planning.item_store import ItemStore
from millrace.planning.making import PlanMaker
from millrace.planning.small_source import plan_small_source
from millrace.records.plan import Plan
from millrace.request.run_request import RunRequest
from millrace.reuse.keeping import Keeping
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, fast

MIB = 1 << 20
KEYS = st.text(st.sampled_from('abc/.%+"\\é\u2028\n *'), min_size=1, max_size=6)
WORKLOADS: list[dict[str, Any]] = [
    {},
    {"merge_limit_seconds": 0},
    {"workload": "copy", "options": {"strip_prefix": "a"}},
    {"workload": "command", "options": {"command": ["true"]}},
    {"workload": "csv-to-dynamodb", "options": {"table": "rows"}},
]


def given_request(**fields: Any) -> RunRequest:
    """A request over the source in memory."""
    return RunRequest.parse({"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", **fields})


def small(
    run: RunInMemory,
    check: Any = lambda: None,
    client: InMemoryS3Client | None = None,
    concurrency: int = 1,
    **fields: Any,
) -> Any:
    """What Prepare Run makes of it, as the second of 2027 at which the run in memory begins to count."""
    maker = PlanMaker(
        S3((client or run.client).stub, fast()),
        code_identity(JobSettings(), "word-count"),
        timestamp=lambda: datetime.fromtimestamp(1_800_000_001, UTC).isoformat(timespec="milliseconds"),
        check=check,
        concurrency=concurrency,
    )
    return plan_small_source(given_request(**run.request, **fields), run.folder, maker, Keeping.of)


def one_of(objects: dict[str, bytes], request: dict[str, Any], page_size: int = 1000) -> RunInMemory:
    """A run of a workload that comes with Millrace."""
    client = InMemoryS3Client(SOURCE, RESULT, page_size=page_size)
    return RunInMemory(objects, request, load=load_workload, client=client)


@given(
    objects=st.dictionaries(KEYS.map("in/".__add__), st.sampled_from([b"", b"one", b"x" * 300]), max_size=30),
    workload=st.sampled_from(WORKLOADS),
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "include": st.just(["*a*"]),
            "exclude": st.just(["b*"]),
            "shard": st.fixed_dictionaries(
                {},
                optional={
                    "max_items": st.integers(1, 9),
                    "target_bytes": st.integers(1, 999),
                    "max_shards": st.integers(1, 5),
                },
            ),
        },
    ),
    data=st.data(),
)
def test_the_files_are_those_of_the_plan_job(
    objects: dict[str, bytes], workload: dict[str, Any], chosen: dict[str, Any], data: st.DataObject
) -> None:
    """plan.json, with its digest, and every shard file are the same bytes, whatever the source and the request."""
    request = {**workload, **chosen}
    page_size, concurrency = data.draw(st.sampled_from([1, 3, 1000]), "page"), data.draw(st.integers(1, 4), "at once")
    if data.draw(st.booleans(), "named"):
        known = st.sampled_from([key[3:] for key in objects]) | KEYS if objects else KEYS
        request["keys"] = data.draw(st.lists(known, min_size=1, max_size=9, unique=True))
    here, there = (one_of(objects, request, page_size) for _ in range(2))

    made, planned = small(here, concurrency=concurrency), there.plan()

    assert made == planned
    assert here.run_files() == there.run_files()


@given(
    objects=st.dictionaries(KEYS.map("in/".__add__), st.sampled_from([b"one", b"x" * 30]), min_size=1, max_size=20),
    since=st.dictionaries(KEYS.map("in/".__add__), st.sampled_from([b"one", b"two", None]), max_size=6),
    asked=st.fixed_dictionaries({}, optional={"verify_outputs": st.booleans(), "mirror": st.booleans()}),
    workload=st.sampled_from([{}, {"workload": "copy", "options": {}}]),
    size=st.integers(1, 6),
)
def test_the_files_are_those_of_the_plan_job_where_a_run_is_reused(
    objects: dict[str, bytes],
    since: dict[str, bytes | None],
    asked: dict[str, Any],
    workload: dict[str, Any],
    size: int,
) -> None:
    """plan.json, shard files, what each kept shard is taken over from, and what is gone."""
    runs = []
    for _ in range(2):
        base = one_of(objects, {**workload, "shard": {"max_items": size}})
        base.all()
        for key, body in since.items():
            if body is None:
                base.client.remove(SOURCE, key)
            else:
                base.client.store(SOURCE, key, body)
        run = replace(base, objects={}, folder=RunFolder.of(S3Uri(RESULT, "out/"), "next"), ticks=0)
        run.request = {**base.request, "reuse": "latest", "mirror_limit_percent": 100, **asked}
        runs.append(run)
    here, there = runs
    assert small(here) == there.plan()

    def planned(run: RunInMemory) -> dict[str, str]:
        return {key: digest for key, digest in run.run_files().items() if "/next/plan" in key or "removed" in key}

    assert planned(there).items() >= planned(here).items()
    assert {key for key in planned(there) if key not in planned(here)} <= {here.folder.file("removed.jsonl").key}


def test_more_objects_than_seconds_allow_are_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are listed in seconds are planned here, pages by several requests at once; with one more nothing is
    written, and the listing is given up.
    """
    monkeypatch.setattr(small_source, "MOST_OBJECTS", 1000)
    objects = {f"in/{number:04}": b"x" for number in range(1000)}
    run = one_of(objects, {"shard": {"max_items": 50}}, 20)
    assert small(run, concurrency=4).shards == 20
    more = one_of({f"in/{number:05}": b"x" for number in range(20_000)}, {}, 20)
    assert small(more, concurrency=4) is None
    assert more.run_files() == {}
    assert more.client.requests["list_objects_v2"] < 200


def test_a_listing_that_the_disk_has_no_room_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which Prepare Run takes for the plan job's turn: no plan is written."""

    def full(*_given: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ItemStore, "add_lines", full)
    run = one_of({"in/a": b"x"}, {})
    with pytest.raises(OSError, match="No space left"):
        small(run)
    assert run.run_files() == {}


@pytest.mark.parametrize(
    ("key", "request_", "planned"),
    [
        ("large.txt", {}, True),
        ("large.txt.gz", {}, True),
        ("large.txt", {"workload": "command", "options": {"command": ["true"]}}, True),
        ("large.csv", {"workload": "csv-to-dynamodb", "options": {"table": "rows"}}, False),
        (
            "large.csv",
            {"workload": "csv-to-dynamodb", "options": {"table": "rows", "cut_large_files": False}},
            True,
        ),
        ("large.txt", {"exclude": ["large*"]}, True),
    ],
)
def test_what_has_to_be_read_to_be_cut_is_the_jobs(key: str, request_: dict[str, Any], planned: object) -> None:
    """An object larger than a shard goes to the plan job where its rows decide the cuts; else it is cut here, at any
    byte, or is one item: the plan is the plan job's.
    """
    objects = {f"in/{key}": b"a,b\n" * (MIB // 2), "in/small.txt": b"x"}
    run = one_of(objects, {**request_, "shard": {"target_bytes": MIB}})
    assert (small(run) is not None) is planned
    assert bool(run.run_files()) is planned
    if planned:
        there = one_of(objects, {**request_, "shard": {"target_bytes": MIB}})
        there.plan()
        assert run.run_files() == there.run_files()


@pytest.mark.parametrize(
    "fields",
    [
        {"plan": "job"},
        {"workload": "package.module:Class", "options": {"whatever": 1}},
        {"workload": "package.name"},
        {"manifest": f"s3://{SOURCE}/keys.csv"},
        {"workload": "copy", "options": {"key_pattern": "(.).*", "key_template": r"\1"}},
        {"workload": "copy", "options": {"key_template": "x"}},
    ],
)
def test_some_requests_are_always_the_jobs(fields: dict[str, Any]) -> None:
    """What asks for the job, and what needs a workload's own code: its options, and the keys of its outputs."""
    run = one_of({"in/a": b"x"}, {})
    assert small(run, **fields) is None
    assert run.run_files() == {}


def test_a_rerun_is_the_jobs() -> None:
    """Its items are the failed rows of the run."""
    run = one_of({"in/a": b"x"}, {}).retry()
    assert small(run) is None


def test_the_first_plan_wins() -> None:
    """A second call finds the plan of the first, whatever the source has become, and so does the plan job."""
    run = one_of({"in/a": b"x"}, {})
    first = small(run)
    run.client.store(SOURCE, "in/b", b"x")
    before = run.run_files()
    assert small(run) == first
    assert run.plan() == first
    assert run.run_files() == before


def test_another_requests_plan_is_refused() -> None:
    """As the plan job refuses it: what differs is named."""
    run = one_of({"in/a": b"x"}, {})
    small(run)
    with pytest.raises(RunIdentityError, match=r"include was \[\], is \['b'\]"):
        small(run, include=["b"])


def test_a_key_that_is_gone_is_planned_all_the_same() -> None:
    """An upload deleted before the run becomes an item that no read will ever match: its row will say so."""
    run = one_of({"in/a": b"x"}, {"keys": ["a", "gone"]})
    made: Plan = small(run)
    lines = run.client.bodies(RESULT)[run.folder.shard_items(0, made.digest).key].splitlines()
    assert [b'\\"gone\\"' in line for line in lines] == [False, True]


def test_what_takes_long_is_left_to_the_job() -> None:
    """Time that runs out leaves no plan.json, and the plan job takes over with the same result."""
    calls = iter(range(100))

    def check() -> None:
        if next(calls) == 5:
            raise StoppedError("time is up")

    run = one_of({f"in/{number}": b"x" for number in range(9)}, {"shard": {"max_items": 1}})
    assert small(run, check) is None
    assert run.file("plan.json") is None
    assert run.plan().shards == 9


def test_bad_options_of_a_copy_are_found_by_the_job() -> None:
    """A pattern without a template goes to the plan job, which refuses it before it lists anything."""
    run = one_of({"in/a": b"x"}, {"workload": "copy", "options": {"key_pattern": "(a)"}})
    assert small(run) is None
    with pytest.raises(InvalidRunRequest, match="key_template"):
        run.plan()
