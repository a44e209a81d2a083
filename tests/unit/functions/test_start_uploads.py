"""Start Uploads: one run over what was uploaded, whatever the events are like and however often they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

import start_uploads as module
from millrace.queue_rules import parse_queue_rules
from millrace.request.run_request import RunRequest
from millrace.settings import UploadSettings
from start_uploads import MOST_INPUT_BYTES, MOST_RECEIVES, later, start_uploads

REQUEST = {"source": "s3://letters/", "destination": "s3://results/uploads/", "workload": "word-count", "options": {}}
SETTINGS = UploadSettings("arn:aws:states:us-east-1:123456789012:stateMachine:millrace", REQUEST)
QUEUES = {"standard": "arn:q/standard", "urgent": "arn:q/urgent"}
MAX_INPUT_BYTES = 262_144
"""StartExecution, `input`."""
ODD_KEYS = [
    'a"b',
    "a\\b",
    '\\"',
    "a\\",
    "<request>",
    '{"a": 1}',
    '", "x": "',
    "in/a b+%41é",
    "😀/👩‍👩‍👧.csv",
    "line\nfeed",
    " ",
    "a//../b",
]


class Context:
    """As much of a Lambda's context as the logger reads."""

    function_name = function_version = invoked_function_arn = aws_request_id = "x"
    memory_limit_in_mb = 512


def denied(operation: str, code: str = "AccessDeniedException") -> ClientError:
    """An answer of AWS that says no."""
    return ClientError({"Error": {"Code": code, "Message": "not now"}}, operation)


class StepFunctions:
    """StartExecution: a name stands for one execution for ever, as on AWS where it has ended."""

    class exceptions:  # noqa: N801 - as botocore has it
        """What botocore generates."""

        class ExecutionAlreadyExists(Exception):  # noqa: N818 - as in the API
            """The name is taken."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.refuses: set[str] = set()
        self.calls = 0

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: A002, N803
        """Start, or refuse: an input that is too long, a name that is taken, a key that a test has refused."""
        self.calls += 1
        assert stateMachineArn == SETTINGS.state_machine_arn
        assert len(input.encode()) <= MAX_INPUT_BYTES
        request = json.loads(input)
        if self.refuses & set(request["keys"]):
            raise denied("StartExecution", "ThrottlingException")
        if name in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        self.started[name] = request
        return {"executionArn": name}

    def keys(self) -> list[list[str]]:
        """The keys of every run."""
        return [request["keys"] for request in self.started.values()]


class Queues:
    """SendMessage to the dead-letter queue."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refuses = False

    def send_message(self, **given: Any) -> None:
        """Keep it, unless the test says otherwise."""
        if self.refuses:
            raise denied("SendMessage")
        self.sent.append(given)

    def reasons(self) -> list[tuple[str, str]]:
        """The code and the words that the messages came with."""
        texts = [{name: each["StringValue"] for name, each in sent["MessageAttributes"].items()} for sent in self.sent]
        return [(text["ERROR_CODE"], text["ERROR_MESSAGE"]) for text in texts]


def event(key: Any, sequencer: Any = "0A", size: Any = 1, bucket: str = "letters", **top: Any) -> dict[str, Any]:
    """S3's event of an object."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "size": size, "sequencer": sequencer}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail, **top}


def record(body: Any, number: int = 0, receives: int = 1) -> dict[str, Any]:
    """A message as Lambda hands it over."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": f"m{number}", "body": text, "attributes": {"ApproximateReceiveCount": str(receives)}}


def batch(*events: Any, receives: int = 1) -> list[dict[str, Any]]:
    """A batch of messages."""
    return [record(each, number, receives) for number, each in enumerate(events)]


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    """The Step Functions that the handler starts runs on."""
    made = StepFunctions()
    monkeypatch.setattr(module, "states", made)
    monkeypatch.setenv("STATE_MACHINE_ARN", SETTINGS.state_machine_arn)
    monkeypatch.setenv("UPLOAD_REQUEST", json.dumps(REQUEST))
    monkeypatch.setenv("UNDELIVERED_QUEUE_URL", "https://undelivered")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "1")
    return made


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Queues:
    """The dead-letter queue."""
    made = Queues()
    monkeypatch.setattr(module, "queues", made)
    return made


def all_keys(states: StepFunctions) -> list[str]:
    """The keys of all runs."""
    return [key for keys in states.keys() for key in keys]  # noqa: SIM118 - no dict


def outcome_of(
    states: StepFunctions, records: list[dict[str, Any]], settings: UploadSettings = SETTINGS
) -> module.Outcome:
    """Start the runs of a batch."""
    client: Any = states
    return start_uploads(records, settings, client)


def handled(records: list[dict[str, Any]]) -> list[str]:
    """Call the handler: the messages that are to come again."""
    context: Any = Context()
    answer = module.handler({"Records": records}, context)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_fifty_uploads_are_one_run(states: StepFunctions, queues: Queues) -> None:
    """A batch is one execution, named as the run, whose request Prepare Run takes as it is."""
    assert handled(batch(*(event(f"in/{number}.txt") for number in range(50)))) == []
    ((name, request),) = states.started.items()
    assert request == {
        **REQUEST,
        "keys": sorted(f"in/{number}.txt" for number in range(50)),
        "run_id": name,
        "once": True,
    }
    assert RunRequest.parse(request).keys == request["keys"]
    assert queues.sent == []


@given(
    keys=st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(ODD_KEYS), unique=True
    )
)
def test_keys_go_through_unharmed(keys: list[str]) -> None:
    """Quotes, backslashes, blanks, emoji, plus and percent signs: the run's keys are the objects', as they are."""
    states = StepFunctions()
    outcome = outcome_of(states, batch(*map(event, keys)))
    assert all_keys(states) == sorted(key for key in keys if "_millrace" not in key.split("/"))
    assert outcome.undone == []


def test_a_batch_that_comes_again_starts_nothing(states: StepFunctions, queues: Queues) -> None:
    """In another order too: the name is made of the events, and a name that is taken is a run that was started."""
    events = [event("a", "01"), event("b", "02"), event("c", "03")]
    assert handled(batch(*events)) == handled(batch(*reversed(events))) == []
    assert (len(states.started), states.calls, queues.sent) == (1, 2, [])


def test_another_upload_of_the_same_keys_is_another_run(states: StepFunctions) -> None:
    """The sequencer tells it from the first: a name made of keys alone would leave it out for 90 days."""
    handled(batch(event("a", "01")))
    handled(batch(event("a", "02")))
    assert states.keys() == [["a"], ["a"]]


def test_an_event_that_comes_twice_or_is_superseded_is_dropped(states: StepFunctions) -> None:
    """The key is worked once; the latest event names the run, in whatever order they come."""
    first, second = event("a", "0055AED6DCD90281E5"), event("a", "0055AED6DCD90281E6")
    assert handled(batch(first, second, first, event("b"))) == []
    handled(batch(event("b"), second))
    assert states.keys() == [["a", "b"]]


@pytest.mark.parametrize(
    ("one", "other", "latest"),
    [
        ("0A", "0B", "0B"),
        ("0B", "0A", "0B"),
        ("0A", "0A01", "0A01"),
        ("0B", "0A01", "0B"),
        ("0a", "0A", "0a"),
        ("", "00", ""),
    ],
)
def test_sequencers_are_compared_at_one_length(one: str, other: str, latest: str) -> None:
    """As S3 says: zeros behind the shorter one, then letter by letter."""
    assert later(one, other) == latest


def test_what_is_no_upload_starts_nothing(states: StepFunctions, queues: Queues) -> None:
    """A folder made in the console, and a run's own files; an object whose key ends so but has bytes is one."""
    events = [
        event("folder/", size=0),
        event("_millrace/r/run.json"),
        event("a/_millrace/r/x"),
        event("my_millrace/x"),
        event("b/"),
    ]
    assert handled(batch(*events)) == []
    assert states.keys() == [["b/", "my_millrace/x"]]
    assert queues.sent == []
    assert handled(batch(event("folder/", size=0))) == []
    assert len(states.started) == 1


BAD = [
    "", "no JSON", "[]", "null", "7", '"text"', "{}", '{"detail": null}',
    {"Records": [{"eventName": "ObjectCreated:Put"}]},
    event(None), event(7), event(""), event("a", bucket="elsewhere"), event("a", sequencer=7), event("x" * 1025),
    event("\ud800"), event("a", source="aws.batch"), {**event("a"), "detail-type": "Object Deleted"}, "[" * 100_000,
    {"Event": "s3:TestEvent", "Bucket": "letters"},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=lambda body: str(body)[:40])
def test_what_is_no_s3_event_is_buried_with_the_reason(states: StepFunctions, queues: Queues, body: Any) -> None:
    """At its first coming, beside a good one that is worked: body and reason are in the dead-letter queue."""
    bad = record(body, 7)
    assert handled([bad, record(event("good"), 8)]) == []
    assert states.keys() == [["good"]]
    ((code, reason),) = queues.reasons()
    assert code == "NO_UPLOAD"
    assert reason.isprintable()
    assert 20 < len(reason) <= 1000
    assert (queues.sent[0]["MessageBody"], queues.sent[0]["QueueUrl"]) == (bad["body"], "https://undelivered")


def test_the_dead_letter_queue_that_takes_nothing(states: StepFunctions, queues: Queues) -> None:
    """What cannot be buried goes back to the queue, whose own policy buries it at last."""
    queues.refuses = True
    assert handled([record("no JSON", 7), record(event("good"), 8)]) == ["m7"]
    assert states.keys() == [["good"]]


def test_what_cannot_be_started_comes_again(states: StepFunctions, queues: Queues) -> None:
    """Every message of its keys, the superseded too; the runs beside it are started."""
    states.refuses = {"b"}
    rules = parse_queue_rules('[{"prefix": "b", "queue": "urgent"}]', QUEUES)
    settings = UploadSettings(SETTINGS.state_machine_arn, REQUEST, rules)
    outcome = outcome_of(states, batch(event("a"), event("b", "01"), event("b", "02")), settings)
    assert [(each[0]["messageId"], each[2]) for each in outcome.undone] == [("m1", True), ("m2", True)]
    assert states.keys() == [["a"]]
    assert handled(batch(event("b"), event("c"))) == ["m0", "m1"]
    assert queues.sent == []
    states.refuses = set()
    assert handled(batch(event("b"), event("c"), receives=2)) == []
    assert states.keys() == [["a"], ["b", "c"]]


def test_the_last_failure_is_buried_with_the_reason(states: StepFunctions, queues: Queues) -> None:
    """What has come so often is not left to SQS, which knows no reason."""
    states.refuses = {"b"}
    assert handled([record(event("b"), receives=MOST_RECEIVES - 1)]) == ["m0"]
    assert queues.sent == []
    assert handled([record(event("b"), receives=MOST_RECEIVES)]) == []
    ((code, reason),) = queues.reasons()
    assert code == "UPLOAD_NOT_STARTED"
    assert "ThrottlingException" in reason


@pytest.mark.parametrize(
    "request_text",
    ["", "{", "[]", '{"source": "s3://letters/"}', '{"source": "s3://a/", "destination": 1, "options": }'],
)
def test_a_wrong_parameter_is_named(
    states: StepFunctions, queues: Queues, monkeypatch: pytest.MonkeyPatch, request_text: str
) -> None:
    """Uploads wait, and at last are in the dead-letter queue under the name of what is wrong; nothing is lost."""
    monkeypatch.setenv("UPLOAD_REQUEST", request_text)
    assert handled(batch(event("a"), event("b"))) == ["m0", "m1"]
    assert handled([record(event("a"), receives=MOST_RECEIVES)]) == []
    assert "UPLOAD_REQUEST" in queues.reasons()[0][1]
    assert states.started == {}


def test_ten_thousand_uploads_in_a_minute(states: StepFunctions) -> None:
    """Ten batches of a thousand are ten runs, and every key is in one of them."""
    for begin in range(0, 10_000, 1000):
        assert handled(batch(*(event(f"in/{number:05}.txt") for number in range(begin, begin + 1000)))) == []
    assert len(states.started) == 10
    assert sorted(all_keys(states)) == [f"in/{number:05}.txt" for number in range(10_000)]


@pytest.mark.parametrize("letter", ["x", "é", '"', "\x01", "😀"])
def test_long_keys_are_several_runs(states: StepFunctions, letter: str) -> None:
    """A thousand keys of 1,024 bytes do not fit one execution's input; they are a few runs, none of them too long."""
    length = (1024 - 4) // len(letter.encode())
    keys = [f"{number:04}{letter * length}" for number in range(1000)]
    assert handled(batch(*map(event, keys))) == []
    assert all_keys(states) == keys
    assert len(states.started) <= 1 + sum(len(json.dumps(key, ensure_ascii=False).encode()) for key in keys) // (
        MOST_INPUT_BYTES - 10_000
    )
    assert all(RunRequest.parse(request) for request in states.started.values())


def test_no_run_has_more_keys_than_a_request_may(states: StepFunctions) -> None:
    """A batch that is larger than a request is two runs."""
    handled(batch(*(event(str(number)) for number in range(1001))))
    assert sorted(map(len, states.keys())) == [1, 1000]


def test_each_bucket_has_a_run_of_its_own(states: StepFunctions) -> None:
    """A batch is one run for each bucket, with a folder of its own for the outputs: both may have the same keys."""
    settings = UploadSettings(SETTINGS.state_machine_arn, REQUEST, buckets=("letters", "scans"))
    events = batch(event("in/a", "01"), event("in/a", "01", bucket="scans"), event("b", bucket="scans"))
    outcome = outcome_of(states, events, settings)
    assert [(request["source"], request["keys"], request["destination"]) for request in states.started.values()] == [
        ("s3://letters/", ["in/a"], "s3://results/uploads/letters/"),
        ("s3://scans/", ["b", "in/a"], "s3://results/uploads/scans/"),
    ]
    assert (outcome.runs, outcome.uploads, outcome.undone) == (2, 3, [])
    assert all(RunRequest.parse(request) for request in states.started.values())
    outcome_of(states, list(reversed(events)), settings)
    assert len(states.started) == 2


def test_an_event_of_no_source_starts_nothing(states: StepFunctions) -> None:
    """The buckets whose uploads start runs are named in the reason."""
    settings = UploadSettings(SETTINGS.state_machine_arn, REQUEST, buckets=("letters", "scans"))
    ((_, reason, again),) = outcome_of(states, batch(event("a", bucket="results")), settings).undone
    assert not again
    assert "not of an object that was put into s3://letters/ or s3://scans/" in reason
    assert states.started == {}


def test_the_buckets_come_from_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five places with folders and hyphens: each bucket once."""
    monkeypatch.setenv("UPLOAD_REQUEST", json.dumps(REQUEST))
    monkeypatch.setenv("UPLOAD_SOURCES", "letters/in,scans,letters/new/deep,-,-")
    assert UploadSettings.from_environment().buckets == ("letters", "scans")
    monkeypatch.delenv("UPLOAD_SOURCES")
    assert UploadSettings.from_environment().buckets == ()


def test_each_queue_has_a_run_of_its_own(states: StepFunctions) -> None:
    """Where the request names no queue, the first rule that fits each object does, and the request says which."""
    rules = parse_queue_rules('[{"prefix": "now/a", "queue": "urgent"}, {"prefix": "now/", "queue": "urgent"}]', QUEUES)
    settings = UploadSettings(SETTINGS.state_machine_arn, REQUEST, rules)
    events = batch(event("now/a"), event("later/a"), event("now/b"))
    outcome_of(states, events, settings)
    assert sorted((request["keys"], request.get("queue")) for request in states.started.values()) == [
        (["later/a"], None), (["now/a", "now/b"], "urgent"),
    ]  # fmt: skip
    named = StepFunctions()
    outcome_of(named, events, UploadSettings(SETTINGS.state_machine_arn, {**REQUEST, "queue": "standard"}, rules))
    assert named.keys() == [["later/a", "now/a", "now/b"]]


def test_the_template_tries_as_often() -> None:
    """SQS's own limit is the function's: a lower one would bury messages without a reason."""
    template = (Path(__file__).parents[3] / "template.yaml").read_text(encoding="utf-8")
    assert f"maxReceiveCount: {MOST_RECEIVES} }}" in template


@pytest.mark.usefixtures("states", "queues")
def test_the_log_says_why_and_names_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """A message that starts nothing has a line with its id and the reason; objects' keys do not belong in logs."""
    handled([record("no JSON", 7), record(event("secret.txt"), 8)])
    lines = [vars(line) for line in caplog.records]
    (told,) = (line for line in lines if line["levelname"] == "ERROR")
    assert told["message_id"] == "m7"
    assert "JSONDecodeError" in told["reason"]
    assert "secret" not in str(lines)
