"""What a run would take: the shards are the plan job's own, the numbers can be checked by hand."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from batch_jobs.workloads.registry import load_workload
from console.find.reuse_forecast import forecast
from console.find.source_size import measure
from millrace.cost.course import Jobs, ShardSize
from millrace.cost.estimation import estimate
from millrace.cost.known_pace import known_pace
from millrace.cost.prices import prices
from millrace.layout import RunFolder, S3Uri
from millrace.planning.item_store import ItemStore
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3, ListedObject
from millrace.text import dollars_text
from millrace.workload import Pace, Splitting
from millrace.workload.record import UNKNOWN_PACE
from millrace.workload.registry import workload_records
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

PACE = Pace(seconds_per_item=0.5, bytes_per_second=1_000_000, outputs=1)


def request(**given: Any) -> RunRequest:
    """A checked request."""
    return RunRequest.parse({"source": "s3://input/a/", "destination": "s3://out/", **given})


def listed(*sizes: tuple[str, int]) -> list[ListedObject]:
    """A listing."""
    return [ListedObject(key, size, '"e"', "GLACIER" if key.endswith(".cold") else "STANDARD") for key, size in sizes]


def test_children_share_the_work() -> None:
    """Eight shards of 100 s, two jobs at once: two children of 400 s, one start each; 14 would have a minute each."""
    made = estimate([ShardSize(100, 50_000_000)] * 8, 800, Jobs(max_vcpus=2), PACE)
    assert (made.course.children, made.course.due) == (2, 8)
    assert made.course.seconds["migrate"] == pytest.approx(45 + 400)
    assert made.course.seconds["plan"] == pytest.approx(45 + 0.8 * 0.016 + 8 * 0.002)
    assert made.course.total_seconds == pytest.approx(sum(made.course.seconds.values()))


def test_a_million_small_texts_are_billed_for_their_work() -> None:
    """6,300 s of work in 1,000 shards take 16 children 440 s, and are billed a start each, not a minute a shard."""
    shards = [ShardSize(1000, 10_000_000)] * 1000
    made = estimate(shards, 1_000_000, Jobs(public_ip=False), Pace(0.006, 30_000_000))
    assert made.course.children == 16
    assert made.course.seconds["migrate"] == pytest.approx(45 + 6333 / 16, rel=0.01)
    hours = (6333 + 16 * 20 + 120 + 20 + 50 + 20 + 70) / 3600
    assert made.dollars["compute"] == pytest.approx(hours * (0.04048 + 2 * 0.004445), rel=0.03)


def test_a_guess_is_no_reason_for_fewer_children_than_slots() -> None:
    """Where the pace is not known there are as many children as slots, as Read Plan starts them."""
    shards = [ShardSize(1, 0)] * 40
    assert estimate(shards, 40, Jobs(), PACE).course.children == 1
    assert estimate(shards, 40, Jobs(), PACE, measured=False).course.children == 16


def test_one_long_shard_decides() -> None:
    """However many jobs run at once, the run takes as long as its longest shard."""
    made = estimate([ShardSize(1, 600_000_000), *[ShardSize(1, 0)] * 9], 10, Jobs(max_vcpus=1000), PACE)
    assert made.course.seconds["migrate"] == pytest.approx(45 + 600.5)


def test_half_a_vcpu_takes_twice_as_long_and_eight_are_no_faster_than_one() -> None:
    """The pace is that of one vCPU; a job's own work is one process's."""
    seconds = [
        estimate([ShardSize(100, 0)], 100, Jobs(vcpus=vcpus, max_vcpus=64), PACE).course.seconds["migrate"] - 45
        for vcpus in (0.5, 1, 8)
    ]
    assert seconds == pytest.approx([100, 50, 50])


def test_the_dollars_are_those_of_the_table() -> None:
    """Ten shards of ten minutes on 1 vCPU and 2 GB, whose last child merges, and a plan job of at least a minute."""
    made = estimate([ShardSize(1000, 80_000_000)] * 10, 10_000, Jobs(), PACE)
    hours = (10 * (20 + 580) + 60) / 3600
    assert made.dollars["compute"] == pytest.approx(hours * (0.04048 + 2 * 0.004445), rel=0.01)
    spot = estimate([ShardSize(1000, 80_000_000)] * 10, 10_000, Jobs(compute="FARGATE_SPOT"), PACE)
    assert spot.dollars["compute"] == pytest.approx(made.dollars["compute"] * 0.3)
    assert made.dollars["public_ipv4"] == pytest.approx(hours * 0.005, rel=0.01)
    assert made.dollars["s3_requests"] == pytest.approx(10_062 / 1000 * 0.005 + 10_062 / 1000 * 0.0004, rel=0.001)
    assert made.dollars["step_functions"] == pytest.approx(10 * 0.000025)
    assert estimate([], 0, Jobs(public_ip=False), PACE).dollars["public_ipv4"] == 0


def test_an_empty_source_costs_two_small_jobs() -> None:
    """Plan and merge run all the same."""
    made = estimate([], 0, Jobs(), PACE)
    assert made.course.seconds["migrate"] == 0
    assert 0 < made.total_dollars < 0.01


def test_the_price_table_is_dated_and_complete() -> None:
    """It has a date and both architectures."""
    table = prices()
    assert date.fromisoformat(table["date"]) >= date(2026, 11, 1)
    assert set(table["fargate"]) == {"X86_64", "ARM64"}
    assert set(table["compute"]) == {"FARGATE", "FARGATE_SPOT", "EC2"}


def test_a_source_is_measured_as_it_would_be_planned() -> None:
    """Folder markers, what is excluded and archived objects are counted apart; shards hold what they would hold."""
    objects = listed(("a/", 0), ("a/1.txt", 5), ("a/2.txt", 5), ("a/3.csv", 9), ("a/4.cold", 5))
    seen: list[int] = []
    asked = request(exclude=["*.csv"], shard={"max_items": 2})
    found = measure(lambda chosen: chosen.items(objects), asked, UNKNOWN_PACE, seen.append)
    assert (found.listed, found.items, found.bytes, found.largest, found.archived) == (5, 3, 15, 5, 1)
    assert found.skipped == {"folder_markers": 1, "not_included": 0, "excluded": 1}
    assert found.shards == [ShardSize(2, 10), ShardSize(1, 5)]


@pytest.mark.parametrize("cut", [False, True])
def test_a_forecast_of_reuse_is_what_the_plan_does(*, cut: bool) -> None:
    """Kept, changed, new and gone, and the shards that are left, are the plan job's; ranges of large texts too."""
    size = 3_000_000 if cut else 10
    asked: dict[str, Any] = {"shard": {"max_items": 3, "target_bytes": 1_048_576}}
    bodies = {f"in/{key}": f"{key} ".encode() * (size // 2) for key in "abcdefghi"}
    base = RunInMemory(bodies, asked, load=load_workload)
    base.all()
    base.client.store(SOURCE, "in/e", b"E " * (size // 2))
    base.client.store(SOURCE, "in/bb", b"new")
    base.client.remove(SOURCE, "in/i")

    checked = request(source=f"s3://{SOURCE}/in/", destination=f"s3://{RESULT}/out/", reuse="latest", **asked)
    s3, items = S3(base.client.stub), ItemStore()
    pace = known_pace(checked, s3).pace
    measure(lambda chosen: chosen.items(s3.list(SOURCE, "in/")), checked, pace, lambda _listed: None, items)
    foreseen = forecast(checked, items, pace, s3)

    folder = RunFolder.of(S3Uri(RESULT, "out/"), "next")
    given: dict[str, Any] = {"request": {**asked, "reuse": "latest"}, "client": base.client, "folder": folder}
    planned = RunInMemory(**given, ticks=86_400, load=load_workload).plan()
    assert planned.reuse is not None
    assert foreseen.reuse == replace(planned.reuse, takeover_digest="", removed_digest="")
    assert foreseen.reuse.kept > 0
    assert foreseen.reuse.removed > 0
    assert len(foreseen.shards) == planned.shards - planned.reuse.kept_shards
    assert sum(shard.items for shard in foreseen.shards) == planned.items - planned.reuse.kept
    assert sum(shard.bytes for shard in foreseen.shards) == planned.total_bytes - planned.reuse.kept_bytes


def test_a_forecast_without_a_base_says_why() -> None:
    """Everything is left to work."""
    client = RunInMemory({"in/a": b"one"}).client
    checked = request(source=f"s3://{SOURCE}/in/", destination=f"s3://{RESULT}/out/", reuse="latest")
    s3, items = S3(client.stub), ItemStore()
    measure(lambda chosen: chosen.items(s3.list(SOURCE, "in/")), checked, PACE, lambda _listed: None, items)
    foreseen = forecast(checked, items, PACE, s3)
    assert (foreseen.reuse.base, foreseen.reuse.new, foreseen.shards) == ("", 1, [ShardSize(1, 3)])
    assert "no run into s3://result/out/ has succeeded yet" in foreseen.reuse.why_not


CSV: dict[str, Any] = {"workload": "csv-to-dynamodb"}


@pytest.mark.parametrize(
    ("key", "given", "items"),
    [
        ("a/x", {}, 4),
        ("a/x.gz", {}, 1),
        ("a/x.GZ", {}, 1),
        ("a/x.zst", {}, 1),
        ("a/x", {"workload": "images"}, 1),
        ("a/x", {"workload": "copy"}, 1),
        ("a/x.csv", {**CSV, "options": {"table": "films"}}, 4),
        ("a/x.csv", {**CSV, "options": {"table": "films", "encoding": "latin1"}}, 4),
        ("a/x.csv", {**CSV, "options": {"table": "films", "encoding": "utf-16"}}, 1),
        ("a/x.csv", {**CSV, "options": {"table": "films", "delimiter": "\u00a6"}}, 1),
        ("a/x.csv", {**CSV, "options": {"table": "films", "on_bad_row": "fail"}}, 1),
        ("a/x.csv", {**CSV, "options": {"table": "films", "cut_large_files": False}}, 1),
        ("a/x.csv.ZIP", {**CSV, "options": {"table": "films"}}, 1),
    ],
)
def test_the_estimate_cuts_large_objects_as_the_workload_does(key: str, given: dict[str, Any], items: int) -> None:
    """Plain text and CSV files that can be cut are, nothing else is; the plan job's own workload says the same."""
    asked = request(shard={"target_bytes": 1_048_576}, **given)
    found = measure(lambda chosen: chosen.items(listed((key, 4_000_001))), asked, UNKNOWN_PACE, lambda _n: None)
    workload = load_workload(asked.workload, asked.options)
    assert (found.items, found.bytes) == (items, 4_000_001)
    assert (isinstance(workload, Splitting) and workload.splits(key)) is (items > 1)


def test_csv_files_are_cut_into_longer_ranges_than_texts() -> None:
    """A text's ranges are a quarter of a shard, a CSV file's as long as one, where its work allows."""
    large = listed(("a/x", 1 << 30))
    sizes = {"shard": {"target_bytes": 256 << 20}}
    text = measure(lambda chosen: chosen.items(large), request(**sizes), UNKNOWN_PACE, lambda _n: None)
    csv = measure(
        lambda chosen: chosen.items(large),
        request(**sizes, **CSV, options={"table": "films"}, pace={"bytes_per_second": 1e9}),
        UNKNOWN_PACE,
        lambda _n: None,
    )
    assert (text.items, csv.items) == (16, 4)


def test_every_built_in_workload_has_a_pace_but_command() -> None:
    """Only what runs the user's own program has no pace of its own."""
    assert {name for name, record in workload_records().items() if record.pace == UNKNOWN_PACE} == {"command"}


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "$0"), (0.00001, "under $0.0001"), (0.0127, "$0.013"), (0.5, "$0.5"), (12.345, "$12.35"), (1240.2, "$1,240")],
)
def test_dollars_read_well(amount: float, words: str) -> None:
    """Two digits are all that an estimate is worth."""
    assert dollars_text(amount) == words


@pytest.mark.parametrize("compute", ["FARGATE", "FARGATE_SPOT"])
def test_seconds_of_work_are_a_small_jobs(compute: str) -> None:
    """A quarter of a vCPU and 1 GB for a minute: what Read Plan would give it. It takes four times as long."""
    jobs = Jobs(compute=compute, public_ip=False)
    full, small = (estimate([ShardSize(4, 0)], 4, jobs, PACE, planned=True, memory_mib=mib) for mib in (None, 512))
    share = {"FARGATE": 1.0, "FARGATE_SPOT": 0.3}[compute]
    assert small.dollars["compute"] == pytest.approx(60 / 3600 * (0.25 * 0.04048 + 0.004445) * share)
    assert full.dollars["compute"] == pytest.approx(60 / 3600 * (0.04048 + 2 * 0.004445) * share)
    assert (small.course.each.vcpus, small.course.each.memory_mib) == (0.25, 1024)
    assert full.course.each == jobs
    assert (full.course.seconds["migrate"], small.course.seconds["migrate"]) == (45 + 2, 45 + 8)


@pytest.mark.parametrize(
    ("items", "given", "jobs"),
    [
        (6, {"memory_mib": 512}, Jobs()),
        (4, {"memory_mib": 2000}, Jobs()),
        (4, {"memory_mib": 512, "measured": False}, Jobs()),
        (4, {"memory_mib": 512}, Jobs(compute="EC2")),
        (4, {"memory_mib": 512}, Jobs(vcpus=0.25, memory_mib=2048)),
    ],
    ids=["long", "much memory", "a guess", "EC2", "no smaller one"],
)
def test_what_has_the_stacks_size(items: int, given: dict[str, Any], jobs: Jobs) -> None:
    """As Read Plan has it."""
    made = estimate([ShardSize(items, 0)], items, jobs, PACE, planned=True, **given)
    assert made.course.each == jobs


def test_a_plan_job_is_billed_by_the_stacks_size() -> None:
    """Where a job plans what a small one works."""
    jobs = Jobs(public_ip=False)
    planned, by_a_job = (
        estimate([ShardSize(4, 0)], 4, jobs, PACE, planned=planned, memory_mib=512) for planned in (True, False)
    )
    plan = by_a_job.dollars["compute"] - planned.dollars["compute"]
    assert plan == pytest.approx(60 / 3600 * (0.04048 + 2 * 0.004445))
