"""Prepare Run: what it accepts, what it refuses, and what it writes down."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from millrace.errors import InvalidRunRequest, MillraceError, RunIdentityError
from millrace.queue_rules import parse_queue_rules
from millrace.records.at_work import wait_seconds
from millrace.s3.verbs import S3
from millrace.settings import FunctionSettings
from prepare_run import Executions, prepare_run
from tests.in_memory_s3 import InMemoryS3Client

QUEUE = "arn:aws:batch:us-east-1:123456789012:job-queue/standard"
SETTINGS = FunctionSettings(queues={"standard": QUEUE}, code_version="1.2.3")
SOURCE, DESTINATION = "s3://letters/in/", "s3://results/out/"


@pytest.fixture
def client() -> InMemoryS3Client:
    """An S3 with a source bucket and a result bucket."""
    return InMemoryS3Client("letters", "results")


def event(name: str = "run-1", started_at: str = "2026-11-21T09:00:00Z", **given: Any) -> dict[str, Any]:
    """What the state machine hands over for an execution input."""
    return {
        "input": {"source": SOURCE, "destination": DESTINATION, **given},
        "execution_arn": f"arn:aws:states:us-east-1:123456789012:execution:millrace:{name}",
        "execution_name": name,
        "started_at": started_at,
    }


def refusal(client: InMemoryS3Client, **given: Any) -> MillraceError:
    """The error that an input is refused with."""
    with pytest.raises(MillraceError) as raised:
        prepare_run(event(**given), S3(client.stub), SETTINGS)
    return raised.value


def test_a_request_of_two_fields_becomes_a_run(client: InMemoryS3Client) -> None:
    """Source and destination are enough: the rest is defaults, and run.json says which."""
    run = prepare_run(event(), S3(client.stub), SETTINGS)

    folder = "s3://results/out/_millrace/run-1"
    assert run == {
        "run_id": "run-1",
        "overlap": "",
        "planned": False,
        "request": f"{folder}/run.json",
        "plan": f"{folder}/plan.json",
        "merge_job": False,
        "job_name": "run-1",
        "queue": QUEUE,
        "share": "default",
        "priority": 0,
        "tolerated_failure_percent": "0",
        "tolerated_failure_count": "0",
    }
    written = json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])
    assert written["code_version"] == "1.2.3"
    assert written["request"]["workload"] == "word-count"
    assert written["request"]["options"]["stop_words"] == ["and", "the"]
    assert written["request"]["shard"]["max_shards"] == 100_000


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"source": "letters/in"}, "source", "s3://bucket/prefix/"),
        ({"source": 7}, "source", "s3://bucket/prefix/"),
        ({"source": "s3://No_Bucket/x"}, "source", "3 to 63"),
        ({"source": "s3://missing-bucket/x"}, "source", "there is no bucket missing-bucket"),
        ({"destination": "s3://missing-bucket/x"}, "destination", "there is no bucket missing-bucket"),
        ({"destination": "s3://letters/in/results/"}, "destination", "apart from the source"),
        ({"destination": "s3://letters/"}, "destination", "apart from the source"),
        ({"workload": "wordcount"}, "workload", "word-count"),
        ({"options": {"min_lenght": 2}}, "options.min_lenght", "did you mean min_length?"),
        ({"options": {"min_length": "2"}}, "options.min_length", "a whole number"),
        ({"options": {"min_length": 0}}, "options.min_length", "1 to 1000"),
        ({"options": {"stop_words": "and"}}, "options.stop_words", "a list of strings"),
        ({"options": ["min_length"]}, "options", "an object"),
        ({"include": "*.txt"}, "include", "a list of glob patterns"),
        ({"shard": {"max_shards": 100_001}}, "shard.max_shards", "1 to 100,000"),
        ({"shard": {"max_item": 5}}, "shard.max_item", "did you mean max_items?"),
        ({"shard": {"target_bytes": True}}, "shard.target_bytes", "a whole number"),
        ({"queue": "fast"}, "queue", "standard"),
        ({"share": "team_a"}, "share", "letters, digits and '-'"),
        ({"priority": 10_000}, "priority", "0 to 9,999"),
        ({"tolerated_failure_percent": 101}, "tolerated_failure_percent", "0 to 100"),
        ({"reuse": True}, "reuse", '"latest" or a run id'),
        ({"reuse": "last run"}, "reuse", '"latest" or a run id, 1 to 80 letters'),
        ({"reuse": "latest", "keys": ["a.txt"]}, "reuse", "nothing beside keys"),
        ({"reuse": "run-7", "run_id": "run-7"}, "reuse", "another run than run_id"),
        *(
            ({name: value}, name, allowed)
            for name in ("reuse_required", "verify_outputs", "mirror")
            for value, allowed in ((1, "true or false"), (True, 'true only with reuse, "latest"'))
        ),
        ({"mirror_limit_percent": 101}, "mirror_limit_percent", "a whole number, 0 to 100"),
        ({"mirror_limit_percent": 0.5}, "mirror_limit_percent", "a whole number, 0 to 100"),
        ({"tolerated_failure_count": -1}, "tolerated_failure_count", "a whole number, 0 to"),
        ({"tolerated_failure_count": 1.5}, "tolerated_failure_count", "a whole number, 0 to"),
        *(
            ({"pace": {"seconds_per_item": value}}, "pace.seconds_per_item", "0.000001 to 86,400")
            for value in (0, 0.0, -1, 86_401, 10**400, 1e-7, True, "1", None, [1])
        ),
        *(
            ({"pace": {"bytes_per_second": value}}, "pace.bytes_per_second", "1 to 100,000,000,000")
            for value in (0, 0.5, -30e6, 100e9 + 1, 10**400, False, "fast")
        ),
        *(
            ({"pace": {name: value}}, f"pace.{name}", "a finite number")
            for name in ("seconds_per_item", "bytes_per_second")
            for value in (float("nan"), float("inf"), float("-inf"))
        ),
        ({"pace": 1}, "pace", "an object of seconds_per_item, bytes_per_second, or both"),
        ({"pace": {}}, "pace", "an object of seconds_per_item, bytes_per_second, or both"),
        ({"pace": {"second_per_item": 1}}, "pace.second_per_item", "did you mean seconds_per_item?"),
        ({"retry_failed": True}, "retry_failed", "only with run_id"),
        ({"retry_failed": 1, "run_id": "run-1"}, "retry_failed", "true or false"),
        ({"destinaton": "s3://x/y"}, "destinaton", "did you mean destination?"),
        ({"run_id": "no such run"}, "run_id", "letters, digits"),
        ({"run_id": "never-was"}, "run_id", "an earlier run"),
        ({"keys": "a.csv"}, "keys", "a list of keys"),
        ({"keys": [""]}, "keys", "a list of keys"),
        ({"keys": []}, "keys", "leave it out"),
        ({"keys": [str(number) for number in range(1001)]}, "keys", "1 to 1,000"),
        ({"keys": ["a", "a"]}, "keys", "each key once"),
        ({"keys": ["k" * 1022]}, "keys", "at most 1024 bytes"),
        ({"keys": ["\ud800"]}, "keys", "valid Unicode"),
        ({"plan": "lambda"}, "plan", "auto or job"),
        ({"plan": True}, "plan", "auto or job"),
        ({"once": True}, "once", "with run_id"),
        ({"once": "yes", "run_id": "r"}, "once", "true"),
        ({"once": True, "run_id": "r", "retry_failed": True}, "run_id", "an earlier run"),
    ],
)
def test_a_wrong_input_is_refused_by_name(
    client: InMemoryS3Client, given: dict[str, Any], field: str, says: str
) -> None:
    """Each wrong field fails with its name, its value and what is allowed, and nothing is written."""
    error = refusal(client, **given)

    assert isinstance(error, InvalidRunRequest)
    assert error.field == field
    assert says in str(error)
    assert not client.bodies("results")


@pytest.mark.parametrize("missing", ["source", "destination"])
def test_a_missing_uri_is_named(client: InMemoryS3Client, missing: str) -> None:
    """Source and destination have no default."""
    given = event()
    del given["input"][missing]
    with pytest.raises(InvalidRunRequest, match=f"{missing} is missing; allowed: an S3 URI"):
        prepare_run(given, S3(client.stub), SETTINGS)


def test_an_input_that_is_no_object_is_refused(client: InMemoryS3Client) -> None:
    """The console sends whatever JSON one types."""
    with pytest.raises(InvalidRunRequest, match="input is"):
        prepare_run({**event(), "input": ["s3://letters/in/"]}, S3(client.stub), SETTINGS)


def test_a_bucket_that_may_not_be_listed_is_refused(client: InMemoryS3Client) -> None:
    """A denied bucket is found out here, not by a job in ten minutes."""
    client.denied.add(("letters", ""))
    client.denied.add(("letters", "in/"))
    error = refusal(client)
    assert isinstance(error, InvalidRunRequest)
    assert error.field == "source"
    assert "refuses it" in str(error)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (
            ("s3://scans/", "s3://letters/2026/"),
            "The stack reads s3://scans/ or s3://letters/2026/, and what runs wrote",
        ),
        (("s3://scans/", "s3://letters/"), "It is among the stack's sources, so its own policy refuses the stack"),
        ((), "refuses it"),
    ],
)
def test_a_source_outside_is_refused_with_those_that_there_are(
    client: InMemoryS3Client, sources: tuple[str, ...], says: str
) -> None:
    """IAM refuses it; the message says what the stack may read, or that another account's bucket lacks a policy."""
    client.denied.add(("letters", ""))
    client.denied.add(("letters", "in/"))
    with pytest.raises(InvalidRunRequest) as refused:
        prepare_run(event(), S3(client.stub), replace(SETTINGS, sources=sources))
    assert says in str(refused.value)
    assert ("reads" in str(refused.value)) == ("reads" in says)


def test_a_second_call_of_the_same_execution_finds_its_own_file(client: InMemoryS3Client) -> None:
    """Step Functions may call the function twice for one execution."""
    first = prepare_run(event(), S3(client.stub), SETTINGS)
    assert prepare_run(event(), S3(client.stub), SETTINGS) == first


def test_a_name_used_before_is_refused(client: InMemoryS3Client) -> None:
    """Another execution of the same name must not write into the earlier run's folder."""
    prepare_run(event(), S3(client.stub), SETTINGS)
    with pytest.raises(InvalidRunRequest, match=r'is taken; .*"run_id": "run-1"'):
        prepare_run(event(started_at="2027-03-01T00:00:00Z"), S3(client.stub), SETTINGS)


def test_an_execution_name_that_cannot_be_a_folder_is_refused(client: InMemoryS3Client) -> None:
    """Step Functions takes names that S3 keys and job names do not."""
    with pytest.raises(InvalidRunRequest, match=r"the execution's name is 'a\.b'"):
        prepare_run(event("a.b"), S3(client.stub), SETTINGS)


def test_a_run_goes_on_under_its_first_id(client: InMemoryS3Client) -> None:
    """`run_id` leads to the earlier run's folder, and may bring another tolerance with it."""
    first = prepare_run(event(), S3(client.stub), SETTINGS)
    resumed = prepare_run(event("run-2", run_id="run-1", tolerated_failure_percent=5), S3(client.stub), SETTINGS)
    assert resumed == {**first, "tolerated_failure_percent": "5"}


@pytest.mark.parametrize(
    "pace",
    [
        {"seconds_per_item": 1e-6},
        {"bytes_per_second": 100_000_000_000},
        {"seconds_per_item": 86_400, "bytes_per_second": 1},
    ],
)
def test_a_pace_is_written_down_and_may_change(client: InMemoryS3Client, pace: dict[str, float]) -> None:
    """One part of it is enough; a resumed run may be given another, as it decides nothing that a run computes."""
    first = prepare_run(event(pace=pace), S3(client.stub), SETTINGS)
    written = json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])
    assert written["request"]["pace"] == pace
    assert prepare_run(event("run-2", run_id="run-1", pace={"seconds_per_item": 3}), S3(client.stub), SETTINGS) == first


@pytest.mark.parametrize("base", ["latest", "run-0"])
def test_a_base_is_written_down_and_a_resumed_run_need_not_name_it(client: InMemoryS3Client, base: str) -> None:
    """It decides nothing that a run computes; the run keeps the one that it was planned with."""
    given: dict[str, Any] = {"reuse_required": True, "verify_outputs": True, "mirror_limit_percent": 3}
    first = prepare_run(event(reuse=base, **given), S3(client.stub), SETTINGS)
    written = json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])["request"]
    assert written == written | given | {"reuse": base, "mirror": False}
    assert first["planned"] is False
    assert prepare_run(event("run-2", run_id="run-1", mirror_limit_percent=3), S3(client.stub), SETTINGS) == first


def test_a_run_cannot_go_on_as_another(client: InMemoryS3Client) -> None:
    """What decides the result must be what it was; the error says what differs."""
    prepare_run(event(), S3(client.stub), SETTINGS)
    with pytest.raises(RunIdentityError, match=r'include was \[\], is \["\*.md"\]'):
        prepare_run(event("run-2", run_id="run-1", include=["*.md"]), S3(client.stub), SETTINGS)


def test_another_code_version_cannot_go_on(client: InMemoryS3Client) -> None:
    """A run that was started before an update is refused before any job, and the error says what differs."""
    prepare_run(event(), S3(client.stub), SETTINGS)
    newer = replace(SETTINGS, code_version="1.3.0")
    with pytest.raises(RunIdentityError, match=r'code version was "1\.2\.3", is "1\.3\.0"'):
        prepare_run(event("run-2", run_id="run-1"), S3(client.stub), newer)


@pytest.mark.parametrize(("percent", "text"), [(0.1, "0.1"), (33.333333333, "33.333333333"), (5, "5")])
def test_the_tolerance_reaches_the_merge_as_it_was_given(client: InMemoryS3Client, percent: float, text: str) -> None:
    """The words of the merge job's command give the very numbers of the input."""
    run = prepare_run(
        event(tolerated_failure_percent=percent, tolerated_failure_count=1_000_000), S3(client.stub), SETTINGS
    )
    assert run["tolerated_failure_percent"] == text
    assert run["tolerated_failure_count"] == "1000000"


def test_once_starts_a_run_or_goes_on_with_it(client: InMemoryS3Client) -> None:
    """Of two executions that an event started twice, the second joins the run of the first; another request may not."""
    given: dict[str, Any] = {"run_id": "upload-7", "once": True, "keys": ["a.csv"]}
    first = prepare_run(event("one", **given), S3(client.stub), SETTINGS)
    written = client.bodies("results")
    second = prepare_run(event("two", started_at="2026-11-21T09:00:05Z", **given), S3(client.stub), SETTINGS)

    assert first == second
    assert first["run_id"] == "upload-7"
    assert client.bodies("results") == written
    assert list(written) == ["out/_millrace/upload-7/run.json"]
    with pytest.raises(RunIdentityError, match=r'keys was \["a\.csv"\], is \["b\.csv"\]'):
        prepare_run(event("three", **{**given, "keys": ["b.csv"]}), S3(client.stub), SETTINGS)
    assert prepare_run(event("four", run_id="upload-7", keys=["a.csv"]), S3(client.stub), SETTINGS) == first


@pytest.mark.parametrize(
    ("given", "queue"),
    [
        ({}, "standard"),
        ({"source": "s3://letters/urgent/"}, "urgent"),
        ({"source": "s3://letters/urgent/", "queue": "standard"}, "standard"),
        ({"source": "s3://letters/", "keys": ["urgent/a", "urgent/b"]}, "urgent"),
        ({"source": "s3://letters/", "keys": ["urgent/a", "in/b"]}, "standard"),
        ({"source": "s3://letters/", "keys": ["fast/a"]}, "urgent"),
        ({"source": "s3://others/", "keys": ["fast/a"]}, "standard"),
    ],
)
def test_a_rule_names_the_queue_that_the_request_does_not(given: dict[str, Any], queue: str) -> None:
    """The first rule that fits the source, or every key that is named, counts; a request's own queue counts more."""
    rules = parse_queue_rules(
        '[{"prefix": "urgent/", "queue": "urgent"}, {"prefix": "s3://letters/fast/", "queue": "urgent"}]',
        ("standard", "urgent"),
    )
    queues = {"standard": QUEUE, "urgent": QUEUE + "-urgent"}
    client = InMemoryS3Client("letters", "others", "results")
    run = prepare_run(event(**given), S3(client.stub), replace(SETTINGS, queues=queues, queue_rules=rules))
    assert run["queue"] == queues[queue]
    assert json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])["request"]["queue"] == queue


def test_queues_are_those_of_the_stack(client: InMemoryS3Client) -> None:
    """The queue's name becomes its ARN."""
    settings = replace(SETTINGS, queues={"standard": QUEUE, "urgent": QUEUE + "-urgent"})
    assert prepare_run(event(queue="urgent"), S3(client.stub), settings)["queue"] == QUEUE + "-urgent"


@pytest.mark.parametrize("run_id", ["r", "x" * 80])
@pytest.mark.parametrize(("workload", "below"), [("word-count", 37), ("images", 37), ("acme.words:Count", 100)])
def test_a_destination_is_as_long_as_every_key_below_it_allows(
    client: InMemoryS3Client, run_id: str, workload: str, below: int
) -> None:
    """The longest key is one of a retry's folder: a byte more of the destination is refused, in bytes, before a job."""
    room = 1024 - len(f"_millrace/{run_id}/retries/999/") - below
    fits = "é" * ((room - 1) // 2) + "x" * ((room - 1) % 2) + "/"
    assert len(fits.encode()) == room
    prepare_run(event(run_id, workload=workload, destination=f"s3://results/{fits}"), S3(client.stub), SETTINGS)
    with pytest.raises(InvalidRunRequest, match=f"at most {room} bytes, this one has {room + 1}") as caught:
        prepare_run(event(run_id, workload=workload, destination=f"s3://results/y{fits}"), S3(client.stub), SETTINGS)
    assert caught.value.field == "destination"


@pytest.mark.parametrize(
    "folder", ["_millrace", "_millrace/", "_millrace/run-0/", "a/_millrace/b/", "a/_millrace", "/_millrace/"]
)
def test_a_destination_among_run_folders_is_refused(client: InMemoryS3Client, folder: str) -> None:
    """A run's own files, and its outputs, would write over those of others."""
    refused = refusal(client, destination=f"s3://results/{folder}")
    assert isinstance(refused, InvalidRunRequest)
    assert (refused.field, "_millrace" in refused.allowed) == ("destination", True)
    assert not client.bodies("results")


@pytest.mark.parametrize("folder", ["x_millrace/", "_millrace2/", "_MILLRACE/", "a/.millrace/"])
def test_a_destination_that_looks_like_a_run_folder_is_none(client: InMemoryS3Client, folder: str) -> None:
    """A whole segment counts, character by character."""
    assert prepare_run(event(destination=f"s3://results/{folder}"), S3(client.stub), SETTINGS)["run_id"] == "run-1"


CODE = "s3://results/_millrace/code/" + "0" * 64 + ".zip"


def test_a_run_names_the_zip_of_its_code(client: InMemoryS3Client) -> None:
    """One that is there is taken, and its run continues only with the same code."""
    client.store("results", CODE.removeprefix("s3://results/"), b"a zip")
    given = {"workload": "mine:lines", "code": CODE}
    prepare_run(event(**given), S3(client.stub), SETTINGS)
    written = json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])
    assert written["request"]["code"] == CODE
    other = CODE.replace("0.zip", "1.zip")
    client.store("results", other.removeprefix("s3://results/"), b"another")
    assert isinstance(refusal(client, name="run-2", **{**given, "code": other, "run_id": "run-1"}), RunIdentityError)


def test_a_zip_of_code_is_looked_at_before_anything_is_written(
    client: InMemoryS3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, denied, or too large: refused within a second, with the command that uploads it."""
    key = CODE.removeprefix("s3://results/")
    assert "millrace run --code FOLDER" in str(refusal(client, workload="mine:lines", code=CODE))
    client.denied.add(("results", key))
    assert "millrace run --code FOLDER" in str(refusal(client, workload="mine:lines", code=CODE))
    client.denied.clear()
    client.store("results", key, b"a zip")
    monkeypatch.setattr("prepare_run.MAX_PACKED_BYTES", 4)
    assert "at most 4 bytes; it has 5" in str(refusal(client, workload="mine:lines", code=CODE))
    with pytest.raises(InvalidRunRequest, match="has neither code nor"):
        prepare_run(
            event(workload="mine:lines", code=CODE),
            S3(client.stub),
            replace(SETTINGS, allowed_workloads=("mine:*",)),
        )
    assert "out/_millrace/run-1/run.json" not in client.bodies("results")


class States:
    """Step Functions, as far as `at work or not` goes."""

    def __init__(self, *running: str) -> None:
        self.running = {f"arn:aws:states:us-east-1:123456789012:execution:millrace:{name}" for name in running}

    def __call__(self, arn: str) -> bool:
        """Whether the execution is at work."""
        return arn in self.running


def started(client: InMemoryS3Client, name: str, at_work: States, **given: Any) -> dict[str, Any]:
    """What Prepare Run makes of a start while others are at work."""
    return prepare_run(event(name, **given), S3(client.stub), SETTINGS, at_work)


def test_a_start_that_minds_is_skipped_while_another_is_at_work(client: InMemoryS3Client) -> None:
    """It says which run that is, and writes nothing: no run folder, and the turn stays the other's."""
    assert started(client, "one", States("one"), overlap="skip")["overlap"] == ""
    written = client.bodies("results")
    second = started(client, "two", States("one", "two"), overlap="skip")

    assert client.bodies("results") == written
    assert (second["overlap"], second["status"], second["run_id"]) == ("skip", "SKIPPED", "two")
    assert second["at_work"]["run_id"] == "one"
    assert second["message"] == f"Run one is still at work on {SOURCE}, so this one was skipped"


def test_a_queued_start_looks_again_and_runs_when_the_other_has_ended(client: InMemoryS3Client) -> None:
    """Until then it waits, a minute at first, and has no folder either."""
    started(client, "one", States("one"), overlap="queue")
    waiting = started(client, "two", States("one", "two"), overlap="queue")
    assert (waiting["overlap"], waiting["status"]) == ("queue", "QUEUED")
    assert waiting["wait_seconds"] >= 60
    assert not client.bodies("results", "out/_millrace/two/")

    assert started(client, "two", States("two"), overlap="queue")["overlap"] == ""
    assert client.bodies("results", "out/_millrace/two/")


@pytest.mark.parametrize("overlap", ["skip", "queue"])
def test_a_start_runs_when_the_last_one_has_ended_in_any_way(client: InMemoryS3Client, overlap: str) -> None:
    """A run that failed, was stopped or is forgotten gives its turn away by not being at work; a call comes twice."""
    for name in ("one", "two", "three"):
        for _ in range(2):
            assert started(client, name, States(name), overlap=overlap)["overlap"] == ""


def test_a_start_that_does_not_mind_neither_asks_nor_is_seen(client: InMemoryS3Client) -> None:
    """The default: two runs into one destination at once, as ever."""

    def nobody_asks(_arn: str) -> bool:
        pytest.fail("a run that does not mind others asked for them")

    for name in ("one", "two"):
        assert prepare_run(event(name), S3(client.stub), SETTINGS, nobody_asks)["overlap"] == ""
    assert started(client, "three", States("one", "two", "three"), overlap="skip")["overlap"] == ""


@pytest.mark.parametrize(
    "other", [{"source": "s3://letters/out/"}, {"destination": "s3://results/elsewhere/"}, {"workload": "copy"}]
)
def test_only_a_run_of_the_same_kind_is_minded(client: InMemoryS3Client, other: dict[str, Any]) -> None:
    """Another source, destination or workload is another schedule."""
    started(client, "one", States("one"), overlap="skip")
    assert started(client, "two", States("one", "two"), overlap="skip", **other)["overlap"] == ""


def test_of_two_starts_at_once_one_has_the_turn(client: InMemoryS3Client) -> None:
    """Between the other's look and its write this one takes the turn: it sees that, and is skipped."""
    at_work = States("one", "two")
    first: dict[str, Any] = {}

    def before(verb: str, _bucket: str, key: str) -> None:
        if verb == "put_object" and "at-work-" in key and not first:
            first["taken"] = True
            first.update(started(client, "one", at_work, overlap="skip"))

    client.before = before
    second = started(client, "two", at_work, overlap="skip")
    assert (first["overlap"], second["overlap"]) == ("", "skip")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"run_id": 1, "execution_arn": 2, "started_at": 3}'])
def test_a_damaged_turn_is_nobodys(client: InMemoryS3Client, body: bytes) -> None:
    """A file that says nothing must not stop a schedule for ever."""
    started(client, "one", States("one"), overlap="skip")
    (key,) = client.bodies("results", "out/_millrace/at-work-")
    client.store("results", key, body)
    assert started(client, "two", States("two"), overlap="skip")["overlap"] == ""
    assert json.loads(client.bodies("results")[key])["run_id"] == "two"


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 60), (9, 60), (60, 360), (299, 1794), (10_000, 1800)])
def test_a_queued_start_looks_ever_more_rarely(minutes: int, seconds: int) -> None:
    """A tenth of what it has waited, one to thirty minutes: days of waiting fit into one history."""
    then = datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert wait_seconds(then.isoformat(), then + timedelta(minutes=minutes)) == seconds


@pytest.mark.parametrize(
    ("code", "at_work"), [("", True), ("ExecutionDoesNotExist", False), ("InvalidArn", False), ("Throttled", None)]
)
def test_step_functions_is_asked_whether_a_run_is_at_work(*, code: str, at_work: bool | None) -> None:
    """What it has forgotten is not; where it does not say, the run fails and the error names the way on."""
    client = boto3.client("stepfunctions", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    arn = "arn:aws:states:us-east-1:123456789012:execution:millrace:one"
    answer = {"executionArn": arn, "stateMachineArn": arn, "status": "RUNNING", "startDate": datetime.now(UTC)}
    with Stubber(client) as stub:
        if code:
            stub.add_client_error("describe_execution", code)
        else:
            stub.add_response("describe_execution", answer, {"executionArn": arn})
        if at_work is None:
            with pytest.raises(MillraceError, match='"overlap": "run" starts without asking'):
                Executions(client).are_at_work(arn)
        else:
            assert Executions(client).are_at_work(arn) is at_work


def test_a_resumed_run_may_have_another_name(client: InMemoryS3Client) -> None:
    """The name and the tags are no part of what the run is: run.json keeps the first, and nothing is refused."""
    first = event()
    first["input"] |= {"name": "Nightly", "tags": {"team": "ads"}}
    prepare_run(first, S3(client.stub), SETTINGS)
    again = event("by-hand", run_id="run-1")
    again["input"] |= {"name": "Nightly - again", "tags": {}}
    assert prepare_run(again, S3(client.stub), SETTINGS)["run_id"] == "run-1"
    written = json.loads(client.bodies("results")["out/_millrace/run-1/run.json"])["request"]
    assert (written["name"], written["tags"]) == ("Nightly", {"team": "ads"})
    assert isinstance(refusal(client, tags={"aws:x": "1"}), InvalidRunRequest)
