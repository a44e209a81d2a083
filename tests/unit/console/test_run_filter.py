"""Which runs `list`, `resume --all-failed` and the page mean."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from console.__main__ import millrace
from console.find.run_filter import RunFacts, RunFilter, RunIndex, matching, moment_of, tags_asked
from console.find.run_lookup import FoundRun
from console.find.target import Target
from millrace.errors import InvalidRunRequest
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

ARN = "arn:aws:states:eu-west-1:1:execution:machine:"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
REQUEST = {"source": "s3://letters/in/", "destination": "s3://out/"}


class Account:
    """A target with these executions, the newest first, an hour apart: name, input, status."""

    def __init__(self, *executions: tuple[str, dict[str, Any], str]) -> None:
        self.executions = executions
        self.aws = self.step_functions = self
        self.endpoint_url = None
        self.stack = SimpleNamespace(state_machine_arn="machine")
        self.client = InMemoryS3Client("out")
        self.s3 = S3(self.client.stub)
        self.described: list[str] = []
        self.started: list[dict[str, Any]] = []

    def command(self, *words: str) -> str:
        """A command line."""
        return " ".join(("millrace", *words))

    def get_paginator(self, operation: str) -> SimpleNamespace:
        """Two executions a page; no history."""
        if operation == "get_execution_history":
            return SimpleNamespace(paginate=lambda **_given: [{"events": []}])

        def paginate(statusFilter: str = "", **_given: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
            listed = [
                {"name": name, "executionArn": ARN + name, "status": status, "startDate": NOW - timedelta(hours=age)}
                for age, (name, _, status) in enumerate(self.executions)
                if statusFilter in ("", status)
            ]
            for first in range(0, len(listed), 2):
                yield {"executions": listed[first : first + 2]}

        return SimpleNamespace(paginate=paginate)

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        """One of them, or one that was started."""
        self.described.append(executionArn)
        for each in self.started:
            if executionArn == ARN + each["name"]:
                return {"executionArn": executionArn, "input": each["input"], "status": "RUNNING"}
        name, given, status = next(each for each in self.executions if executionArn == ARN + each[0])
        times = {"startDate": NOW, "stopDate": NOW}
        return {"executionArn": executionArn, "name": name, "input": json.dumps(given), "status": status, **times}

    def start_execution(self, **given: Any) -> dict[str, str]:
        """Remember it."""
        self.started.append(given)
        return {"executionArn": ARN + given["name"]}


def runs() -> Account:
    """Four runs of five executions."""
    return Account(
        ("nightly-4", {**REQUEST, "name": "Nightly Letters", "tags": {"team": "search"}}, "SUCCEEDED"),
        ("r-3-resume-0123abcd", {**REQUEST, "run_id": "r-3"}, "SUCCEEDED"),
        ("r-3", REQUEST, "FAILED"),
        ("r-2", {**REQUEST, "workload": "copy", "tags": {"team": "ads", "urgent": ""}}, "TIMED_OUT"),
        ("r-1", {"source": 7}, "ABORTED"),
    )


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (RunFilter(), ["nightly-4", "r-3-resume-0123abcd", "r-3", "r-2", "r-1"]),
        (RunFilter(statuses=("FAILED", "TIMED_OUT")), ["r-3", "r-2"]),
        (RunFilter(statuses=("ABORTED",)), ["r-1"]),
        (RunFilter(since=NOW - timedelta(hours=1)), ["nightly-4", "r-3-resume-0123abcd"]),
        (RunFilter(name="night"), ["nightly-4"]),
        (RunFilter(workload="copy"), ["r-2"]),
        (RunFilter(workload="word-count"), ["nightly-4", "r-3-resume-0123abcd", "r-3"]),
        (RunFilter(tags=tags_asked(["team"])), ["nightly-4", "r-2"]),
        (RunFilter(tags=tags_asked(["team=search"])), ["nightly-4"]),
        (RunFilter(tags=tags_asked(["urgent="])), ["r-2"]),
        (RunFilter(words=("LETTERS", "search")), ["nightly-4"]),
        (RunFilter(words=("r-3",)), ["r-3-resume-0123abcd", "r-3"]),
    ],
)
def test_runs_are_found_by_what_is_known_of_them(asked: RunFilter, names: list[str]) -> None:
    """State, age, workload, a part of the name, tags, and any words."""
    account: Any = runs()
    assert [execution["name"] for execution, _ in matching(account, "machine", asked, RunIndex(account))] == names


def test_an_input_is_read_once() -> None:
    """Inputs never change: a second search asks for none again, and what is too old is not asked for at all."""
    account: Any = runs()
    index = RunIndex(account)
    since = RunFilter(name="x", since=NOW - timedelta(hours=1))
    assert list(matching(account, "machine", since, index)) == []
    assert len(account.described) == 2
    list(matching(account, "machine", RunFilter(name="x"), index))
    assert sorted(account.described) == sorted({ARN + name for name, _, _ in account.executions})


def test_an_age_or_a_date_is_a_moment() -> None:
    """Ages count back from now; a date is local; anything else is refused with what is allowed."""
    assert moment_of("90m", NOW) == NOW - timedelta(minutes=90)
    assert moment_of("2d", NOW) == NOW - timedelta(days=2)
    assert moment_of("1w", NOW) == NOW - timedelta(weeks=1)
    assert moment_of("2026-11-20T08:00+01:00", NOW) == datetime(2026, 11, 20, 7, tzinfo=UTC)
    assert moment_of("2026-11-20", NOW) == datetime(2026, 11, 20).astimezone(UTC)
    for wrong in ("yesterday", "2y", "", "-1d"):
        with pytest.raises(InvalidRunRequest, match="an age"):
            moment_of(wrong, NOW)


@pytest.mark.parametrize(
    ("name", "request_", "who"),
    [
        ("upload-4711", {**REQUEST, "run_id": "upload-4711"}, "an upload"),
        ("0c8b35d3-0f0e-4f5a-b9ea-0a6f0b6f1c11_5d4cbb54-5d8c-4d53-8d5e-3d2d2a6a8f10", REQUEST, "the schedule"),
        ("r-3-resume-0123abcd", {**REQUEST, "run_id": "r-3"}, "a resume"),
        ("r-3", REQUEST, "a person"),
        ("r-3", {**REQUEST, "tags": {"started-by": "ada"}}, "ada"),
    ],
)
def test_who_started_a_run(name: str, request_: dict[str, Any], who: str) -> None:
    """By its tag, or by the form of its execution's name."""
    found = FoundRun(str(request_.get("run_id", name)), ARN + name, request_, None)
    assert RunFacts.of(found).started_by(name) == who


def invoked(monkeypatch: pytest.MonkeyPatch, account: Account, *words: str, answer: str = "") -> Any:
    """What the command line does with an answer typed in."""
    monkeypatch.setattr(Target, "choose", lambda **_given: account)
    return CliRunner(mix_stderr=False).invoke(millrace, words, input=answer)


def test_the_list_shows_names_and_finds_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns of names and tags are there where a run has one; --json has both."""
    told = invoked(monkeypatch, runs(), "list", "--tag", "team").output
    assert "Nightly Letters" in told
    assert "team=ads, urgent" in told
    found = json.loads(invoked(monkeypatch, runs(), "list", "--failed", "--json").output)
    assert [each["run_id"] for each in found] == ["r-3", "r-2"]
    assert found[1]["tags"] == {"team": "ads", "urgent": ""}
    assert invoked(monkeypatch, runs(), "list", "--failed", "--status", "FAILED").exit_code == 2


def with_run_json(account: Account, *run_ids: str) -> Account:
    """The same, with the files that Prepare Run writes."""
    for run_id in run_ids:
        request = next(given for name, given, _ in account.executions if name == run_id)
        body = json.dumps({"run_id": run_id, "request": {"workload": "word-count", **request}}).encode()
        account.client.store("out", f"_millrace/{run_id}/run.json", body)
    return account


def test_all_that_failed_is_resumed_once_that_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was resumed with success is left alone, so is a cancelled one; nothing is started before a yes."""
    account = with_run_json(runs(), "r-2")
    refused = invoked(monkeypatch, account, "resume", "--all-failed", answer="n\n")
    assert isinstance(refused.exception, click.Abort) or refused.exit_code != 0
    assert account.started == []
    done = invoked(monkeypatch, account, "resume", "--all-failed", answer="y\n")
    assert done.exit_code == 0, done.output
    [started] = account.started
    assert started["name"].startswith("r-2-resume-")
    assert json.loads(started["input"])["tags"] == {"team": "ads", "urgent": ""}
    nothing = invoked(monkeypatch, runs(), "resume", "--all-failed", "--workload", "images", "--yes")
    assert (nothing.exit_code, "No run has failed." in nothing.stderr) == (0, True)


def test_only_all_failed_takes_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """`resume RUN --since 2d` would say what it does not do."""
    assert invoked(monkeypatch, runs(), "resume", "r-2", "--since", "2d").exit_code == 2
    assert invoked(monkeypatch, runs(), "resume", "r-2", "--all-failed").exit_code == 2


def test_several_runs_are_watched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each; a run that failed gives the exit code; a run that is named twice is watched once."""
    account = runs()
    for words, names in ((("nightly-4", "nightly-4", "r-3-resume-0123abcd"), 2), (("nightly-4", "r-2"), 2)):
        told = invoked(monkeypatch, account, "watch", *words, "--json")
        document = json.loads(told.stdout)
        assert len(document) == names
        assert (told.exit_code == 0) == all(each["status"] == "SUCCEEDED" for each in document)
