"""The migrate job: one row per item, one commit per shard, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from batch_jobs.migrating.failing_fast import FIRST_DENIED, FailingFast
from batch_jobs.stop import Stop
from millrace.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    DamagedFileError,
    ErrorCode,
    InvalidRunRequest,
    MillraceError,
    RunIdentityError,
    StoppedError,
    StorageError,
    ThrottledError,
)
from millrace.layout import S3Uri, output_uri
from millrace.records.commit import Commit
from millrace.records.outcome import Outcome
from millrace.records.plan import Item
from millrace.workload.contract import Outputs
from tests.in_memory_s3 import error, slow_down, truncated
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes


class Crash(BaseException):
    """The end of a process, without a word."""


def on(verb: str, part: str, act: Callable[[], Any], times: int = 1) -> Callable[..., None]:
    """A hook that acts on calls of a verb whose key holds `part`."""
    left = [times]

    def hook(called: str, _bucket: str, key: str, *_answer: Any) -> None:
        if called == verb and part in key and left[0]:
            left[0] -= 1
            act()

    return hook


def crash() -> None:
    """End the process."""
    raise Crash


def codes(commit: Commit) -> dict[str, str]:
    """The items' error codes, or statuses, by key."""
    return {outcome.key: outcome.error_code or outcome.status for outcome in commit.outcomes}


def planned(objects: dict[str, bytes], **given: Any) -> RunInMemory:
    """A run that is planned."""
    run = RunInMemory(objects, **given)
    run.plan()
    return run


@pytest.mark.parametrize("concurrency", [1, 8])
def test_every_item_has_its_row_and_its_output(concurrency: int) -> None:
    """The commit has a row per item in the plan's order; outputs are under the key and the suffix."""
    objects = {f"in/{name}": name.encode() for name in ("a b", "a//b", "../x", "n\nl", "\u00e9", "e\u0301", "t/")}
    run = planned({**objects, "in/empty": b""}, concurrency=concurrency)
    commit = run.migrate(job_id="job", attempt=2)

    assert codes(commit) == dict.fromkeys(sorted([*objects, "in/empty"], key=str.encode), "SUCCEEDED")
    assert list(codes(commit)) == sorted([*objects, "in/empty"], key=str.encode)
    assert run.outputs() == {f"{key[3:]}.size": b"%d" % len(body) for key, body in {**objects, "in/empty": b""}.items()}
    assert commit.job == {"id": "job", "attempt": 2}
    assert commit.counts.bytes == sum(map(len, objects.values()))
    written = run.file("shards/00000.json")
    assert Commit.from_json(written or b"", "commit") == commit


def test_bad_objects_are_rows() -> None:
    """Each kind of bad object has its code, and the shard continues; a failed item has no output."""
    run = RunInMemory({f"in/{name}": b"text" for name in ("changed", "denied", "gone", "good")})
    run.client.store(SOURCE, "in/archived", b"text", "DEEP_ARCHIVE")
    run.client.store(SOURCE, "in/bad", b"bad")
    run.client.store(SOURCE, "in/broken", b"broken")
    run.client.store(SOURCE, "in/_millrace/x", b"text")
    run.client.store(SOURCE, "in/" + "x" * 1021, b"text")
    run.plan()
    run.client.store(SOURCE, "in/changed", b"another text")
    run.client.remove(SOURCE, "in/gone")
    run.client.denied.add((SOURCE, "in/denied"))
    commit = run.migrate()

    assert codes(commit) == {
        "in/_millrace/x": ErrorCode.KEY_NOT_USABLE,
        "in/archived": ErrorCode.ARCHIVED,
        "in/bad": ErrorCode.NOT_TEXT,
        "in/broken": ErrorCode.WORKLOAD_FAILED,
        "in/changed": ErrorCode.SOURCE_CHANGED,
        "in/denied": ErrorCode.ACCESS_DENIED,
        "in/gone": ErrorCode.NOT_FOUND,
        "in/good": "SUCCEEDED",
        "in/" + "x" * 1021: ErrorCode.KEY_NOT_USABLE,
    }
    assert list(run.outputs()) == ["good.size"]
    rows = {outcome.key: outcome for outcome in commit.outcomes}
    assert rows["in/gone"].http_status == 404
    assert rows["in/broken"].message == "RuntimeError: the workload broke"


def test_an_object_that_s3_never_gives_is_a_row() -> None:
    """When every retry for one object fails, that object is READ_FAILED, and the others are worked."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    run.client.before = on("get_object", "in/a", lambda: (_ for _ in ()).throw(slow_down()), times=99)

    assert codes(run.migrate()) == {"in/a": ErrorCode.READ_FAILED, "in/b": "SUCCEEDED"}


def test_a_truncated_body_is_read_on() -> None:
    """A body that ends too early costs a request more, not a wrong size."""
    run = planned({"in/a": b"x" * 1000})
    cut = [True]
    run.client.after = lambda verb, bucket, _key, answer: (
        truncated(answer, 400) if verb == "get_object" and bucket == SOURCE and cut and cut.pop() else None
    )
    run.migrate()

    assert run.outputs() == {"a.size": b"1000"}


def test_a_committed_shard_is_not_worked_again() -> None:
    """A redrive finds the commit: no item is read, nothing is written."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    first = run.migrate()
    before = run.client.bodies(RESULT)
    run.client.requests.clear()

    assert run.migrate(attempt=2) == first
    assert run.client.bodies(RESULT) == before
    assert run.client.requests == {"get_object": 2}  # the plan and the commit


@pytest.mark.parametrize("part", ["in/a", "a.size", "partials/", "shards/"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_is_made_good(part: str, when: str) -> None:
    """A process that dies before or after any read or write leaves a shard that the next attempt finishes alike."""
    objects = {"in/a": b"1", "in/b": b"22"}
    undisturbed = planned(objects).migrate()
    run = planned(objects)
    verb = "get_object" if part == "in/a" else "put_object"
    setattr(run.client, when, on(verb, part, crash))
    with pytest.raises(Crash):
        run.migrate()

    assert run.migrate(attempt=2).content_digest == undisturbed.content_digest
    assert run.outputs() == {"a.size": b"1", "b.size": b"2"}


def test_a_commit_that_meets_itself_is_a_success() -> None:
    """The commit took effect, its answer was lost: the retry's 412 is compared, and it is ours."""
    run = planned({"in/a": b"1"})

    def lose() -> None:
        raise ConnectionClosedError(endpoint_url="https://s3")

    run.client.after = on("put_object", "shards/", lose)

    assert codes(run.migrate()) == {"in/a": "SUCCEEDED"}


def test_the_first_of_two_copies_commits() -> None:
    """A second live copy that commits in between wins; the first one takes over its commit and ends quietly."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    winners: list[Commit] = []

    def second_copy() -> None:
        run.client.store(SOURCE, "in/b", b"changed")
        winners.append(run.migrate(job_id="second"))

    run.client.before = on("put_object", "shards/", second_copy)
    commit = run.migrate(job_id="first")

    assert [commit] == winners
    assert commit.job["id"] == "second"
    assert codes(commit) == {"in/a": "SUCCEEDED", "in/b": ErrorCode.SOURCE_CHANGED}
    assert list(run.outputs()) == ["a.size"]  # the first copy's output of b is gone: the commit says that it failed


def test_a_late_output_of_a_failed_item_is_deleted() -> None:
    """A zombie uploads an output after another copy committed the item as failed: it cleans up after itself."""
    run = planned({"in/a": b"1"})

    def second_copy() -> None:
        run.client.remove(SOURCE, "in/a")
        run.migrate(job_id="second")

    run.client.before = on("put_object", "a.size", second_copy)
    run.migrate(job_id="zombie")

    assert run.outputs() == {}


def test_a_crash_before_the_cleaning_is_made_good() -> None:
    """The commit is there, its writer died before it deleted the failed item's output: the next attempt deletes it."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    run.client.before = on("put_object", "shards/", crash)
    with pytest.raises(Crash):
        run.migrate()
    run.client.remove(SOURCE, "in/a")
    run.client.before = on("head_object", "a.size", crash)
    with pytest.raises(Crash):
        run.migrate(attempt=2)
    assert "a.size" in run.outputs()

    run.migrate(attempt=3)
    assert list(run.outputs()) == ["b.size"]


def test_an_earlier_runs_output_stays() -> None:
    """A failed item's output of an earlier run is not this run's to delete."""
    run = planned({"in/a": b"1"})
    run.client.store(RESULT, "out/a.size", b"earlier")
    run.client.remove(SOURCE, "in/a")
    run.migrate()

    assert run.outputs() == {"a.size": b"earlier"}


def test_a_denied_source_fails_fast() -> None:
    """When the first 20 items are all denied, and 20 others: exit 2, no commit, and the rest is not asked for."""
    run = planned({f"in/{number:03}": b"x" for number in range(100)})
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(100)}
    run.client.requests.clear()
    with pytest.raises(AccessDeniedError) as raised:
        run.migrate()

    assert raised.value.exit_code == 2
    assert run.file("shards/00000.json") is None
    plan_commit_and_items, commit_again = 3, 1
    assert run.client.requests["get_object"] == plan_commit_and_items + 20 + 20 + commit_again


@pytest.mark.parametrize("readable", [30, 99])
def test_denied_objects_before_readable_ones_are_rows(readable: int) -> None:
    """Thirty or ninety-nine denied objects come first, and one behind them is readable: the source is not denied."""
    run = planned({f"in/{number:03}": b"x" for number in range(100)})
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(100) if number < readable}
    if readable == 30:
        run.client.denied.discard((SOURCE, "in/099"))
    assert run.migrate().counts.failed == readable


@pytest.mark.parametrize("other_first", [False, True])
def test_a_denied_shard_of_a_readable_source_is_rows(other_first: bool) -> None:  # noqa: FBT001
    """A prefix that is denied as a whole, and is a shard, has its rows: others are readable, or a commit says so."""
    run = planned({f"in/{number:03}": b"x" for number in range(60)}, request={"shard": {"max_items": 30}})
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(30)}
    if other_first:
        run.migrate(1)
        run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(60)}
    assert run.migrate(0).counts.failed == 30
    assert run.migrate(1).counts.succeeded == 30


PERMANENT = [
    ("KMS.DisabledException", 400, ErrorCode.READ_FAILED),
    ("KMS.NotFoundException", 400, ErrorCode.READ_FAILED),
    ("KMS.SomethingNew", 400, ErrorCode.READ_FAILED),
    ("InvalidRequest", 400, ErrorCode.READ_FAILED),
    ("InvalidArgument", 400, ErrorCode.READ_FAILED),
    ("SomethingNew", 400, ErrorCode.READ_FAILED),
    ("InvalidRange", 416, ErrorCode.READ_FAILED),
    ("InvalidObjectState", 403, ErrorCode.ARCHIVED),
    ("ObjectNotInActiveTierError", 403, ErrorCode.ARCHIVED),
    ("NoSuchKey", 404, ErrorCode.NOT_FOUND),
    ("PreconditionFailed", 412, ErrorCode.SOURCE_CHANGED),
]


@pytest.mark.parametrize(("code", "status", "expected"), PERMANENT)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_objects_refused_for_good_are_rows_however_many(
    code: str, status: int, expected: ErrorCode, concurrency: int
) -> None:
    """Sixty objects that S3 refuses for good are sixty rows with S3's code, asked for once each; the run continues."""
    run = planned({f"in/{number:03}": b"x" for number in range(61)})
    run.concurrency = concurrency
    asked: list[str] = []

    def refuse(verb: str, bucket: str, key: str) -> None:
        if verb == "get_object" and bucket == SOURCE and key != "in/060":
            asked.append(key)
            raise error(code, status)

    run.client.before = refuse
    commit = run.migrate()
    rows = {outcome.key: outcome for outcome in commit.outcomes}

    assert commit.counts.failed == 60
    assert len(asked) == 60
    assert {rows[key].error_code for key in asked} == {expected}
    assert all(code in (rows[key].message or "") and rows[key].http_status == status for key in asked)
    assert rows["in/060"].status == "SUCCEEDED"


def test_rows_of_a_broken_s3_do_not_make_the_source_readable() -> None:
    """What an earlier attempt could not read, as S3 was down, does not count as read: a denied source still fails."""
    before = [Outcome.failed(Item("in/a", 1, '"e"'), ErrorCode.READ_FAILED, "S3 was down")]
    watch = FailingFast(before)
    denied = AccessDeniedError("denied", operation="get", target="s3://source/in/b", of_item=True)
    row = Outcome.failed(Item("in/b", 1, '"e"'), ErrorCode.ACCESS_DENIED, "denied")
    for _ in range(FIRST_DENIED - 1):
        watch.see(row, denied)
    with pytest.raises(AccessDeniedError):
        watch.see(row, denied)


@pytest.mark.parametrize(
    "code", ["AllAccessDisabled", "PermanentRedirect", "InvalidBucketState", "RequestTimeTooSkewed", "InvalidPayer"]
)
def test_what_concerns_every_object_ends_the_job(code: str) -> None:
    """The account, the bucket, the clock: one answer is enough, and no item gets a row for it."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    run.client.before = on("get_object", "in/a", lambda: (_ for _ in ()).throw(error(code, 400)))
    with pytest.raises(StorageError, match=code):
        run.migrate()

    assert run.file("shards/00000.json") is None


@pytest.mark.parametrize("code", ["InvalidTag", "MetadataTooLarge", "InvalidArgument", "InvalidRequest"])
def test_a_refused_output_is_told_as_a_write(code: str) -> None:
    """S3 does not take one item's output as it is: WRITE_FAILED, naming the output; the others are worked."""
    run = planned({"in/a": b"1", "in/b": b"2"})
    run.client.before = on("put_object", "out/a.size", lambda: (_ for _ in ()).throw(error(code, 400)), times=10**9)
    commit = run.migrate()

    assert codes(commit) == {"in/a": ErrorCode.WRITE_FAILED, "in/b": "SUCCEEDED"}
    row = commit.outcomes[0]
    assert row.http_status == 400
    assert code in (row.message or "")
    assert "s3://result/out/a.size" in (row.message or "")


@pytest.mark.parametrize("code", ["KMS.DisabledException", "AccessDenied", "NoSuchBucket", "InvalidPart"])
def test_a_destination_that_refuses_everything_ends_the_job(code: str) -> None:
    """The destination's own key, its policy: no item's row, as no other output would fare better."""
    run = planned({"in/a": b"1"})
    status = {"AccessDenied": 403, "NoSuchBucket": 404}.get(code, 400)
    run.client.before = on("put_object", "out/a.size", lambda: (_ for _ in ()).throw(error(code, status)), times=10**9)
    with pytest.raises(StorageError, match=r"put s3://result/out/a\.size"):
        run.migrate()


@pytest.mark.parametrize("content_type", ["text/plain\r\nX-Evil: 1", "t\u00e9xt/plain", "", " text/plain", "x" * 2000])
def test_a_content_type_that_no_header_can_hold_is_the_items_row(content_type: str) -> None:
    """outputs.open refuses it, in words, before anything is sent."""

    class Typed(Sizes):
        """Sizes, with a content type of its own."""

        def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
            outputs.open(".size", content_type)
            return item.key, len(b"".join(body))

    run = RunInMemory({"in/a": b"1"}, load=lambda _name, options: Typed(options))
    run.plan()
    row = run.migrate().outcomes[0]

    assert row.error_code is ErrorCode.WORKLOAD_FAILED
    assert "a content type is printable ASCII" in (row.message or "")
    assert run.outputs() == {}


class PanicException(BaseException):
    """What a Rust library raises when it panics: no Exception."""


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_native_librarys_panic_ends_the_job_and_commits_nothing(concurrency: int) -> None:
    """It is no item's row: the process may be in any state; main makes a job error with its last line of it."""

    class Panicking(Sizes):
        """Sizes, whose library panics."""

        def migrate(self, *_given: Any) -> tuple[str, int]:
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    run = RunInMemory({"in/a": b"1", "in/b": b""}, {}, concurrency, lambda _name, options: Panicking(options))
    run.plan()
    with pytest.raises(PanicException):
        run.migrate()

    assert run.file("shards/00000.json") is None


def test_a_workload_that_exits_fails_its_item_alone() -> None:
    """sys.exit in a workload is that object's row, and never a job that exited 0 without its commit."""

    class Leaving(Sizes):
        """Sizes, that leaves."""

        def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
            if item.key == "in/a":
                raise SystemExit(0)
            return super().migrate(item, body, outputs)

    run = RunInMemory({"in/a": b"1", "in/b": b"2"}, load=lambda _name, options: Leaving(options))
    run.plan()
    assert codes(run.migrate()) == {"in/a": ErrorCode.WORKLOAD_FAILED, "in/b": "SUCCEEDED"}


def test_denied_rows_of_an_interrupted_attempt_do_not_make_the_source_readable() -> None:
    """SIGTERM after 5 of 25 denied items: the next attempt still fails fast, instead of committing 25 rows."""
    run = planned({f"in/{number:03}": b"x" for number in range(25)})
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(25)}
    stop = Stop()
    asked: list[str] = []

    def count(_verb: str, bucket: str, key: str) -> None:
        if bucket == SOURCE:
            asked.append(key)
        if len(asked) == 5:
            stop.request("SIGTERM")

    run.client.before = count
    with pytest.raises(StoppedError):
        run.migrate(stop=stop)
    run.client.before = lambda *_call: None
    with pytest.raises(AccessDeniedError):
        run.migrate(attempt=2)


def test_denied_objects_among_others_are_rows() -> None:
    """Fifty denied objects behind a readable one are fifty rows; so is a whole small shard."""
    run = planned({f"in/{number:03}": b"x" for number in range(51)})
    run.client.denied |= {(SOURCE, f"in/{number:03}") for number in range(1, 51)}
    assert run.migrate().counts.failed == 50

    run = planned({"in/a": b"x"})
    run.client.denied.add((SOURCE, "in/a"))
    assert run.migrate().counts.failed == 1


def test_a_broken_s3_fails_the_attempt() -> None:
    """When S3 fails for 20 items in a row, that is no row each: exit 1, so that Batch tries again later."""
    run = planned({f"in/{number:03}": b"x" for number in range(50)})
    run.client.before = on("get_object", "in/0", lambda: (_ for _ in ()).throw(slow_down()), times=10**9)
    with pytest.raises(ThrottledError) as raised:
        run.migrate()

    assert raised.value.exit_code == 1
    assert run.file("shards/00000.json") is None


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (error("NoSuchBucket", 404), BucketNotFoundError),
        (error("ExpiredToken", 400), CredentialsError),
    ],
)
def test_trouble_that_is_not_the_items_fails_at_once(refusal: Exception, expected: type[StorageError]) -> None:
    """A source bucket that is gone, or credentials that ended, are no item's fault."""
    run = planned({"in/a": b"1"})
    run.client.before = on("get_object", "in/a", lambda: (_ for _ in ()).throw(refusal))
    with pytest.raises(expected):
        run.migrate()

    assert run.file("shards/00000.json") is None


def test_an_output_that_cannot_be_written_fails_the_job() -> None:
    """A destination that refuses is not a bad object: exit 2 instead of a row."""
    run = planned({"in/a": b"1"})
    run.client.denied.add((RESULT, "out/a.size"))
    with pytest.raises(AccessDeniedError, match=r"put s3://result/out/a\.size"):
        run.migrate()


@pytest.mark.parametrize(("index", "allowed"), [(1, "0 to 0"), (-1, "0 to 0")])
def test_an_index_beyond_the_plan_is_refused(index: int, allowed: str) -> None:
    """A child that the plan does not know is told what there is."""
    run = planned({"in/a": b"1"})
    with pytest.raises(InvalidRunRequest, match=f"index is {index}; allowed: {allowed}"):
        run.migrate(index)


def test_migrate_without_a_plan() -> None:
    """A missing plan is named, and what to do about it."""
    with pytest.raises(DamagedFileError, match="run the plan job first"):
        RunInMemory().migrate()


def test_a_commit_of_another_plan_is_refused() -> None:
    """A commit that belongs elsewhere is neither taken over nor written over."""
    run = planned({"in/a": b"1"})
    commit = run.migrate()
    given = json.loads(commit.to_json())
    other = RunInMemory({"in/a": b"other"}, folder=run.folder)
    other.plan()
    other.client.store(RESULT, run.folder.commit(0).key, json.dumps(given).encode())
    with pytest.raises(RunIdentityError, match="it commits shard 0"):
        other.migrate()


def test_a_workload_cannot_hide_a_read_that_broke() -> None:
    """What the workload makes of an error of S3 does not count: the row says what S3 said."""

    class Careless:
        """Takes any error for a bad text."""

        item_suffixes = (".size",)
        partial_suffix = ".json"

        def __init__(self, inner: Any) -> None:
            self.partial = inner.partial

        def migrate(self, item: Any, body: Any, _outputs: Any) -> tuple[str, int]:
            """Read what comes, and be content."""
            size = 0
            try:
                for chunk in body:
                    size += len(chunk)
            except MillraceError:
                pass
            return item.key, size

    run = RunInMemory({"in/a": b"x" * 100})
    load = run.load
    run.load = lambda name, options: Careless(load(name, options))
    run.plan()

    def replace(verb: str, bucket: str, _key: str, answer: dict[str, Any]) -> dict[str, Any] | None:
        if verb == "get_object" and bucket == SOURCE:
            run.client.store(SOURCE, "in/a", b"y" * 100)
            return truncated(answer, 10)
        return None

    run.client.after = replace
    assert codes(run.migrate()) == {"in/a": ErrorCode.SOURCE_CHANGED}


def test_an_output_lies_where_its_key_says() -> None:
    """The source's prefix is cut off once at the front; the rest of the key is taken character by character."""
    source, destination = S3Uri("s", "in/"), S3Uri("d", "out/")

    assert output_uri(source, destination, "in/in/../a b", ".x") == S3Uri("d", "out/in/../a b.x")
    assert output_uri(S3Uri("s", ""), destination, "/lead", "") == S3Uri("d", "out//lead")
