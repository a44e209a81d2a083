"""Which run may be reused, and why another may not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from millrace.errors import NothingToReuseError
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest
from millrace.reuse.base import Base, NoBase, find_base, require_base
from millrace.s3.verbs import S3
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

CODE = "1+jobs.12"
GIVEN: dict[str, Any] = {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", "reuse": "latest"}


def run(name: str = "base", day: int = 0, client: Any = None, **request: Any) -> RunInMemory:
    """A run over one item, on a day."""
    made = RunInMemory(
        folder=RunFolder.of(S3Uri(RESULT, "out/"), name), ticks=day * 86_400, request={"options": {}, **request}
    )
    if client is not None:
        made.client = client
    else:
        made.client.store(SOURCE, "in/a", b"one")
    return made


def worked(name: str = "base", day: int = 0, client: Any = None, **request: Any) -> RunInMemory:
    """The same, which has succeeded; its code is `CODE`."""
    made = run(name, day, client, **request)
    job = made.job
    made.job = lambda *given, **settings: replace(  # type: ignore[method-assign]
        job(*given, **settings), identify=lambda _settings, _workload: CODE
    )
    made.all()
    return made


def found(made: RunInMemory, code: str | None = CODE, *, writes_outputs: bool = True, **given: Any) -> Base | NoBase:
    """What is found for a run of today."""
    request = RunRequest.parse({**GIVEN, **given})
    s3 = S3(made.client.stub)
    return find_base(request, s3, run_id="today", code_version=code, writes_outputs=writes_outputs)


def why_not(made: RunInMemory, code: str | None = CODE, **given: Any) -> str:
    """Why nothing is found."""
    none = found(made, code, **given)
    assert isinstance(none, NoBase)
    return none.why_not


def test_the_latest_run_is_found() -> None:
    """Of two, the one that ended last."""
    first = worked()
    worked("second", 1, first.client)
    base = found(first)
    assert isinstance(base, Base)
    assert (base.run_id, base.retry) == ("second", 0)


def test_a_run_is_found_by_its_name() -> None:
    """Whatever code it is of, where that is not known."""
    for code in (CODE, None):
        base = found(worked(), code, reuse="base")
        assert isinstance(base, Base)
        assert base.run_id == "base"


@pytest.mark.parametrize("asked", ["latest", "base"])
@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({}, "2+jobs.12", "run base was worked by other code: Millrace's version changed"),
        ({}, "1+jobs.34", "run base was worked by other code: the code of the jobs changed"),
        ({"options": {"min_length": 7}}, CODE, "other options"),
        ({"source": f"s3://{SOURCE}/others/"}, CODE, "of other sources|had another source"),
        ({"workload": "copy"}, CODE, "no run of copy|another workload, word-count"),
        ({"destination": f"s3://{RESULT}/elsewhere/"}, CODE, f"no run .* ?in.*s3://{RESULT}/elsewhere/"),
    ],
)
def test_a_run_of_something_else_is_no_base(asked: str, given: dict[str, Any], code: str, says: str) -> None:
    """The reason says what differs, whether the run is named or the latest one is asked for."""
    assert re.search(says, why_not(worked(), code, reuse=asked, **given))


def lose(made: RunInMemory, *names: str) -> None:
    """Delete files of the run's folder."""
    for name in names:
        made.client.remove(RESULT, made.folder.file(name).key)


def test_a_run_that_is_not_there() -> None:
    """It expired, or it was a run into another destination."""
    made = worked()
    assert "there is no run other in s3://result/out/: its run folder has expired" in why_not(made, reuse="other")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda made: lose(made, "result.json"), "still running, was stopped, or failed"),
        (lambda made: lose(made, "plan.json", "result.json"), "there is no run base in .*expired"),
        (
            lambda made: made.client.store(RESULT, made.folder.plan.key, b'{"run_id": "base"}'),
            "another version of Millrace, or its files are damaged",
        ),
        (
            lambda made: made.client.store(RESULT, made.folder.file("result.json").key, b"[]"),
            "another version of Millrace, or its files are damaged",
        ),
    ],
)
@pytest.mark.parametrize("asked", ["latest", "base"])
def test_a_run_that_has_not_ended_or_is_damaged(asked: str, break_it: Callable[[RunInMemory], None], says: str) -> None:
    """It is no base, and it ends no run."""
    made = worked()
    break_it(made)
    assert re.search(says, why_not(made, reuse=asked))


def test_a_run_that_failed() -> None:
    """More of its items failed than it tolerates; nobody accepted that."""
    made = worked()
    document = json.loads(made.file("result.json") or b"")
    document |= {"status": "FAILED", "failures": {"NOT_TEXT": 1}}
    document["counts"] |= {"succeeded": 0, "failed": 1}
    made.client.store(RESULT, made.folder.file("result.json").key, json.dumps(document).encode())
    assert why_not(made) == "run base failed: more of its items failed than it tolerates"


def test_outputs_that_another_run_has_replaced() -> None:
    """They are no longer the base's; where a workload has no outputs, that does not matter."""
    made = worked(options={"min_length": 1})
    worked("other", 1, made.client, options={"min_length": 7})
    options = {"min_length": 1}
    says = "run other has written outputs of the same items since run base did, with other options or code"
    assert why_not(made, options=options) == says
    assert isinstance(found(made, writes_outputs=False, options=options), Base)


def test_outputs_that_a_run_has_replaced_before_it_failed() -> None:
    """It is in no list of runs that succeeded; before the base it does not matter, nor into another folder."""
    options = {"min_length": 1}
    before = run("before", options={"min_length": 7})
    before.plan()
    before.migrate()
    elsewhere = run("elsewhere", 2, before.client, options={"min_length": 7}, destination=f"s3://{RESULT}/else/")
    elsewhere.folder = RunFolder.of(S3Uri(RESULT, "else/"), "elsewhere")
    elsewhere.plan()
    elsewhere.migrate()
    made = worked(day=1, client=before.client, options=options)
    assert isinstance(found(made, options=options), Base)
    failed = run("failed", 2, made.client, options={"min_length": 7})
    failed.plan()
    assert isinstance(found(made, options=options), Base)
    failed.migrate()
    assert "run failed has written outputs" in why_not(made, options=options)


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b'{"run_id": "a"}', b'{"run_id": "a", "at": "?"}', b"x" * 99_999]
)
def test_a_note_that_says_nothing_is_as_good_as_one_of_today(body: bytes) -> None:
    """Only a full run is sure to leave what a full run leaves. Those of other sources are not looked at."""
    made = worked()
    (note,) = made.client.bodies(RESULT, "out/_millrace/writing-")
    about = note.rpartition("-")[0]
    made.client.store(RESULT, f"out/_millrace/writing-{'0' * 16}-{'0' * 16}.json", body)
    assert isinstance(found(made), Base)
    made.client.store(RESULT, f"{about}-{'0' * 16}.json", body)
    assert f"{about}-{'0' * 16}.json has written outputs" in why_not(made)


def test_a_child_notes_its_kind_once_a_minute() -> None:
    """Not for each shard; a workload without outputs notes nothing."""
    times = iter(range(0, 10_000, 5))
    made = run(shard={"max_items": 1})
    made.clock = lambda: float(next(times))
    for number in range(30):
        made.client.store(SOURCE, f"in/{number}", b"one")
    made.plan()
    written: list[str] = []
    made.client.before = lambda verb, _bucket, key: (
        written.append(key) if verb == "put_object" and "/writing-" in key else None
    )
    made.child()
    seconds = next(times)
    assert 1 < len(written) <= 1 + seconds / 60

    class Outputless(Sizes):
        item_suffixes = ()

        def migrate(self, item: Any, body: Any, _outputs: Any) -> Any:
            return item.key, len(b"".join(body))

    none = run("none", client=made.client)
    none.load = lambda _name, options: Outputless(options)
    written.clear()
    none.all()
    assert written == []


def test_a_run_over_uploads_hides_no_base() -> None:
    """It is over some keys alone, and has worked what has changed since, as the next run will."""
    made = worked()
    upload = worked("upload", 1, made.client, keys=["a"])
    assert json.loads(upload.file("plan.json") or b"")["over_keys"] is True
    for asked in ("latest", "base"):
        base = found(made, reuse=asked)
        assert isinstance(base, Base)
        assert base.run_id == "base"
    worked("other", 2, made.client, keys=["a"], options={"min_length": 7})
    assert "run other has written outputs" in why_not(made)


def test_a_run_cannot_reuse_itself() -> None:
    """As one could ask that starts a run again under its own name."""
    assert why_not(worked("today"), reuse="today") == "run today cannot reuse itself"


def test_without_a_base_a_run_that_requires_one_is_refused() -> None:
    """With exit code 2: another attempt would find none either."""
    with pytest.raises(NothingToReuseError, match=r"why\. Start the run without reuse_required") as raised:
        require_base(NoBase("why"), RunRequest.parse({**GIVEN, "reuse_required": True}))
    assert raised.value.exit_code == 2
    require_base(NoBase("why"), RunRequest.parse(GIVEN))
