"""A run that reuses an earlier one: what it works, what it takes over, and that its result is a full run's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import MirrorLimitError, NothingToReuseError, StoppedError
from millrace.layout import RunFolder, S3Uri
from millrace.planning import small_source
from millrace.records.files import listed_shards
from millrace.reuse.kept_outputs import ListedKeys
from millrace.s3.verbs import ListedObject
from millrace.workload import Item, Outputs
from tests.requester_pays_s3 import RequesterPaysClient
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes, SizesPartial

SMALL = {"shard": {"max_items": 3}}


def run_of(client: Any = None, name: str = "base", **request: Any) -> RunInMemory:
    """A run in shards of three items, on the S3 of an earlier one if that is given, and a day later."""
    given: dict[str, Any] = {"folder": RunFolder.of(S3Uri(RESULT, "out/"), name), "request": {**SMALL, **request}}
    if client is None:
        return RunInMemory(**given)
    before = sum(key.endswith("/plan.json") for key in client.bodies(RESULT, "out/"))
    return RunInMemory(**given, client=client, ticks=before * 86_400)


def store(run: RunInMemory, **objects: str) -> None:
    """Put objects into the source, named by one letter each."""
    for key, text in objects.items():
        run.client.store(SOURCE, f"in/{key}", text.encode())


def work(run: RunInMemory) -> list[int]:
    """Plan, work what has no commit, merge; returns the shards that were worked."""
    made = run.plan()
    there = set(listed_shards(run.folder.commit, range(made.shards), run.job().s3))
    left = [index for index in range(made.shards) if index not in there]
    for index in left:
        run.migrate(index)
    run.merge()
    return left


def rows(run: RunInMemory) -> set[tuple[str, ...]]:
    """The rows of report.csv, but for where they were worked."""
    found = csv.DictReader(io.StringIO((run.file("report.csv") or b"").decode()))
    return {tuple(value for name, value in row.items() if name not in {"Shard", "ReusedFrom"}) for row in found}


def worked_keys(run: RunInMemory) -> list[str]:
    """The items that the run worked itself."""
    found = csv.DictReader(io.StringIO((run.file("report.csv") or b"").decode()))
    return [row["Key"] for row in found if not row["ReusedFrom"]]


def test_who_pays_is_no_part_of_what_is_reused() -> None:
    """It changes no byte of a result: the bucket has requesters pay by now, and nothing is worked again."""
    client = RequesterPaysClient(RESULT, requester_pays=SOURCE)
    client.requester_pays = "no bucket"
    base = run_of(client)
    store(base, a="1", b="22", c="333", d="4444")
    assert work(base) == [0, 1]
    client.requester_pays = SOURCE
    run = run_of(client, "next", reuse="latest", requester_pays=True)
    assert work(run) == []
    assert run.result()["reuse"]["kept"] == 4


def same_as_full(run: RunInMemory, name: str = "full") -> bool:
    """Whether the run's result is that of a full run over the same source."""
    full = run_of(run.client, name)
    full.load = run.load
    work(full)
    mine, theirs = run.result(), full.result()
    same = [mine[part] == theirs[part] for part in ("status", "failures", "result")]
    counts = [{**result["counts"], "shards": 0} for result in (mine, theirs)]
    return (
        all(same)
        and counts[0] == counts[1]
        and run.file("sizes.json") == full.file("sizes.json")
        and (rows(run) == rows(full))
    )


@pytest.fixture
def base() -> RunInMemory:
    """A run over nine items in three shards, a to i."""
    run = run_of()
    store(run, **{key: key * 3 for key in "abcdefghi"})
    work(run)
    return run


def test_nothing_changed(base: RunInMemory) -> None:
    """No item is worked, no object of the source is read, and the result has the same bytes."""
    run = run_of(base.client, "next", reuse="latest")
    read: list[str] = []
    base.client.before = lambda verb, bucket, key: (
        read.append(key) if verb == "get_object" and bucket == SOURCE else None
    )
    assert work(run) == []
    assert read == []
    assert run.result()["reuse"] == {
        "base": "base",
        "base_retry": 0,
        "kept": 9,
        "changed": 0,
        "new": 0,
        "removed": 0,
        "kept_shards": 3,
        "kept_bytes": 27,
        "why_not": "",
    }
    assert run.result()["worked_by"] == {}
    base.client.before = lambda *_call: None
    assert same_as_full(run)


def test_new_items_anywhere_cost_only_themselves(base: RunInMemory) -> None:
    """Between kept items, in front of them and behind: only the new ones are worked, in shards of their own."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, A="1", bb="22", ee="333", z="4444")
    assert work(run) == [3, 4]
    assert worked_keys(run) == ["in/A", "in/bb", "in/ee", "in/z"]
    assert {name: run.result()["reuse"][name] for name in ("kept", "new", "changed", "removed")} == {
        "kept": 9,
        "new": 4,
        "changed": 0,
        "removed": 0,
    }
    assert same_as_full(run)


def test_a_changed_item_breaks_its_shard_alone(base: RunInMemory) -> None:
    """The other items of its shard are worked again, those of other shards are not."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, e="EEE")  # of the same size
    assert work(run) == [2]
    assert worked_keys(run) == ["in/d", "in/e", "in/f"]
    assert (run.result()["reuse"]["changed"], run.result()["reuse"]["kept"]) == (3, 6)
    assert same_as_full(run)


def test_what_is_gone_is_named(base: RunInMemory) -> None:
    """It is in no result any more, and removed.jsonl names it with the shard that had it."""
    run = run_of(base.client, "next", reuse="latest")
    base.client.remove(SOURCE, "in/e")
    assert work(run) == [2]
    assert worked_keys(run) == ["in/d", "in/f"]
    assert run.result()["reuse"]["removed"] == 1
    gone = [json.loads(line) for line in (run.file("removed.jsonl") or b"").splitlines()]
    assert [(row["key"], row["retry"], row["shard"]) for row in gone] == [("in/e", 0, 1)]
    assert same_as_full(run)


def test_a_failed_item_does_not_break_its_shard() -> None:
    """It put nothing into the partial: it alone is worked again, and the others are kept."""
    base = run_of(tolerated_failure_count=9)
    store(base, **{key: key * 3 for key in "abcdefghi"} | {"e": "bad"})
    work(base)
    store(base, e="good")
    run = run_of(base.client, "next", reuse="latest")
    assert work(run) == [3]
    assert worked_keys(run) == ["in/e"]
    assert same_as_full(run)


def test_a_base_with_a_rerun() -> None:
    """What a rerun put right is taken over from there."""
    base = run_of(tolerated_failure_count=9)
    store(base, **{key: key * 3 for key in "abcdefghi"} | {"e": "bad", "h": "bad"})
    work(base)
    store(base, e="good", h="good")
    work(base.retry())
    run = run_of(base.client, "next", reuse="latest")
    assert work(run) == []
    assert (run.result()["reuse"]["base_retry"], run.result()["reuse"]["kept_shards"]) == (1, 4)
    assert same_as_full(run)


def test_a_run_reuses_a_run_that_reused(base: RunInMemory) -> None:
    """Day by day; each row says which run worked it."""
    second = run_of(base.client, "second", reuse="latest")
    store(second, bb="22")
    work(second)
    third = run_of(base.client, "third", reuse="latest")
    store(third, ee="55", a="AAA")
    assert work(third) == [3, 4]
    found = csv.DictReader(io.StringIO((third.file("report.csv") or b"").decode()))
    origins = {row["Key"][3:]: row["ReusedFrom"] for row in found}
    assert origins == {**dict.fromkeys("defghi", "base"), "bb": "second", **dict.fromkeys(("a", "b", "c", "ee"), "")}
    assert same_as_full(third)


def test_a_lost_partial_is_worked(base: RunInMemory) -> None:
    """A lifecycle rule may delete it between two requests: the shard has no commit then."""
    lost = next(key for key in base.client.bodies(RESULT, "out/_millrace/base/partials/00001"))
    base.client.remove(RESULT, lost)
    run = run_of(base.client, "next", reuse="latest")
    assert work(run) == [1]
    assert (run.result()["reuse"]["kept"], run.result()["reuse"]["changed"]) == (6, 3)
    assert same_as_full(run)


def test_a_partial_of_another_size_is_not_taken_over(base: RunInMemory) -> None:
    """The merge would refuse it, today and on each day to come."""
    found = next(key for key in base.client.bodies(RESULT, "out/_millrace/base/partials/00001"))
    base.client.store(RESULT, found, b"{}")
    run = run_of(base.client, "next", reuse="latest")
    assert work(run) == [1]
    assert same_as_full(run)


def test_a_crash_in_the_middle_changes_nothing(base: RunInMemory) -> None:
    """The next plan job keeps the plan and takes over what is left, however the source has changed meanwhile."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, bb="22")
    copies: list[str] = []

    def crash(verb: str, _bucket: str, key: str) -> None:
        if verb == "copy_object":
            copies.append(key)
            if len(copies) == 2:
                raise KeyboardInterrupt

    base.client.before = crash
    with pytest.raises(KeyboardInterrupt):
        run.plan()
    base.client.before = lambda *_call: None
    assert run.file("shards/00000.json") is not None
    assert run.file("shards/00001.json") is None
    store(run, cc="333")
    assert work(run) == [3]
    assert worked_keys(run) == ["in/bb"]


def test_nothing_is_taken_over_before_the_plan_is_there(base: RunInMemory) -> None:
    """Another plan job's plan may be the one that counts."""
    run = run_of(base.client, "next", reuse="latest")
    written: list[str] = []
    base.client.before = lambda verb, _bucket, key: (
        written.append(key.rpartition("next/")[2]) if verb in {"put_object", "copy_object"} else None
    )
    run.plan()
    first_shard = min(written.index(name) for name in written if name.startswith(("shards/", "partials/")))
    assert written.index("plan.json") < first_shard


def test_the_storage_class_may_change(base: RunInMemory) -> None:
    """A lifecycle rule moves objects: their bytes stay."""
    base.client.store(SOURCE, "in/b", b"bbb", storage_class="STANDARD_IA")
    run = run_of(base.client, "next", reuse="latest")
    assert work(run) == []
    assert same_as_full(run)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_verified_outputs_are_made_again_where_one_is_gone(base: RunInMemory, concurrency: int) -> None:
    """The shard of the item whose output is gone is worked; without `verify_outputs` nobody looks."""
    base.client.remove(RESULT, "out/e.size")
    blind = run_of(base.client, "blind", reuse="latest")
    assert work(blind) == []
    run = replace(run_of(base.client, "next", reuse="latest", verify_outputs=True), concurrency=concurrency)
    before = base.client.requests["list_objects_v2"]
    assert work(run) == [2]
    assert worked_keys(run) == ["in/d", "in/e", "in/f"]
    assert base.client.bodies(RESULT)["out/e.size"] == b"3"
    assert base.client.requests["list_objects_v2"] - before < 8  # not one for each item
    assert same_as_full(run)


def test_verified_outputs_that_are_all_there_are_kept(base: RunInMemory) -> None:
    """Whatever lies between them in the destination: other runs' outputs and run folders."""
    for key in ("out/", "out/_", "out/a", "out/a.size2", "out/zz", "elsewhere/a.size"):
        base.client.store(RESULT, key, b"other")
    run = run_of(base.client, "next", reuse="latest", verify_outputs=True)
    assert work(run) == []


@given(
    keys=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=60),
    others=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=20),
    size=st.integers(1, 7),
    chance=st.randoms(use_true_random=False),
)
def test_listed_keys_are_found_and_no_others(keys: set[str], others: set[str], size: int, chance: Random) -> None:
    """Any keys, in pages of any size that come in any order."""
    ordered = sorted(keys, key=str.encode)
    pages = [
        [ListedObject(key, 1, "", "") for key in ordered[start : start + size]]
        for start in range(0, len(ordered), size)
    ]
    chance.shuffle(pages)
    listed = ListedKeys(pages, "_millrace/")
    for key in keys | others:
        assert (key in listed) == (key in keys and not key.startswith("_millrace/"))


@pytest.mark.parametrize("asked", ["latest", "base"])
def test_no_base(asked: str) -> None:
    """The run works everything, and says why; unless it requires a base: then it ends before any work."""
    run = run_of(None, "next", reuse=asked)
    store(run, a="1")
    work(run)
    reuse = run.result()["reuse"]
    assert (reuse["base"], reuse["new"]) == ("", 1)
    assert "no run" in reuse["why_not"]
    again = replace(run, objects={}, folder=RunFolder.of(S3Uri(RESULT, "elsewhere/"), "other"))
    again.request = {**run.request, "destination": f"s3://{RESULT}/elsewhere/", "reuse_required": True}
    with pytest.raises(
        NothingToReuseError, match=r"no run .*elsewhere.* Start the run without reuse_required"
    ) as raised:
        again.plan()
    assert raised.value.exit_code == 2
    assert again.file("plan.json") is None


class ListSizes(Sizes):
    """Sizes whose contributions are plain JSON, and so are kept."""

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Any:
        """Measure an item."""
        return list(super().migrate(item, body, outputs))


@pytest.fixture
def listed() -> RunInMemory:
    """As `base`, with contributions kept; an item of each shard but the last has changed or is gone since."""
    run = run_of()
    run.load = lambda _name, options: ListSizes(options)
    store(run, **{key: key * 3 for key in "abcdefghi"})
    work(run)
    store(run, b="BBBB")
    run.client.remove(SOURCE, "in/d")
    return run


def next_of(run: RunInMemory, name: str = "next") -> RunInMemory:
    """The run of the next day."""
    following = run_of(run.client, name, reuse="latest")
    following.load = run.load
    return following


def test_with_contributions_only_what_changed_is_worked(listed: RunInMemory) -> None:
    """The shards of what changed, and of what is gone, are rebuilt from what their other items gave."""
    run = next_of(listed)
    assert work(run) == [3]
    assert worked_keys(run) == ["in/b"]
    counts = {name: run.result()["reuse"][name] for name in ("kept", "changed", "new", "removed", "kept_shards")}
    assert counts == {"kept": 7, "changed": 1, "new": 0, "removed": 1, "kept_shards": 3}
    assert same_as_full(run)


def test_a_rebuilt_shard_can_be_rebuilt_again(listed: RunInMemory) -> None:
    """Contributions are taken over with their shards, whole ones and rebuilt ones."""
    work(next_of(listed))
    store(listed, a="AAAA", h="HHHH")
    third = next_of(listed, "third")
    work(third)
    assert worked_keys(third) == ["in/a", "in/h"]
    assert same_as_full(third)


@pytest.mark.parametrize("how", ["gone", "damaged", "gone while it is taken over"])
def test_lost_contributions_cost_work(listed: RunInMemory, how: str) -> None:
    """The other items of the shard are worked again, and the result is right."""
    (lost,) = listed.client.bodies(RESULT, "out/_millrace/base/contributions/00000")
    run = next_of(listed)
    if how == "damaged":
        listed.client.store(RESULT, lost, b'0 ["in/a",999]\n')
    elif how == "gone":
        listed.client.remove(RESULT, lost)
    else:
        listed.client.before = lambda _verb, _bucket, key: (
            listed.client.remove(RESULT, lost) if key.endswith("next/plan.json") else None
        )
    work(run)
    assert sorted(worked_keys(run)) == ["in/a", "in/b", "in/c"]
    assert same_as_full(run)


def test_a_contribution_that_cannot_be_added_costs_work(listed: RunInMemory) -> None:
    """A user's own workload may raise anything: the shard is worked, in the job that can say what is wrong."""
    run = next_of(listed)

    class BrokenPartial(SizesPartial):
        def add(self, contribution: Any) -> None:
            raise ZeroDivisionError(contribution)

    class Broken(ListSizes):
        def partial(self) -> SizesPartial:
            return BrokenPartial()

    run.load = lambda _name, options: Broken(options)
    made = run.plan()
    run.load = listed.load
    assert made.reuse is not None
    assert made.reuse.kept_shards == 3
    assert run.file("shards/00000.json") is None
    work(run)
    assert same_as_full(run)


def test_what_is_no_plain_json_is_not_kept(base: RunInMemory) -> None:
    """A tuple would come back as a list."""
    assert base.client.bodies(RESULT, "out/_millrace/base/contributions/") == {}


@pytest.mark.parametrize(("workload", "shards"), [("word-count", 15), ("command", 4)])
def test_shards_are_smaller_where_a_change_costs_all_of_one(workload: str, shards: int) -> None:
    """Where contributions are kept, it does not; and a run without reuse is cut as ever."""
    options = {"command": ["true"]} if workload == "command" else {}
    given: dict[str, Any] = {"workload": workload, "options": options, "pace": {"seconds_per_item": 1}, "shard": {}}
    run = run_of(**given)
    store(run, **{f"k{number:03}": "x" for number in range(180)})
    assert run.plan().shards == 4
    assert run_of(run.client, "next", **given, reuse="latest").plan().shards == shards


def test_a_child_reads_no_commit_of_a_kept_shard(base: RunInMemory) -> None:
    """There may be ten thousand of them: it lists them, and goes to what is left."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, bb="22")
    run.plan()
    read: list[str] = []
    base.client.before = lambda verb, _bucket, key: (
        read.append(key.rpartition("/shards/")[2]) if verb == "get_object" and "/shards/" in key else None
    )
    run.child()
    assert set(read) == {"00003.json"}


def test_many_shards_are_taken_over_at_once(base: RunInMemory) -> None:
    """In several threads, to the same end."""
    run = run_of(base.client, "next", reuse="latest")
    run.concurrency = 4
    store(run, bb="22")
    assert work(run) == [3]
    assert worked_keys(run) == ["in/bb"]
    assert same_as_full(run)


@pytest.mark.parametrize("children", [1, 2, 5])
def test_children_take_over_what_prepare_run_has_planned(base: RunInMemory, children: int) -> None:
    """Each its own first; no item is read but the new ones and those of a shard that has lost its partial meanwhile."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, ee="55", z="66")
    base.client.remove(SOURCE, "in/a")
    made = run.plan_in_function()
    assert made is not None
    assert made.reuse is not None
    assert (made.reuse.kept_shards, made.reuse.removed) == (2, 1)
    assert b'"in/a"' in (run.file("removed.jsonl") or b"")
    assert list(listed_shards(run.folder.commit, range(made.shards), run.job().s3)) == []
    for lost in base.client.bodies(RESULT, "out/_millrace/base/partials/00002"):
        base.client.remove(RESULT, lost)
    read: list[str] = []
    base.client.before = lambda verb, bucket, key: (
        read.append(key) if verb == "get_object" and bucket == SOURCE else None
    )
    for child in range(children):
        run.child(child, of=children if children > 1 else None)
    base.client.before = lambda *_call: None
    run.merge()
    assert sorted(read) == [f"in/{name}" for name in ("b", "c", "ee", "g", "h", "i", "z")]
    assert (run.result()["reuse"]["kept"], run.result()["reuse"]["changed"]) == (3, 5)
    assert same_as_full(run)


def test_a_helper_takes_over_what_another_child_has_not_begun(base: RunInMemory) -> None:
    """It is not worked, and is no reason to ask for more children."""
    run = run_of(base.client, "next", reuse="latest")
    store(run, z="1")
    run.plan_in_function()
    run.child(1, of=2)
    assert len(list(listed_shards(run.folder.commit, range(4), run.job().s3))) == 4
    run.merge()
    assert worked_keys(run) == ["in/z"]


@pytest.mark.parametrize("seconds", range(0, 16, 3))
def test_what_prepare_run_has_no_time_for_is_the_plan_jobs(base: RunInMemory, seconds: int) -> None:
    """It writes no plan.json then, and the plan job makes the plan that it would have made alone."""
    store(base, ee="55")
    left = seconds

    def check() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoppedError("the plan job takes over")

    run, alone = (run_of(base.client, name, reuse="base") for name in ("next", "other"))
    planned = run.plan_in_function(check)
    if planned is None:
        assert run.file("plan.json") is None
    assert run.plan().digest == alone.plan().digest
    assert work(run) == [3]


def test_a_long_base_is_the_plan_jobs(base: RunInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan says how long the listing will be about: it is not even begun. A few more than without reuse are not."""
    monkeypatch.setattr(small_source, "MOST_OBJECTS", 5)
    monkeypatch.setattr(small_source, "MOST_REUSED", 9)
    run = run_of(base.client, "next", reuse="latest")
    assert run.plan_in_function() is not None
    monkeypatch.setattr(small_source, "MOST_REUSED", 8)
    longer = run_of(base.client, "longer", reuse="latest")
    listed: list[str] = []
    base.client.before = lambda verb, bucket, key: (
        listed.append(key) if (verb[:4], bucket) == ("list", SOURCE) else None
    )
    assert longer.plan_in_function() is None
    assert listed == []


def test_prepare_run_leaves_a_refusal_to_the_plan_job(base: RunInMemory) -> None:
    """It ends the run with its own error and exit code; nothing is planned."""
    base.client.remove(SOURCE, "in/a")
    mirrored = run_of(base.client, "mirrored", reuse="latest", mirror=True)
    required = run_of(base.client, "required", reuse="none", reuse_required=True)
    for run, error in ((mirrored, MirrorLimitError), (required, NothingToReuseError)):
        assert run.plan_in_function() is None
        assert run.file("plan.json") is None
        with pytest.raises(error):
            run.plan()


@pytest.fixture
def slivers(base: RunInMemory) -> RunInMemory:
    """The second day after a base of shards of ten: two days' new items lie in a shard of three each."""
    for day, names in enumerate(("ABC", "DEF")):
        store(base, **dict.fromkeys(names, "12"))
        run = run_of(base.client, f"day {day}", reuse="latest", shard={"max_items": 10})
        run.load = base.load
        work(run)
    return base


def test_small_kept_shards_are_put_together(slivers: RunInMemory) -> None:
    """From their partials and rows: nothing is read again, each row names the run that worked it."""
    read: list[str] = []
    run = run_of(slivers.client, "next", reuse="latest", shard={"max_items": 10})
    slivers.client.before = lambda verb, bucket, key: read.append(key) if bucket == SOURCE and "get" in verb else None
    assert work(run) == []
    assert read == []
    slivers.client.before = lambda *_call: None
    # Shards of three: of nine items of the base, and of the two days; at most three of them make one of ten.
    assert run.result()["counts"]["shards"] == 2
    found = csv.DictReader(io.StringIO((run.file("report.csv") or b"").decode()))
    origins = {row["Key"].removeprefix("in/"): row["ReusedFrom"] for row in found}
    assert origins == {
        **dict.fromkeys("abcdefghi", "base"),
        **dict.fromkeys("ABC", "day 0"),
        **dict.fromkeys("DEF", "day 1"),
    }
    assert same_as_full(run)


@pytest.mark.parametrize("place", ["shards/00000", "partials/00001"])
def test_what_is_put_together_is_worked_if_a_part_of_it_is_lost(base: RunInMemory, place: str) -> None:
    """A commit or a partial that vanishes after the comparison: all of it is worked, and the result is right."""
    run = run_of(base.client, "next", reuse="latest", shard={"max_items": 10})

    def lose(_verb: str, _bucket: str, key: str, _answer: Any) -> None:
        if key == run.folder.plan.key and run.file("plan.json"):
            for each in base.client.bodies(RESULT, f"{base.folder.root.key}{place}"):
                base.client.remove(RESULT, each)

    base.client.after = lose
    assert run.plan().shards == 1
    base.client.after = lambda *_call: None
    assert work(run) == [0]
    assert worked_keys(run) == [f"in/{key}" for key in "abcdefghi"]
    assert same_as_full(run)


def test_what_was_put_together_is_rebuilt_and_put_together_again(listed: RunInMemory) -> None:
    """Contributions go along: on each of the next days the changed item alone is worked."""
    for day, key in enumerate("eaBi"):
        store(listed, **{key: f"{day}" * (day + 5)})
        run = next_of(listed, f"day {day}")
        run.request["shard"] = {"max_items": 100}
        work(run)
        assert worked_keys(run) == ([f"in/{key}"] if day else ["in/b", "in/e"])
        assert run.result()["counts"]["shards"] <= 2
        assert same_as_full(run, f"full {day}")


def test_with_contributions_an_output_that_is_gone_costs_its_item(listed: RunInMemory) -> None:
    """Not its shard: the others are rebuilt."""
    store(listed, b="bbb")
    work(next_of(listed, "healed"))
    listed.client.remove(RESULT, "out/h.size")
    run = next_of(listed)
    run.request["verify_outputs"] = True
    work(run)
    assert worked_keys(run) == ["in/h"]
    assert listed.client.bodies(RESULT)["out/h.size"] == b"3"
    assert same_as_full(run)


@pytest.mark.parametrize("lost", [False, True])
def test_a_part_of_the_merge_is_taken_over_with_its_shards(lost: bool) -> None:  # noqa: FBT001 - a case
    """S3 copies it where its shards are the same; one that is lost, or has another shard, is merged anew."""

    def merged(run: RunInMemory) -> list[str]:
        """Work and merge; the shards whose partials were read in doing so."""
        made = run.plan()
        there = set(listed_shards(run.folder.commit, range(made.shards), run.job().s3))
        for index in set(range(made.shards)) - there:
            run.migrate(index)
        read: list[str] = []
        run.client.before = lambda verb, _bucket, key: (
            read.append(key.rpartition("/partials/")[2][:5]) if verb == "get_object" and "/partials/" in key else None
        )
        assert made.merge_parts == 3
        for part in range(3):
            run.merge_part(part)
        run.client.before = lambda *_call: None
        run.merge()
        return read

    first = run_of(merge_limit_seconds=0)
    store(first, **dict.fromkeys("abcdefghijklmnopqr", "text"))
    assert merged(first) == [f"{index:05}" for index in range(6)]
    store(first, r="other")
    if lost:
        for key in first.client.bodies(RESULT, f"{first.folder.root.key}parts/00001."):
            first.client.remove(RESULT, key)
    run = run_of(first.client, "next", reuse="latest", merge_limit_seconds=0)
    assert merged(run) == [f"{index:05}" for index in ([2, 3, 4, 5] if lost else [4, 5])]
    assert same_as_full(run)


@pytest.mark.long
def test_ten_thousand_shards_are_taken_over() -> None:
    """Many in flight; beside the listings it costs eight requests each."""
    run = run_of(shard={"max_items": 1})
    for number in range(10_000):
        run.client.store(SOURCE, f"in/{number:05}", b"x" * (number % 9))
    made = run.plan()
    for index in range(made.shards):
        run.migrate(index)
    run.merge()
    following = run_of(run.client, "next", reuse="latest", shard={"max_items": 1})
    following.concurrency = 8
    before = run.client.requests.copy()
    assert following.plan().reuse.kept_shards == 10_000  # type: ignore[union-attr]
    asked = {verb: count - before[verb] for verb, count in run.client.requests.items()}
    shards = listed_shards(following.folder.commit, range(10_000), run.job().s3)
    assert sum(1 for _ in shards) == 10_000
    assert sum(asked.values()) < 7.1 * 10_000
