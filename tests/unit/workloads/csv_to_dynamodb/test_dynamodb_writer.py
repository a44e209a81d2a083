"""Writing to a table: batches, repeated keys, unprocessed items, throttling, pace, errors."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.rate import Rate
from batch_jobs.workloads.csv_to_dynamodb.keyed_writes import BATCH_BYTES, Refusal
from batch_jobs.workloads.csv_to_dynamodb.table import BusyError, Table
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetries, TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.writer import TableWriter
from millrace.errors import TableError, TableRefusedError
from tests.in_memory_dynamodb import InMemoryDynamoDB, client_error


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, _dropped: threading.Event, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        self.now += seconds

    def policy(self, give_up_seconds: float = 300.0) -> TableRetryPolicy:
        """A policy by this clock, its jitter at its most."""
        return TableRetryPolicy(give_up_seconds, self.sleep, lambda: 1.0, lambda: self.now)


def database(**hooks: Any) -> InMemoryDynamoDB:
    """A database with the table rows, keyed by id."""
    made = InMemoryDynamoDB(**hooks)
    made.create_table("rows", ("id",))
    return made


def writer_of(endpoint: Any, parallel: int = 4, clock: Clock | None = None) -> TableWriter:
    """A writer to the table rows."""
    return TableWriter(Table("rows", endpoint), parallel, Rate(0), (clock or Clock()).policy())


def put_of(key: str, value: str) -> bytes:
    """A put request."""
    return json.dumps({"PutRequest": {"Item": {"id": {"S": key}, "v": {"S": value}}}}).encode()


def write(writer: TableWriter, rows: list[tuple[str, str]]) -> tuple[int, int, list[Refusal]]:
    """Write rows of keys and values; how many were written and replaced, and which were refused."""
    refusals: list[Refusal] = []
    with writer.file(refusals.append) as writes:
        for line, (key, value) in enumerate(rows, start=2):
            writes.put((0, line), key, put_of(key, value))
        writes.finish()
    return writes.written, writes.replaced.total(), refusals


def kept(made: InMemoryDynamoDB) -> dict[str, str]:
    """What the table holds, values by key."""
    return {item["id"]["S"]: item["v"]["S"] for item in made.items("rows")}


@settings(deadline=None, max_examples=60)
@given(
    keys=st.lists(st.integers(0, 40), max_size=250),
    parallel=st.integers(1, 6),
    seed=st.integers(0, 2**20),
    shaky=st.booleans(),
)
def test_the_last_row_with_a_key_stays(keys: list[int], parallel: int, seed: int, shaky: bool) -> None:  # noqa: FBT001
    """Whatever repeats, wherever batches are cut, however many are under way and stay unprocessed."""
    chance = random.Random(seed)
    made = database(leave=lambda _put: shaky and chance.random() < 0.3)
    rows = [(f"k{key}", f"v{number}") for number, key in enumerate(keys)]
    written, replaced, refusals = write(writer_of(made, parallel), rows)
    assert kept(made) == dict(rows)
    assert written + replaced == len(rows)
    assert written == len(made.history)
    assert not refusals


def test_how_rows_are_counted_does_not_depend_on_time() -> None:
    """The same rows give the same counts, with one request under way as with many."""
    rows = [(f"k{number * 7 % 60}", f"v{number}") for number in range(400)]
    assert len({write(writer_of(database(), parallel), rows)[:2] for parallel in (1, 2, 8)}) == 1


def test_a_key_is_under_way_once() -> None:
    """A batch that repeats a key waits for the earlier one, however long that takes; others overtake it."""
    made = database()
    lock = threading.Lock()
    under_way: Counter[str] = Counter()
    twice: set[str] = set()
    begun: list[int] = []
    overtaken: list[int] = []
    second_began, third_began = threading.Event(), threading.Event()

    class SlowAtFirst:
        """An endpoint whose first call takes as long as it can."""

        def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
            """Write, the first batch last of all."""
            keys = [put["PutRequest"]["Item"]["id"]["S"] for put in json.loads(body)["RequestItems"]["rows"]]
            with lock:
                begun.append(len(keys))
                number = len(begun)
                under_way.update(keys)
                twice.update(key for key in keys if under_way[key] > 1)
            if number >= 2:
                second_began.set()
            if number >= 3:
                third_began.set()
            if number == 1:
                assert second_began.wait(20)
                third_began.wait(0.3)
                overtaken.append(len(begun))
            answer = made.call(operation, body)
            with lock:
                under_way.subtract(keys)
            return answer

    # The third batch begins with ten new keys, and continues with those of the first.
    rows = [(f"k{number % 60}", f"v{number}") for number in range(200)]
    write(writer_of(SlowAtFirst(), 4), rows)
    assert overtaken == [2]
    assert not twice
    assert kept(made) == dict(rows)


def test_batches_have_25_items_or_4_mib() -> None:
    """A batch is cut by the number of its items and by its bytes."""
    sizes: list[int] = []
    made = database(before=lambda _operation, request: sizes.append(len(request["RequestItems"]["rows"])))
    assert write(writer_of(made, 1), [(f"k{number}", "x") for number in range(60)])[0] == 60
    assert sizes == [25, 25, 10]
    sizes.clear()
    big = "x" * (BATCH_BYTES // 11)
    write(writer_of(made, 1), [(f"k{number}", big) for number in range(25)])
    assert sizes == [10, 10, 5]


def test_a_repeated_key_never_makes_a_batch_too_long() -> None:
    """A row that replaces a small one by a large one begins a new batch where it has to."""
    made = database()
    big = "x" * 400_000
    rows = [(f"k{number}", "small") for number in range(25)] + [(f"k{number}", big) for number in range(25)]
    assert write(writer_of(made, 1), rows) == (40, 10, [])
    assert kept(made) == dict(rows)


def test_unprocessed_items_are_written_in_the_end() -> None:
    """What DynamoDB leaves is put again, after growing pauses, and only that."""
    left = Counter({"k1": 3, "k2": 1})

    def leave(put: dict[str, Any]) -> bool:
        key = put["PutRequest"]["Item"]["id"]["S"]
        left[key] -= 1
        return left[key] >= 0

    clock = Clock()
    made = database(leave=leave)
    assert write(writer_of(made, 1, clock), [(f"k{number}", "x") for number in range(4)])[0] == 4
    assert len(made.history) == 4
    assert made.requests["BatchWriteItem"] == 4
    assert clock.slept == [0.05, 0.05, 0.1]  # the third request took nothing


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_a_busy_table_is_waited_for(code: str, status: int) -> None:
    """Throttling and trouble at DynamoDB's side are tried again, each pause twice as long at most."""
    fails = iter([True] * 4)

    def before(_operation: str, _request: dict[str, Any]) -> None:
        if next(fails, False):
            raise client_error(code, "slow down", status)

    clock = Clock()
    made = database(before=before)
    assert write(writer_of(made, 1, clock), [("k", "x")])[0] == 1
    assert clock.slept == [0.05, 0.1, 0.2, 0.4]


def test_no_answer_is_waited_for() -> None:
    """A lost connection, and a proxy's answer that is not DynamoDB's, are tried again."""
    made = database()
    answers: list[Callable[[], tuple[int, bytes]]] = [lambda: (503, b"<html>"), lambda: (200, b"")]

    class Shaky:
        """An endpoint that works at the fourth try."""

        def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
            """Fail, or not."""
            if answers:
                return answers.pop()()
            if not made.requests:
                made.requests["lost"] += 1
                raise BusyError("connection reset")
            return made.call(operation, body)

    assert write(writer_of(Shaky(), 1), [("k", "x")])[0] == 1
    assert kept(made) == {"k": "x"}


def test_a_table_that_stays_busy_is_given_up_for_good() -> None:
    """After five minutes without progress the object is for the next attempt, and all that follow at once."""

    def before(_operation: str, _request: dict[str, Any]) -> None:
        raise client_error("ProvisionedThroughputExceededException", "too fast")

    clock = Clock()
    writer = writer_of(database(before=before), 1, clock)
    with pytest.raises(TableError, match=r"took nothing for 300 seconds.*too fast"):
        write(writer, [("k", "x")])
    assert 250 < clock.now <= 300
    assert max(clock.slept) == 20
    slept = clock.now
    with pytest.raises(TableError, match="took nothing"):
        write(writer, [("k", "x")])
    assert clock.now == slept


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        ("ResourceNotFoundException", TableRefusedError, 2),
        ("AccessDeniedException", TableRefusedError, 2),
        ("UnrecognizedClientException", TableRefusedError, 2),
        ("ExpiredTokenException", TableError, 1),
    ],
)
def test_what_concerns_the_whole_table_ends_the_job(code: str, kind: type[TableError], exit_code: int) -> None:
    """A missing or denied table is no bad row: the error names the table, and nothing is tried twice."""

    def before(_operation: str, _request: dict[str, Any]) -> None:
        raise client_error(code, "because")

    made = database(before=before)
    with pytest.raises(kind, match=r"BatchWriteItem rows.*because") as caught:
        write(writer_of(made, 1), [(f"k{number}", "x") for number in range(30)])
    assert caught.value.exit_code == exit_code


def test_a_row_that_dynamodb_refuses_costs_no_other_row() -> None:
    """The batch is halved until the bad rows stand alone; they come in order, with DynamoDB's words."""
    made = database()
    made.tables["rows"].types["v"] = "N"  # an index made while the import runs: only the table knows
    rows = [(f"k{number}", "x") for number in range(30)]
    good = [put_of(f"k{number}", "x").replace(b'{"S": "x"}', b'{"N": "1"}') for number in range(30)]
    refusals: list[Refusal] = []
    with writer_of(made, 3).file(refusals.append) as writes:
        for line, (key, _) in enumerate(rows):
            writes.put((0, line), key, put_of(key, "x") if line in {3, 17, 29} else good[line])
        writes.finish()
    assert [refusal.place for refusal in refusals] == [(0, 3), (0, 17), (0, 29)]
    assert all("DynamoDB refuses the item: Type mismatch for Index Key v" in refusal.reason for refusal in refusals)
    assert writes.written == len(made.items("rows")) == 27


def test_nothing_is_under_way_after_an_error() -> None:
    """When the object fails midway, batches that were not begun never are."""
    made = database()
    writer = writer_of(made, 2)

    def broken() -> None:
        with writer.file(lambda _refusal: None) as writes:
            for number in range(200):
                writes.put((0, number), number, put_of(f"k{number}", "x"))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken()
    before = made.requests["BatchWriteItem"]
    assert write(writer, [("k", "x")])[0] == 1
    assert made.requests["BatchWriteItem"] == before + 1


def test_the_pace_is_kept_by_all_threads_together() -> None:
    """Ten units a second are ten units a second, however they are asked for; unused time is not made up for."""
    clock = Clock()
    never = threading.Event()
    rate = Rate(10, lambda seconds: clock.sleep(never, seconds), lambda: clock.now)
    for _ in range(4):
        rate.take(5)
    assert clock.slept == pytest.approx([0.5, 0.5, 0.5])
    clock.now += 100
    rate.take(5)
    rate.take(5)
    assert clock.slept[3:] == pytest.approx([0.5])


def test_a_batch_takes_a_unit_for_each_begun_kilobyte_of_an_item() -> None:
    """Items of more than 1 KB take more units (developer guide, read and write capacity)."""
    taken: list[int] = []

    class Watched(Rate):
        """A rate that only looks."""

        def take(self, units: int = 1, sleep: object = None) -> None:  # noqa: ARG002
            """Look."""
            taken.append(units)

    made = database()
    writer = TableWriter(Table("rows", made), 1, Watched(1), Clock().policy())
    write(writer, [("a", "x"), ("b", "x" * 1500), ("c", "x" * 5000)])
    assert taken == [1 + 2 + 5]


def test_the_table_says_what_it_is_keyed_by() -> None:
    """Key names in order, the types of keys and index keys."""
    made = InMemoryDynamoDB()
    made.create_table("rows", ("id", "sort"), {"sort": "N", "genre": "S"})
    key = Table("rows", made).describe()
    assert (key.names, dict(key.types)) == (("id", "sort"), {"id": "S", "sort": "N", "genre": "S"})


def test_a_table_that_is_being_made_is_waited_for() -> None:
    """CREATING is no error, for a while."""
    statuses = iter(["CREATING", "CREATING"])
    made = database()

    class Endpoint:
        """An endpoint that is not ready at first."""

        def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
            """Describe the table."""
            status, answer = made.call(operation, body)
            return status, answer.replace(b"ACTIVE", next(statuses, "ACTIVE").encode())

    clock = Clock()
    key = TableRetries(clock.policy(), "rows").until_answered(Table("rows", Endpoint()).describe)
    assert key.names == ("id",)
    assert len(clock.slept) == 2
