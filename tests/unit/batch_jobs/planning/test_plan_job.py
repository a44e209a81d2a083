"""The plan job: what becomes an item, and that the first plan wins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_jobs.stop import Stop
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    DamagedFileError,
    MillraceError,
    RunIdentityError,
    StoppedError,
)
from millrace.layout import S3Uri
from millrace.records.plan import Plan, Shard
from tests.in_memory_s3 import InMemoryS3Client, error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

ODD_KEYS = [
    "in/a b",
    "in/a+b",
    "in/a#b",
    "in/a%20b",
    "in/a//b",
    "in/../b",
    "in/..",
    "in/a\nb\r\n",
    "in/\u00e9",
    "in/e\u0301",
    "in/=1+1",
    "in/\u2028\x85\x00",
    "in//",
    "in/" + "\u65e5" * 338,
]


def shard_files(run: RunInMemory, plan: Plan) -> list[Shard]:
    """The shards as the children read them."""
    shards = []
    for index in range(plan.shards):
        uri = run.folder.shard_items(index, plan.digest)
        body = run.client.bodies(RESULT)[uri.key]
        shards.append(Shard.from_lines(index, body.split(b"\n")[:-1], str(uri)))
    return shards


def test_every_object_becomes_an_item_in_one_shard() -> None:
    """Odd keys, empty objects and keys that end in a slash are items; the plan's figures are those of its shards."""
    run = RunInMemory(dict.fromkeys(ODD_KEYS, b"text") | {"in/empty": b""}, {"shard": {"max_items": 4}})
    run.client.store(SOURCE, "in", b"not below the folder")
    run.client.store(SOURCE, "in2/x", b"not below the folder")

    plan = run.plan()
    shards = shard_files(run, plan)

    planned = [item.key for shard in shards for item in shard.items]
    assert sorted(planned) == sorted([*ODD_KEYS, "in/empty"])
    assert [len(shard.items) for shard in shards] == [4, 4, 4, 3]
    assert (plan.shards, plan.items, plan.total_bytes) == (4, 15, 56)
    assert Plan.from_json(run.file("plan.json") or b"", "plan") == plan


def test_folder_markers_are_no_items() -> None:
    """A key that ends in a slash and has no bytes is a folder to the console; one with bytes is an object."""
    run = RunInMemory({"in/": b"", "in/a/": b"", "in/b/": b"text", "in/c": b"text"})
    plan = run.plan()

    assert [item.key for shard in shard_files(run, plan) for item in shard.items] == ["in/b/", "in/c"]
    assert plan.skipped == {"folder_markers": 2, "not_included": 0, "excluded": 0}


def test_patterns_look_at_the_relative_key() -> None:
    """Include and exclude are globs over the key below the source; case counts, and `*` matches slashes."""
    objects = dict.fromkeys(["in/a.txt", "in/b/c.txt", "in/in/d.txt", "in/e.TXT", "in/f.csv", "in/b/draft.txt"], b"x")
    run = RunInMemory(objects, {"include": ["*.txt", "f.*"], "exclude": ["in/*", "*draft*"]})
    plan = run.plan()

    planned = [item.key for shard in shard_files(run, plan) for item in shard.items]
    assert planned == ["in/a.txt", "in/b/c.txt", "in/f.csv"]
    assert plan.skipped == {"folder_markers": 0, "not_included": 1, "excluded": 2}


def test_named_keys_are_looked_up_one_by_one() -> None:
    """Only they are items, in a listing's order, whatever is in their keys; the source is not listed."""
    odd = [key.removeprefix("in/") for key in ODD_KEYS]
    objects = dict.fromkeys(ODD_KEYS, b"text") | {f"in/{number}": b"x" for number in range(50)}
    run = RunInMemory(objects, {"keys": odd})
    plan = run.plan()

    planned = [item for shard in shard_files(run, plan) for item in shard.items]
    assert [item.key for item in planned] == sorted(ODD_KEYS)
    stored = run.client.stored(SOURCE, "in/a b")
    assert stored is not None
    assert {(item.size, item.etag) for item in planned} == {(4, stored.etag)}
    assert run.client.requests["list_objects_v2"] == len(odd)


def test_a_named_key_that_is_gone_is_a_row() -> None:
    """NOT_FOUND, also where a longer key begins so; what came back after the plan is SOURCE_CHANGED, never read."""
    run = RunInMemory({"in/a.csv.bak": b"x", "in/b": b"x"}, {"keys": ["a.csv", "b", "back"]})
    assert run.plan().items == 3
    run.client.store(SOURCE, "in/back", b"text")
    rows = {outcome.key: outcome.error_code for outcome in run.migrate().outcomes}
    assert rows == {"in/a.csv": "NOT_FOUND", "in/b": None, "in/back": "SOURCE_CHANGED"}


def test_a_workload_that_cannot_run_here_ends_the_plan_job() -> None:
    """A missing class, a missing program and a bad option are found before the source is listed."""
    for request in (
        {"workload": "no_such_module:Mine"},
        {"workload": "command", "options": {"command": ["no-such-program", "{input}"]}},
        {"workload": "command", "options": {"command": ["true", "{inptu}"]}},
    ):
        run = RunInMemory({"in/a": b""}, request, load=load_workload)
        with pytest.raises(MillraceError) as caught:
            run.plan()
        assert caught.value.exit_code == 2
        assert not run.client.requests["list_objects_v2"]
        assert run.file("plan.json") is None


def test_an_empty_source_is_a_plan_of_nothing() -> None:
    """No object, no shard, no error."""
    plan = RunInMemory().plan()

    assert (plan.shards, plan.items, plan.total_bytes) == (0, 0, 0)


@pytest.mark.parametrize("buckets", [(SOURCE,), (RESULT,)])
def test_a_missing_bucket_is_named(buckets: tuple[str, ...]) -> None:
    """A bucket that is not there is the user's mistake: exit 2, and the message names it."""
    run = RunInMemory(client=InMemoryS3Client(*buckets))
    missing = ({SOURCE, RESULT} - set(buckets)).pop()
    with pytest.raises(BucketNotFoundError, match=f"s3://{missing}/") as raised:
        run.plan()

    assert raised.value.exit_code == 2


def test_a_source_that_may_not_be_listed() -> None:
    """A denied listing is the user's mistake: exit 2."""
    run = RunInMemory()
    run.client.denied.add((SOURCE, ""))
    with pytest.raises(AccessDeniedError, match="list s3://source/in/") as raised:
        run.plan()

    assert raised.value.exit_code == 2


def test_a_repeated_plan_job_keeps_the_plan() -> None:
    """A retry or a redrive finds the plan, lists nothing, and changes nothing, whatever the source has become."""
    run = RunInMemory({"in/a": b"1"})
    first = run.plan()
    run.client.store(SOURCE, "in/b", b"2")
    files = run.run_files()
    run.client.requests.clear()

    assert run.plan() == first
    assert run.run_files() == files
    assert run.client.requests == {"get_object": 1}


def test_the_first_of_two_plan_jobs_wins() -> None:
    """Two live copies list different objects: the later one keeps the plan and the shard files of the first."""
    run = RunInMemory({"in/a": b"1", "in/b": b"2"}, {"shard": {"max_items": 1}})
    winners: list[Plan] = []

    def other_copy(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith("/plan.json"):
            run.client.before = lambda *_call: None
            run.client.store(SOURCE, "in/0", b"before all others")
            winners.append(run.plan())

    run.client.before = other_copy
    kept = run.plan()

    assert [kept] == winners
    assert [item.key for shard in shard_files(run, kept) for item in shard.items] == ["in/0", "in/a", "in/b"]
    assert Plan.from_json(run.file("plan.json") or b"", "plan") == kept


def test_a_plan_whose_answer_was_lost_is_the_plan() -> None:
    """The write took effect, the answer did not come: the retry meets its own file and keeps it."""
    run = RunInMemory({"in/a": b"1"})
    lost = [ConnectionResetError("reset")]

    def lose(_verb: str, _bucket: str, key: str, _answer: object) -> None:
        if key.endswith("/plan.json") and lost:
            raise lost.pop()

    run.client.after = lose
    assert run.plan().items == 1
    assert not lost


def test_a_crashed_plan_leaves_no_plan() -> None:
    """plan.json comes last: a job that dies over its shard files leaves nothing that a child could read."""
    run = RunInMemory({"in/a": b"1", "in/b": b"2"}, {"shard": {"max_items": 1}})

    def die(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and key.endswith("00001.jsonl"):
            raise error("AccessDenied", 403)

    run.client.before = die
    with pytest.raises(AccessDeniedError):
        run.plan()
    assert run.file("plan.json") is None

    run.client.before = lambda *_call: None
    assert run.plan().items == 2


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("options.top was 100, is 5", {"options": {"top": 5}}),
        ("include was [], is ['*.txt']", {"include": ["*.txt"]}),
        ("source was 's3://source/in/', is 's3://source/in2/'", {"source": "s3://source/in2/"}),
    ],
)
def test_another_plan_in_the_folder_is_refused_by_name(field: str, changed: dict[str, object]) -> None:
    """A run that continues with something else than what was planned is told what differs."""
    run = RunInMemory({"in/a": b"1"})
    run.plan()
    run.request = changed
    with pytest.raises(RunIdentityError) as raised:
        run.plan()

    assert field in str(raised.value)


def test_another_workload_is_refused() -> None:
    """A run does not continue with a plan of another workload."""
    run = RunInMemory({"in/a": b"1"})
    run.plan()
    stored = json.loads(run.file("plan.json") or b"")
    run.client.store(RESULT, run.folder.plan.key, json.dumps({**stored, "workload": "other"}).encode())
    with pytest.raises(RunIdentityError, match="workload was 'other', is 'word-count'"):
        run.plan()


def test_another_code_version_is_refused() -> None:
    """A run continues with the version that planned it: plan, migrate and merge say so."""
    run = RunInMemory({"in/a": b"1"})
    run.plan()

    with pytest.raises(RunIdentityError, match=r"code version was '.+', is '9\.9\+jobs.*Millrace's version changed"):
        run.plan(code_version="9.9")
    with pytest.raises(RunIdentityError, match=r"this is 9\.9"):
        run.migrate(code_version="9.9")


def test_a_file_that_is_no_plan_is_refused() -> None:
    """A plan.json of something else is named, not written over."""
    run = RunInMemory()
    run.client.store(RESULT, run.folder.plan.key, b"{}")
    with pytest.raises(DamagedFileError, match=r"plan\.json"):
        run.plan()


def test_a_plan_stops_when_told() -> None:
    """SIGTERM ends the listing; nothing was planned."""
    run = RunInMemory({"in/a": b"1"})
    stop = Stop()
    stop.request("SIGTERM")
    with pytest.raises(StoppedError, match="SIGTERM"):
        run.plan(stop=stop)

    assert run.file("plan.json") is None


def test_the_digest_covers_what_is_computed() -> None:
    """The same objects and options have the same digest; another object, option or version has another."""
    digests = [
        RunInMemory({"in/a": b"1"}).plan().digest,
        RunInMemory({"in/a": b"1"}).plan().digest,
        RunInMemory({"in/a": b"2"}).plan().digest,
        RunInMemory({"in/a": b"1"}, {"options": {"top": 5}}).plan().digest,
        RunInMemory({"in/a": b"1"}).plan(code_version="2").digest,
    ]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_shard_files_lie_where_the_plan_says() -> None:
    """The folder of the shard files carries the plan's digest."""
    run = RunInMemory({"in/a": b"1"})
    plan = run.plan()

    expected = f"out/_millrace/run/plan/{plan.digest.removeprefix('sha256:')[:16]}/00000.jsonl"
    assert run.folder.shard_items(0, plan.digest) == S3Uri(RESULT, expected)
    assert expected in run.client.bodies(RESULT)


def test_a_child_reads_no_more_of_a_larger_plan() -> None:
    """A hundred times as many shards: a child still reads plan.json and the items of its own shard, as many bytes."""

    def read(shards: int) -> tuple[int, int]:
        run = RunInMemory({f"in/{number:06}": b"x" for number in range(4 * shards)}, {"shard": {"max_items": 4}})
        assert run.plan().shards == shards
        sizes: list[int] = []

        def note(verb: str, bucket: str, _key: str, answer: dict[str, Any]) -> None:
            if verb == "get_object" and bucket == RESULT:
                sizes.append(answer["ContentLength"])

        run.client.after = note
        before = run.client.requests.total()
        run.migrate(shards // 2)
        return sum(sizes), run.client.requests.total() - before

    (bytes_small, requests_small), (bytes_large, requests_large) = read(10), read(1000)
    assert requests_large == requests_small
    assert bytes_large - bytes_small <= 10  # the digits of plan.json's counts
