"""A child of the migrate job: its own shards, helping, claims, handing back, failures of single shards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batch_jobs.migrating.shard_order import DEAD_SECONDS, LATE_SECONDS, LOOK_SECONDS, MOST_ASKED
from batch_jobs.stop import Stop
from millrace.errors import (
    AccessDeniedError,
    HostFaultError,
    InvalidRunRequest,
    MillraceError,
    NoProgressError,
    StoppedError,
    TryAgainError,
)
from millrace.workload import Item, Outputs
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

SHARDS = 10


def planned(shards: int = SHARDS, items: int = 1, **given: Any) -> RunInMemory:
    """A run of so many shards, so many items each."""
    objects = {f"in/{number:03}": b"x" * number for number in range(shards * items)}
    run = RunInMemory(objects, {"shard": {"max_items": items}}, **given)
    run.plan()
    return run


def committed(run: RunInMemory) -> set[int]:
    """The shards that have their commits."""
    found = run.client.bodies(RESULT, run.folder.file("shards/").key)
    return {int(key[-10:-5]) for key in found}


def claims(run: RunInMemory) -> dict[int, dict[str, Any]]:
    """The claims there are, by shard."""
    found = run.client.bodies(RESULT, run.folder.file("claims/").key)
    return {int(key[-5:]): json.loads(body) for key, body in found.items() if "/arrays/" not in key}


def claimed(run: RunInMemory, shard: int, job: str, age: float = 0.0) -> None:
    """Somebody has claimed a shard, so many seconds ago."""
    at = datetime.fromtimestamp(1_800_000_000 + run.ticks, UTC) - timedelta(seconds=age)
    child = int(job.rpartition(":")[2])
    text = json.dumps({"job": job, "child": child, "attempt": 1, "at": at.isoformat()})
    run.client.store(RESULT, run.folder.claim(shard).key, text.encode())


def on_read(run: RunInMemory, number: int, call: Callable[[], None]) -> None:
    """Call something when the `number`-th item is read."""
    reads = [0]

    def before(verb: str, bucket: str, _key: str) -> None:
        if verb == "get_object" and bucket == SOURCE:
            reads[0] += 1
            if reads[0] == number:
                call()

    run.client.before = before


class Failing(Sizes):
    """Raises what it is told to for some items."""

    errors: dict[str, Exception]

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
        """Measure an item, or raise its error."""
        if item.key in self.errors:
            raise self.errors[item.key]
        return super().migrate(item, body, outputs)


def failing(errors: dict[str, Exception]) -> Callable[[str, Any], Failing]:
    """Makes such a workload."""

    def load(_name: str, options: Any) -> Failing:
        made = Failing(options)
        made.errors = errors
        return made

    return load


def test_one_child_works_every_shard_without_a_claim() -> None:
    """Outside an array there is nobody to tell."""
    run = planned()
    run.child()
    assert committed(run) == set(range(SHARDS))
    assert claims(run) == {}


def test_the_first_child_works_its_own_then_all_others() -> None:
    """Alone in its array, a child works its stride first, and helps with the last shards of the others."""
    run = planned()
    worked: list[int] = []
    run.client.after = lambda verb, _bucket, key, _answer: (
        worked.append(int(key[-10:-5])) if verb == "put_object" and "/shards/" in key else None
    )
    run.child(1, of=4, job_id="a:1")
    assert worked[:3] == [1, 5, 9]
    assert sorted(worked) == list(range(SHARDS))
    assert worked[3] in {8, 6, 7}
    assert {claim["job"] for claim in claims(run).values()} == {"a:1"}


def test_children_one_after_the_other_work_each_shard_once() -> None:
    """Whoever comes late finds the commits and ends."""
    run = planned()
    for child in range(4):
        run.child(child, of=4, job_id=f"a:{child}")
    assert committed(run) == set(range(SHARDS))
    assert run.client.requests["get_object"] - 4 < 200
    jobs = Counter(run.migrate(shard).job["id"] for shard in range(SHARDS))
    assert jobs == {"a:0": SHARDS}


def test_plan_bytes_read_grow_with_the_shards_alone() -> None:
    """A child reads plan.json and the files of the shards that it works, nothing else of the plan."""
    run = planned()
    read: Counter[str] = Counter()
    run.client.before = lambda verb, _bucket, key: (
        read.update([key]) if verb == "get_object" and "/plan" in key else None
    )
    for child in range(5):
        run.child(child, of=5, job_id=f"a:{child}")
    assert read.pop(run.folder.plan.key) == 5
    assert set(read.values()) == {1}
    assert len(read) == SHARDS


def test_a_living_childs_shard_is_left_to_it() -> None:
    """The owner finds a helper at its shard, and a helper finds the owner: neither works it as well."""
    run = planned()
    claimed(run, 0, "a:7")
    claimed(run, 3, "a:3")
    run.child(0, of=4, job_id="a:0")
    assert committed(run) == set(range(SHARDS)) - {0, 3}


@pytest.mark.parametrize(
    ("job", "age", "why"),
    [
        ("a:3", DEAD_SECONDS + 60, "it is old"),
        ("a:0", 0, "it is that of an earlier attempt"),
        ("earlier:3", 0, "its array has ended"),
    ],
)
def test_a_dead_childs_claim_stops_nobody(job: str, age: float, why: str) -> None:
    """The claim is ignored, and written over."""
    run = planned()
    claimed(run, 4, job, age)
    run.child(0, of=4, job_id="a:0")
    assert 4 in committed(run), why
    assert claims(run)[4]["job"] == "a:0"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"job": 1, "child": 0, "at": "now"}', b"\xff", b'{"job": []}'])
def test_what_no_child_wrote_is_no_claim(text: bytes) -> None:
    """A damaged claim stops nobody either."""
    run = planned()
    run.client.store(RESULT, run.folder.claim(4).key, text)
    run.child(0, of=4, job_id="a:0")
    assert committed(run) == set(range(SHARDS))


@pytest.mark.parametrize("verb", ["get_object", "put_object"])
def test_of_two_that_take_over_a_dead_childs_claim_one_works_the_shard(verb: str) -> None:
    """Another child of the array replaces the claim of an earlier array's in between: the shard is left to it."""
    run = planned(2)
    claimed(run, 0, "old:0")
    seen: list[str] = []

    def before(now: str, _bucket: str, key: str) -> None:
        if key != run.folder.claim(0).key:
            return
        seen.append(now)
        # The first write of all is the one that asks for no claim to be there.
        if now == verb and seen.count(verb) == (2 if verb == "put_object" else 1):
            claimed(run, 0, "a:1")

    run.client.before = before
    run.child(0, of=2, job_id="a:0")
    assert committed(run) == {1}
    assert claims(run)[0]["job"] == "a:1"


def test_a_claim_is_kept_while_its_shard_is_worked() -> None:
    """It is written anew every minute, with the progress."""
    time = [0.0]
    run = planned(2, items=4, clock=lambda: time[0])
    written: list[str] = []

    def before(verb: str, bucket: str, key: str) -> None:
        if verb == "get_object" and bucket == SOURCE:
            time[0] += 61
        if verb == "put_object" and ("/claims/00000" in key or "/progress/00000" in key):
            written.append(key.split("/")[3])

    run.client.before = before
    run.child(0, of=2, job_id="a:0")
    assert written == ["claims"] + ["claims", "progress"] * 4


def test_a_child_that_has_to_stop_gives_its_claim_back() -> None:
    """SIGTERM in the middle: the progress is saved, and whoever comes next continues at once."""
    run = planned(2, items=3)
    stop = Stop(wait=lambda _seconds: None)
    on_read(run, 2, lambda: stop.request("SIGTERM"))
    with pytest.raises(StoppedError, match="1 of 3 items are done and saved"):
        run.child(0, of=2, stop=stop, job_id="a:0")
    assert claims(run) == {}
    run.client.requests.clear()
    run.client.before = lambda *_call: None
    run.child(1, of=2, job_id="a:1")
    assert committed(run) == {0, 1}
    assert run.migrate(0).counts.succeeded == 3


def test_sigterm_between_two_shards_ends_the_child() -> None:
    """What is committed stays, and the next attempt continues with the rest."""
    run = planned()
    stop = Stop(wait=lambda _seconds: None)
    run.client.after = lambda verb, _bucket, key, _answer: (
        stop.request("SIGTERM") if verb == "put_object" and key.endswith("shards/00000.json") else None
    )
    with pytest.raises(StoppedError, match="SIGTERM"):
        run.child(0, of=2, stop=stop, job_id="a:0")
    assert committed(run) == {0}
    run.child(0, of=2, job_id="a:0", attempt=2)
    assert committed(run) == set(range(SHARDS))


def test_a_child_hands_back_before_its_time_is_up() -> None:
    """It ends after its shard, without an error; the next array does the rest."""
    time = [0.0]
    run = planned(clock=lambda: time[0])

    def before(verb: str, bucket: str, _key: str) -> None:
        time[0] += 100 if verb == "get_object" and bucket == SOURCE else 0

    run.client.before = before
    stop = Stop(480, clock=lambda: time[0], wait=lambda _seconds: None)  # 360 s without the margin
    run.child(stop=stop, attempt_seconds=480)
    assert committed(run) == {0, 1, 2}
    run.child()
    assert committed(run) == set(range(SHARDS))


def test_a_child_hands_back_early_in_a_late_attempt() -> None:
    """A lost host counts as an attempt: a child has its attempts anew in the next array."""
    time = [0.0]
    run = planned(clock=lambda: time[0])

    def before(verb: str, bucket: str, _key: str) -> None:
        time[0] += LATE_SECONDS / 2 + 1 if verb == "get_object" and bucket == SOURCE else 0

    run.client.before = before
    run.child(attempt=4)
    assert committed(run) == {0, 1}
    run.child(attempt=3)
    assert committed(run) == set(range(SHARDS))


@pytest.mark.parametrize(("others", "hands_back"), [(7, False), (3, True)])
def test_a_child_sees_that_others_have_handed_back(others: int, hands_back: bool) -> None:  # noqa: FBT001
    """Every ten minutes it looks how many claims there are: where few of eight are left, a new array is due."""
    time = [0.0]
    run = planned(400, clock=lambda: time[0])

    def before(verb: str, bucket: str, _key: str) -> None:
        time[0] += 50 if verb == "get_object" and bucket == SOURCE else 0

    run.client.before = before
    for other in range(1, 1 + others):
        place = run.folder.claim(400 - 8 + other)
        run.client.store(place.bucket, place.key, b"{}")
    run.child(0, of=8, job_id="a:0", slots=8)
    own = {shard for shard in committed(run) if shard % 8 == 0}
    assert (own != set(range(0, 400, 8))) is hands_back
    assert len(own) >= LOOK_SECONDS / 50


def test_a_child_hands_back_where_more_children_are_due() -> None:
    """The pace was thought a hundred times what it is: two children where there is room for 100."""
    time = [0.0]
    run = planned(200, clock=lambda: time[0])

    def before(verb: str, bucket: str, _key: str) -> None:
        time[0] += 60 if verb == "get_object" and bucket == SOURCE else 0

    run.client.before = before
    run.child(0, of=2, job_id="a:0", slots=100)
    assert committed(run) == {0}
    run.child(1, of=2, job_id="a:1", slots=2)
    assert len(committed(run)) > LOOK_SECONDS / 60  # then it sees that the other has handed back


def test_a_postponed_item_does_not_keep_the_other_shards_from_being_worked() -> None:
    """Its shard fails, all others are committed, then the child ends with its error; the next attempt does the rest."""
    errors: dict[str, Exception] = {"in/002": TryAgainError("not now")}
    run = planned(load=failing(errors))
    with pytest.raises(TryAgainError, match="not now; 0 of 1 items are done and saved") as raised:
        run.child(0, of=2, job_id="a:0")
    assert raised.value.exit_code == 1
    assert committed(run) == set(range(SHARDS)) - {2}
    errors.clear()
    run.child(0, of=2, job_id="a:0", attempt=2)
    assert committed(run) == set(range(SHARDS))


def test_an_error_that_nobody_declared_does_not_either() -> None:
    """A partial that cannot be written is its shard's failure."""

    class Breaking(Sizes):
        def partial(self) -> Any:
            made = super().partial()
            real = made.write

            def write(file: Any) -> None:
                if "in/002" in made.sizes:
                    raise RuntimeError("the partial broke")
                real(file)

            made.write = write  # type: ignore[method-assign]
            return made

    run = planned(load=lambda _name, options: Breaking(options))
    with pytest.raises(RuntimeError, match="the partial broke"):
        run.child()
    assert committed(run) == set(range(SHARDS)) - {2}


def test_three_failures_in_a_row_end_the_child() -> None:
    """The fault is not the shards' then: the others are left to the next attempt."""
    errors: dict[str, Exception] = {f"in/{number:03}": TryAgainError("not now") for number in range(2, 9)}
    run = planned(load=failing(errors))
    with pytest.raises(TryAgainError):
        run.child()
    assert committed(run) == {0, 1}


def test_a_host_that_failed_ends_the_child() -> None:
    """The other shards would fare no better on a full disk."""
    run = planned(load=failing({"in/002": OSError(28, "No space left on device")}))
    with pytest.raises(HostFaultError, match="No space left"):
        run.child(0, of=2, job_id="a:0")
    assert committed(run) == {0}
    assert 2 not in claims(run)


def test_a_source_that_denies_everything_ends_the_child() -> None:
    """It is asked once, not once a shard, and exit code 2 says not to try again."""
    run = planned(3, items=20)
    for number in range(60):
        run.client.denied.add((SOURCE, f"in/{number:03}"))
    with pytest.raises(AccessDeniedError) as raised:
        run.child()
    assert raised.value.exit_code == 2
    assert committed(run) == set()


def test_a_shard_of_denied_items_is_rows_where_the_child_has_read_others() -> None:
    """What one shard told of the source is known in the next: nothing is asked again."""
    run = planned(2, items=20)
    for number in range(20, 40):
        run.client.denied.add((SOURCE, f"in/{number:03}"))
    run.child()
    assert run.migrate(1).counts.failed == 20
    assert run.client.requests["get_object"] < 60


def test_a_shard_longer_than_the_time_limit_grows_over_attempts() -> None:
    """Each attempt continues where the one before had to stop, until the shard is done."""
    time = [0.0]
    run = planned(1, items=9, clock=lambda: time[0])

    def before(verb: str, bucket: str, _key: str) -> None:
        time[0] += 100 if verb == "get_object" and bucket == SOURCE else 0

    run.client.before = before
    attempts = 0
    done: list[str] = []
    while not committed(run):
        attempts += 1
        stop = Stop(400, clock=lambda: time[0], wait=lambda _seconds: None)
        try:
            run.child(stop=stop, attempt_seconds=400, attempt=attempts)
        except StoppedError as stopped:
            done.append(stopped.message.split("; ")[1].partition(",")[0])
    assert done == [f"{items} of 9 items are done and saved" for items in (2, 4, 6, 8)]


def test_a_shard_that_gains_nothing_in_two_attempts_fails_with_its_item() -> None:
    """One item alone takes longer than an attempt may: the second attempt ends with exit code 2 and its name."""
    time = [0.0]
    stops: list[Stop] = []

    class Endless(Sizes):
        def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
            if item.key == "in/001":
                time[0] += 500
                stops[-1].check()
            return super().migrate(item, body, outputs)

    run = planned(1, items=2, clock=lambda: time[0], load=lambda _name, options: Endless(options))
    raised: list[MillraceError] = []
    for attempt in (1, 2, 3):
        stops.append(Stop(400, clock=lambda: time[0], wait=lambda _seconds: None))
        with pytest.raises(MillraceError) as error:
            run.child(stop=stops[-1], attempt_seconds=400, attempt=attempt)
        raised.append(error.value)
    assert [type(error) for error in raised] == [StoppedError, StoppedError, NoProgressError]
    assert raised[-1].exit_code == 2
    assert "migrate shard 0 s3://source/in/001: 2 attempts in a row" in str(raised[-1])
    assert "AttemptSeconds" in str(raised[-1])


def test_a_child_that_the_array_does_not_have_is_refused() -> None:
    """The variables of Batch contradict each other."""
    run = planned()
    with pytest.raises(InvalidRunRequest, match="AWS_BATCH_JOB_ARRAY_INDEX is 4; allowed: 0 to 3"):
        run.child(4, of=4)


def test_more_children_than_shards_are_harmless() -> None:
    """A child without a shard of its own helps, or ends."""
    run = planned(2)
    run.child(3, of=4, job_id="a:3")
    assert committed(run) == {0, 1}


def test_the_workload_and_the_clients_are_made_once() -> None:
    """A child's start is paid once, not once a shard."""
    made: list[Sizes] = []

    def load(_name: str, options: Any) -> Sizes:
        made.append(Sizes(options))
        return made[-1]

    run = planned(load=load)
    made.clear()
    run.child()
    assert len(made) == 1


def test_a_resumed_child_passes_over_its_committed_shards_quickly() -> None:
    """A hundred committed shards cost a request each, several at once."""
    run = planned(100)
    run.child()
    run.client.requests.clear()
    run.concurrency = 8
    run.child(0, of=2, job_id="b:0")
    assert run.client.requests["get_object"] == 51  # plan.json, and 50 commits
    assert run.client.requests["put_object"] == 0


def test_a_helper_asks_about_a_few_claims_at_most() -> None:
    """Where many children are at their last shards, a helper does not ask about each."""
    run = planned(100)
    for shard in range(100):
        if shard % 50:
            claimed(run, shard, f"a:{shard % 50}")
    run.client.requests.clear()
    run.child(0, of=50, job_id="a:0")
    assert committed(run) == {0, 50}
    assert run.client.requests["get_object"] < 60
    assert MOST_ASKED == 20
