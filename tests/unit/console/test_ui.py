"""The pages of `millrace ui`, asked as a browser asks: who is let in, what they show, what they do."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_plus

import click
import pytest
from botocore.exceptions import ClientError
from flask.testing import FlaskClient

from console.commands.ui import origin_of
from console.find.aws import Aws
from console.find.run_lookup import described_run
from console.ui.failures import Failure, Failures
from console.ui.guard import REPORT_POLICY, Access
from console.ui.logs import LogFeed
from console.ui.pages import ui_pages
from console.ui.request_form import option_fields, read_form, request_fields
from console.ui.run_list import RunList, filter_of
from console.ui.timeline import Claim, children_of, rates, timeline
from console.watch.watching import Watcher
from millrace.errors import InvalidRunRequest, TooManyFailuresError
from millrace.records.commit import CommitHead
from millrace.records.outcome import Counts
from millrace.report.run_report import RunReport, write_report
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

MACHINE = "arn:aws:states:eu-west-1:1:stateMachine:machine"
ARN = "arn:aws:states:eu-west-1:1:execution:machine:"
QUEUE = "arn:aws:batch:eu-west-1:1:job-queue/standard"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
REQUEST = {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", "workload": "word-count"}
ROOT = Path(__file__).parents[3]
HOST = "127.0.0.1:4600"


class Account:
    """A target: one real run folder in memory, and what Step Functions, Batch and Logs say around it."""

    stack_name, flags, is_local = "words", "--stack=words", False

    def __init__(self, run: RunInMemory, status: str = "FAILED", others: int = 0) -> None:
        self.aws = self.step_functions = self.batch = self.logs = self
        self.endpoint_url, self.region = None, "eu-west-1"
        self.stack = SimpleNamespace(
            state_machine_arn=MACHINE,
            job_queue_arns=[QUEUE],
            source_bucket=SOURCE,
            sources=(f"s3://{SOURCE}/", "s3://scans/2026/"),
            result_bucket=RESULT,
            parameters={},
            public_buckets=frozenset(),
        )
        self.public_buckets: frozenset[str] = frozenset()
        self.s3 = S3(run.client.stub)
        self.run = run
        self.inputs: dict[str, dict[str, Any]] = {
            f"other-{number:05d}": {**REQUEST, "name": f"Other {number}"} for number in range(others)
        }
        self.inputs["run"] = {**REQUEST, "name": "Nightly", "tags": {"team": "search"}}
        self.status = status
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.described: list[str] = []

    def s3_reading(self, _public: frozenset[str]) -> S3:
        """The same S3."""
        return self.s3

    def command(self, verb: str, *words: str) -> str:
        """A command line."""
        return " ".join(("millrace", verb, *words, self.flags))

    def get_paginator(self, operation: str) -> SimpleNamespace:
        """All in one page."""
        pages: dict[str, dict[str, Any]] = {
            "list_executions": {"executions": [self._listed(name) for name in reversed(self.inputs)]},
            "get_execution_history": {"events": self.events()},
            "list_jobs": {"jobSummaryList": []},
        }
        page = pages[operation]

        def paginate(statusFilter: str = "", **_given: Any) -> list[dict[str, Any]]:  # noqa: N803
            listed = page.get("executions")
            if listed is None:
                return [page]
            return [{"executions": [each for each in listed if statusFilter in ("", each["status"])]}]

        return SimpleNamespace(paginate=paginate)

    def list_executions(self, maxResults: int, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """The newest."""
        return {"executions": [self._listed(name) for name in list(self.inputs)[: -maxResults - 1 : -1]]}

    def _listed(self, name: str) -> dict[str, Any]:
        status = self.status if name == "run" else "SUCCEEDED"
        age = list(self.inputs).index(name)
        ended = {} if status == "RUNNING" else {"stopDate": NOW + timedelta(seconds=60)}
        return {
            "name": name,
            "executionArn": ARN + name,
            "status": status,
            "startDate": NOW + timedelta(seconds=age),
        } | ended

    def events(self) -> list[dict[str, Any]]:
        """A run that planned and worked its shards."""
        plan = {"shards": 4, "items": 4, "bytes": 20}
        told = [("Prepare Run", {"run": {"plan": str(self.run.folder.plan)}}), ("Read Plan", {"plan": plan})]
        events: list[dict[str, Any]] = []
        for name, output in told:
            events.append({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}})
            events.append(
                {"type": "TaskStateExited", "stateExitedEventDetails": {"name": name, "output": json.dumps(output)}}
            )
        events.append({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Migrate Shards"}})
        submitted = {"output": json.dumps({"JobId": "array"})}
        events.append({"type": "TaskSubmitted", "taskSubmittedEventDetails": submitted})
        return [{"timestamp": NOW, **event} for event in events]

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        """One of them, or one that was started."""
        self.described.append(executionArn)
        name = executionArn.removeprefix(ARN)
        if name == "nobody":
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution")
        for each in self.started:
            if name == each["name"]:
                return {"executionArn": executionArn, "input": each["input"], "status": "RUNNING", "startDate": NOW}
        return {**self._listed(name), "input": json.dumps(self.inputs[name]), "cause": "it broke", "error": "Broken"}

    def describe_state_machine_for_execution(self, **_given: Any) -> dict[str, Any]:
        """The real definition."""
        return {"definition": (ROOT / "statemachine/migration.asl.json").read_text()}

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        """An array of two children; each wrote a line about shard 1 and one about shard 2."""
        status = "RUNNING" if self.status == "RUNNING" else "SUCCEEDED"
        summary = {"size": 2, "statusSummary": {status: 2}}
        return {
            "jobs": [
                {"jobId": job, "jobName": f"run-migrate-{job}", "status": status, "jobQueue": QUEUE}
                | ({"arrayProperties": summary} if ":" not in job else {"container": {"logStreamName": f"log-{job}"}})
                for job in jobs
            ]
        }

    def describe_job_queues(self, **_given: Any) -> dict[str, Any]:
        """None that is known."""
        return {"jobQueues": []}

    def describe_compute_environments(self, **_given: Any) -> dict[str, Any]:
        """None that is known."""
        return {"computeEnvironments": []}

    def get_log_events(self, logStreamName: str, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """Three lines, one of no shard."""
        lines = [json.dumps({"level": "ERROR", "message": f"about {shard}", "shard": shard}) for shard in (1, 2)]
        return {"events": [{"message": line} for line in (*lines, HOSTILE)], "nextForwardToken": logStreamName}

    def start_execution(self, **given: Any) -> dict[str, str]:
        """Remember it."""
        self.started.append(given)
        return {"executionArn": ARN + given["name"]}

    def stop_execution(self, executionArn: str, **_given: str) -> None:  # noqa: N803
        """Remember it."""
        self.stopped.append(executionArn)
        self.status = "ABORTED"


def worked(*, merged: bool = True) -> RunInMemory:
    """A run of four shards, one item of which fails; its key is hostile."""
    objects = {f"in/{key}": b"bad" if key == HOSTILE else b"mill" for key in ("a", "b", "c", HOSTILE)}
    run = RunInMemory(objects, {"shard": {"max_items": 1}})
    run.plan()
    for shard in range(4):
        run.migrate(shard, job_id=f"array:{shard % 2}")
    if merged:
        with pytest.raises(TooManyFailuresError):
            run.merge()
    document = {"run_id": "run", "request": {**REQUEST, "name": "Nightly", "tags": {"team": "search"}}}
    run.client.store(RESULT, run.folder.request.key, json.dumps(document).encode())
    return run


class Browser(FlaskClient):
    """A browser that asks one host."""

    host = HOST

    def open(self, *args: Any, **given: Any) -> Any:
        """Ask it."""
        given.setdefault("base_url", f"http://{self.host}")
        return super().open(*args, **given)


def browser(account: Account, **access: Any) -> tuple[FlaskClient, Access]:
    """A browser that knows the address."""
    given = Access(4600, token="right", **access)
    target: Any = account
    app = ui_pages(target, given)
    app.test_client_class = Browser
    client: Any = app.test_client()
    client.host = given.hosts[0]
    if not given.origin:
        assert client.get("/?token=right").status_code == 303
    return client, given


def sent(client: FlaskClient, path: str, access: Access, **form: str) -> Any:
    """What a form of the page sends."""
    origin = access.origin or f"http://{HOST}"
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    return client.post(path, data={"token": access.token, **form}, headers=headers)


def text_of(client: FlaskClient, path: str) -> str:
    """A page that is answered, with nothing of a hostile key in its markup."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert HOSTILE not in answer.text
    return unescape(re.sub(r"<[^>]+>", " ", answer.text))


def settled(client: FlaskClient, path: str) -> str:
    """The list, once it knows of all runs and has looked at them: both happen in the background."""
    deadline = time.monotonic() + 60
    while "looked at so far" in (said := text_of(client, path)):
        assert time.monotonic() < deadline, said
        time.sleep(0.01)
    return said


def test_only_the_address_lets_in() -> None:
    """Without the token nothing is shown, wherever it is asked for; the cookie that it leaves lets in after that."""
    client, _ = browser(Account(worked()))
    stranger = client.application.test_client()
    for path in ("/", "/?token=wrong", "/runs/run", "/runs/run/failures", "/runs/run/logs", "/runs/run/logs/events",
                 "/runs/run/files/report.html", "/runs/run/files/result.json", "/start", "/events"):  # fmt: skip
        assert stranger.get(path).status_code == 401, path
    cookie = stranger.get("/?token=right").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert stranger.get("/").status_code == 200


def test_other_names_and_other_sites_are_refused() -> None:
    """A foreign Host, a request that another site's page makes, a form of another site, a form without the token."""
    account = Account(worked())
    client, access = browser(account)
    assert client.get("/", headers={"Host": "evil.example:4600"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
    own = {"Origin": f"http://{HOST}"}
    path, right = "/runs/run/do/resume", {"token": access.token}
    assert client.post(path, data=right).status_code == 403
    assert client.post(path, data=right, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(path, data=right, headers={"Origin": "null"}).status_code == 403
    assert client.post(path, data={"token": "wrong"}, headers=own).status_code == 403
    assert client.post(path, headers=own).status_code == 403
    navigates = {**own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.post(path, data=right, headers=navigates).status_code == 403
    assert account.started == []
    assert client.get("/").headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_read_only_changes_nothing() -> None:
    """There is no form and no button, and a POST is refused."""
    account = Account(worked())
    client, access = browser(account, read_only=True)
    assert "Rerun failed" not in text_of(client, "/runs/run")
    assert client.get("/start").status_code == 404
    assert client.get("/runs/run/do/resume").status_code == 404
    assert sent(client, "/runs/run/do/resume", access).status_code == 403
    assert account.started == []


def test_behind_a_proxy_the_login_lets_in() -> None:
    """The public name alone is answered, forms still need the token, and who started a run is known."""
    account = Account(worked())
    client, access = browser(account, origin="https://runs.example.com")
    assert text_of(client, "/")
    assert client.get("/", headers={"Host": HOST}).status_code == 403
    user = {"X-Forwarded-User": "ada", "Origin": access.origin}
    form = {"source": REQUEST["source"], "destination": REQUEST["destination"], "do": "start", "sent": "1"}
    assert client.post("/start", data=form, headers=user).status_code == 403
    done = client.post("/start", data={**form, "token": access.token}, headers=user)
    assert done.status_code == 303, done.text
    assert json.loads(account.started[0]["input"])["tags"] == {"started-by": "ada"}


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Runs.example.com/", "https://runs.example.com"),
        ("https://runs.example.com:443", "https://runs.example.com"),
        ("http://runs.example.com:80", "http://runs.example.com"),
        ("https://runs.example.com:8443", "https://runs.example.com:8443"),
    ],
)
def test_the_origin_is_as_browsers_name_it(given: str, origin: str) -> None:
    """In lower case, without a port that its scheme has anyway: Host and Origin are compared with it."""
    assert origin_of(given) == origin


@pytest.mark.parametrize("given", ["runs.example.com", "https://a:b@runs.example.com", "https://runs.example.com/x"])
def test_what_is_no_origin_is_refused(given: str) -> None:
    """A name alone, a password in it, or a path: no browser would ever name it so."""
    with pytest.raises(click.UsageError, match="it is an origin"):
        origin_of(given)


def test_the_list_shows_what_came_of_runs() -> None:
    """Name, tags, workload, source, items, failures, who; search, state and time choose; pages reach every run."""
    client, _ = browser(Account(worked(), others=120))
    said = settled(client, "/")
    for words in ("Nightly", "team=search", "word-count", f"s3://{SOURCE}/in/", "a person", "Page 1 of 3, 121 runs"):
        assert words in said
    assert "Other 0 " in settled(client, "/?page=3")
    assert "Page 1 of 1, 1 run" in settled(client, "/?q=nightly+SEARCH")
    assert "Page 1 of 1, 1 run" in settled(client, "/?state=failed")
    assert "120 runs" in settled(client, "/?state=succeeded&workload=word-count&page=2")
    assert "No run is like this" in settled(client, "/?workload=copy")
    assert client.get("/?since=yesterday").status_code == 400
    assert client.get("/?_anchor=x&name=y&page=99999999999").status_code == 200
    assert client.get("/runs/run/logs?name=x&shard=one").status_code == 200
    assert client.get("/runs/nobody").status_code == 404


def test_the_list_asks_for_each_execution_once() -> None:
    """One answer tells the facts and the outcome of a row; a page that was shown before asks for nothing."""
    account = Account(worked(), "RUNNING", others=60)
    client, _ = browser(account)
    for _ in range(2):
        assert "Other 59" in text_of(client, "/")
        assert len(account.described) == len(set(account.described)) == 50
    text_of(client, "/?page=2")
    assert len(account.described) == len(set(account.described)) == 61


def test_a_run_shows_its_children_and_its_failures() -> None:
    """The picture, the pace, the codes, the commands; the failures can be searched, with their shard's log beside."""
    client, _ = browser(Account(worked()))
    said = text_of(client, "/runs/run")
    for words in ("Nightly", "child 0", "child 1", "NOT_TEXT", "millrace status run --stack=words", "it broke",
                  "Rerun failed", "Accept failures", "result.json"):  # fmt: skip
        assert words in said
    page = text_of(client, "/runs/run/failures?q=not_text+img")
    assert "1 of 1 failed items" in page
    assert HOSTILE in page
    shard = re.search(r"shard (\d)", page)
    assert shard is not None
    beside = text_of(client, "/runs/run/failures?shard=1")
    assert "about 1" in beside
    assert "about 2" not in beside
    assert "0 of 1 failed items" in text_of(client, "/runs/run/failures?q=nothing")


def test_failures_of_a_run_at_work_come_from_its_commits() -> None:
    """A run that is not merged yet shows them all the same; what it does now has a cancel button, and a claim."""
    run = worked(merged=False)
    client, _ = browser(Account(run, "RUNNING"))
    said = text_of(client, "/runs/run")
    assert "NOT_TEXT" in said
    assert "Cancel" in said
    assert "1 of 1 failed items" in text_of(client, "/runs/run/failures")


CLAIM = b'{"job": "array:1", "child": 1, "at": "2026-11-21T09:00:00+00:00"}'


@pytest.mark.parametrize(("committed", "most"), [(3, 64), (2, 1)], ids=["few are open", "many are open"])
def test_a_claim_of_an_open_shard_is_work(monkeypatch: pytest.MonkeyPatch, committed: int, most: int) -> None:
    """Of four shards some are committed, and the last one that is not is claimed: that one is at work, alone."""
    run = RunInMemory({f"in/{key}": b"mill" for key in "abcd"}, {"shard": {"max_items": 1}})
    run.plan()
    for shard in range(committed):
        run.migrate(shard, job_id="array:0")
        run.client.store(RESULT, run.folder.claim(shard).key, CLAIM)
    run.client.store(RESULT, run.folder.claim(3).key, CLAIM)
    monkeypatch.setattr("console.ui.pages.CLAIMS", most)
    client, _ = browser(Account(run, "RUNNING"))
    page = client.get("/runs/run").text
    assert ", 1 at work" in page
    assert "shard 3 " in page


def test_claims_are_listed_from_the_first_open_shard_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims of committed shards stay: where many shards are open, only the claims behind those are listed."""
    run = RunInMemory({f"in/{key}": b"mill" for key in "abcd"}, {"shard": {"max_items": 1}})
    run.plan()
    for shard in range(2):
        run.migrate(shard, job_id="array:0")
    for shard in range(3):
        run.client.store(RESULT, run.folder.claim(shard).key, CLAIM)
    monkeypatch.setattr("console.ui.pages.CLAIMS", 1)
    client, _ = browser(Account(run, "RUNNING"))
    listed: list[str] = []
    verb = run.client.list_objects_v2

    def list_objects_v2(**given: Any) -> dict[str, Any]:
        answer = verb(**given)
        listed.extend(unquote_plus(each["Key"]) for each in answer["Contents"])
        return answer

    monkeypatch.setattr(run.client, "list_objects_v2", list_objects_v2)
    assert ", 1 at work" in client.get("/runs/run").text
    assert [key for key in listed if "/claims/" in key] == [run.folder.claim(2).key]


@pytest.fixture
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time for two commits a look, and a look whenever somebody asks."""
    for place in ("progress_cache.LOOK_SECONDS", "failures.READ_SECONDS", "progress_cache.AWS_SECONDS"):
        monkeypatch.setattr(f"console.ui.{place}", 0)
    monkeypatch.setattr("console.find.aws.CONNECTIONS", 2)


@pytest.mark.usefixtures("_no_time")
def test_a_look_reads_some_commits_and_the_next_one_others() -> None:
    """A page does not wait for ten thousand commits: it says what is known."""
    run = worked(merged=False)
    for shard in range(4):
        run.client.store(RESULT, run.folder.claim(shard).key, CLAIM)
    client, _ = browser(Account(run, "RUNNING"))
    page = client.get("/runs/run").text
    assert "about 4 of 4 items committed" in page
    assert re.search(r"\d at work", page) is None  # a shard whose commit was not read yet is committed all the same
    said = text_of(client, "/runs/run")
    assert "4 of 4 items committed, 1 failed" in said
    assert "about 4 of 4" not in said


@pytest.mark.usefixtures("_no_time")
def test_commits_are_read_on_without_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits and claims are listed again only after so many times what that took, though there are commits to read."""
    run = worked(merged=False)
    for place in ("watch.watching", "ui.pages"):
        monkeypatch.setattr(f"console.{place}.LISTING_SHARE", 1e9)
    client, _ = browser(Account(run, "RUNNING"))
    assert "about 4 of 4 items committed" in text_of(client, "/runs/run")
    listed = run.client.requests["list_objects_v2"]
    assert listed > 0
    assert "4 of 4 items committed, 1 failed" in text_of(client, "/runs/run")
    assert run.client.requests["list_objects_v2"] == listed


@pytest.mark.usefixtures("_no_time")
def test_a_page_reads_some_failures_and_the_next_one_others() -> None:
    """Three shards with failed items that are not merged: two are read for the first page, all for the second."""
    run = RunInMemory({f"in/{key}": b"bad" for key in "abc"}, {"shard": {"max_items": 1}})
    run.plan()
    for shard in range(3):
        run.migrate(shard, job_id="array:0")
    heads = [head(shard, "array:0", 0, 1) for shard in range(3)]
    failures = Failures(Account(run).aws)  # type: ignore[arg-type]
    pages = [failures.page(run.folder, None, heads, [], 1) for _ in range(3)]
    assert [(page.known, page.complete) for page in pages] == [(2, False), (3, True), (3, True)]
    client, _ = browser(Account(run, "RUNNING"))
    assert "2 of 2 failed items" in (said := text_of(client, "/runs/run/failures"))
    assert "not every shard was read yet" in said
    assert "not every shard was read yet" not in text_of(client, "/runs/run/failures")


def test_the_logs_of_what_failed_read_no_commit_again() -> None:
    """Which jobs have failed items stands in the commits that the page has read: none is read for each look."""
    run = worked(merged=False)
    account: Any = Account(run, "RUNNING")
    progress = Watcher(account, f"{ARN}run").look()
    before = run.client.requests.copy()
    heads = [head(0, "array:0", 0, 1)]
    feed = LogFeed(account, described_run(account, f"{ARN}run"), failed=True, heads=lambda: heads)
    assert {line.job for line in feed.new_lines(progress)} == {"Migrate child 0"}
    assert list(feed.new_lines(progress))
    assert run.client.requests == before


def test_a_report_that_takes_long_is_made_while_its_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page comes at once and asks again; then the report is there, or why there is none; each is made anew."""
    go, made = threading.Event(), []

    def slow(*given: Any, **named: Any) -> RunReport:
        assert go.wait(60)
        made.append(1)
        return write_report(*given, **named)

    monkeypatch.setattr("console.ui.reports.write_report", slow)
    monkeypatch.setattr("console.ui.reports.WAIT_SECONDS", 0.01)
    run = worked()
    client, _ = browser(Account(run))
    place = "/runs/run/files/report.html"
    for _ in range(2):
        waiting = client.get(place)
        assert (waiting.status_code, waiting.headers["Refresh"]) == (202, "1")
        assert "The report is being made" in waiting.text
    go.set()
    monkeypatch.setattr("console.ui.reports.WAIT_SECONDS", 60)
    answer = client.get(place)
    assert (answer.status_code, answer.headers["Content-Security-Policy"], len(made)) == (200, REPORT_POLICY, 1)
    monkeypatch.setattr("console.ui.reports.WAIT_SECONDS", 0)
    go.clear()
    assert client.get(place).status_code == 202
    go.set()
    for thread in [each for each in threading.enumerate() if each.name.endswith("(_make)")]:
        thread.join(60)
    assert len(made) == 2
    monkeypatch.setattr("console.ui.reports.UNASKED_SECONDS", 0)  # whoever asked for it has gone
    monkeypatch.setattr("console.ui.reports.WAIT_SECONDS", 60)
    assert client.get(place).status_code == 200
    assert len(made) == 3
    run.client.remove(RESULT, run.folder.plan.key)
    assert client.get(place).status_code == 502


def test_events_bring_the_parts_and_then_end() -> None:
    """A run that has ended: its parts once, its cost worked out, then the end of the stream."""
    client, _ = browser(Account(worked()))
    events = client.get("/runs/run/events").text
    assert [line for line in events.splitlines() if line.startswith("event: ")] == ["event: parts", "event: end"]
    told = json.loads(re.findall(r"event: parts\ndata: (.*)", events)[0])
    assert {"head", "progress", "timeline", "codes", "graph", "files"} <= set(told)
    lines = client.get("/runs/run/logs/events?shard=1").text
    assert "about 1" in lines
    assert "about 2" not in lines


@pytest.mark.parametrize(
    ("action", "form", "changes"),
    [
        ("resume", {}, {}),
        ("rerun-failed", {}, {"retry_failed": True}),
        ("accept", {"percent": "30"}, {"tolerated_failure_percent": 30.0}),
    ],
)
def test_an_action_says_first_what_it_does(action: str, form: dict[str, str], changes: dict[str, Any]) -> None:
    """The page before shows it with the command, and does nothing; the form of that page does it."""
    account = Account(worked())
    client, access = browser(account)
    said = text_of(client, f"/runs/run/do/{action}")
    assert "This is what will be done" in said
    assert "millrace resume run" in said
    assert account.started == []
    done = sent(client, f"/runs/run/do/{action}", access, **form)
    assert done.status_code == 303, done.text
    [started] = account.started
    asked = json.loads(started["input"])
    assert {**asked, **changes} == asked
    assert (asked["run_id"], asked["name"]) == ("run", "Nightly")
    assert done.headers["Location"] == f"/runs/{started['name']}"


def test_a_run_is_cancelled() -> None:
    """Its executions are stopped; a run that has ended cannot be."""
    account = Account(worked(merged=False), "RUNNING")
    client, access = browser(account)
    assert "Stops 1 execution" in text_of(client, "/runs/run/do/cancel")
    assert sent(client, "/runs/run/do/cancel", access).status_code == 303
    assert account.stopped == [f"{ARN}run"]
    assert sent(client, "/runs/run/do/cancel", access).status_code == 502
    assert client.get("/runs/run/do/explode").status_code == 404
    assert sent(client, "/runs/run/do/accept", access, percent="101").status_code == 400


def test_a_run_is_estimated_and_started_from_a_form() -> None:
    """The form has the workload's options; the estimate stands beside it with the command; a wrong field is named."""
    account = Account(worked())
    client, access = browser(account)
    assert "stop words" in text_of(client, "/start")
    assert "key template" not in text_of(client, "/start?workload=word-count")
    form = {"workload": "word-count", "sent": "1", "source": REQUEST["source"], "destination": REQUEST["destination"],
            "option.top": "7", "include": "a\nb", "name": "By hand"}  # fmt: skip
    estimated = sent(client, "/start", access, do="estimate", **form)
    said = unescape(re.sub(r"<[^>]+>", " ", estimated.text))
    assert "2 (8 B) of 4 objects" in said
    assert "millrace start --input -" in said
    assert account.started == []
    assert sent(client, "/start", access, do="start", **form).status_code == 303
    asked = json.loads(account.started[0]["input"])
    assert asked["options"] == {"top": 7}
    assert (asked["include"], asked["name"]) == (["a", "b"], "By hand")
    wrong = sent(client, "/start", access, do="start", **{**form, "option.top": "many"})
    assert wrong.status_code == 400
    assert "options.top" in wrong.text


def test_the_form_has_every_field_that_a_start_may_have() -> None:
    """A field that is added to the request is in the form; an empty form asks for the defaults alone."""
    left_out = {"workload", "options", "run_id", "retry_failed", "once"}
    assert {field.name for field in request_fields({})} == set(RunRequest.__dataclass_fields__) - left_out
    assert all(field.doc for field in request_fields({}))
    empty = {"source": "s3://abc/", "destination": "s3://def/", "workload": "copy"}
    assert read_form(empty) == empty
    shown = {field.name: field.placeholder for field in [*request_fields({}), *option_fields("word-count", {})]}
    asked = read_form({**shown, **empty, "workload": "word-count"})
    assert asked == {**empty, "workload": "word-count"}
    assert read_form({**empty, "shard": '{"max_items": 3}'})["shard"]["max_items"] == 3
    assert read_form({**empty, "tags": "a=1\nb"})["tags"] == {"a": "1", "b": ""}
    with pytest.raises(InvalidRunRequest, match="a JSON object"):
        read_form({**empty, "pace": "fast"})


def head(shard: int, job: str, start: int, end: int, attempt: int = 1) -> CommitHead:
    """The beginning of a commit of ten items."""
    times = NOW + timedelta(seconds=start), NOW + timedelta(seconds=end)
    return CommitHead(*times, Counts(10, 9, 1, 1000), job, shard, attempt=attempt)


def test_the_picture_tells_who_worked_what() -> None:
    """A child's own shards, those it helped with, those after a lost attempt, and what it is at now."""
    heads = [head(0, "a:0", 0, 10), head(1, "a:1", 0, 30, attempt=2), head(2, "a:0", 10, 20), head(3, "a:0", 20, 29)]
    claims = [Claim(4, "a:2", NOW + timedelta(seconds=25))]
    children = children_of(heads, claims, {"a": 2}, NOW + timedelta(seconds=40))
    told = {child.name: {bar[3]: bar[2] for bar in child.bars} for child in children}
    assert told == {"child 0": {0: "own", 2: "own", 3: "helped"}, "child 1": {1: "again"}, "child 2": {4: "working"}}
    picture = timeline(children)
    assert "1 helped with another child&#x27;s" in picture
    assert "at most" in rates(heads)
    assert (timeline([]), rates(heads[:1])) == ("", "")


def test_the_picture_of_ten_thousand_shards_stays_small() -> None:
    """Bars that touch are drawn as one, and not every child has a row."""
    heads = [head(shard, f"a:{shard % 500}", shard // 500, shard // 500 + 1) for shard in range(10_000)]
    picture = timeline(children_of(heads, [], {"a": 500}, NOW))
    assert len(picture) < 400_000
    assert picture.count("<text") == 62


def test_failures_are_searched_in_any_case() -> None:
    """Each word has to stand in the code, the key or the message."""
    failure = Failure.of({"error_code": "NOT_TEXT", "key": "in/Photo.txt", "message": "Not UTF-8", "shard": 3}, -1)
    assert failure.has(["photo", "utf"])
    assert not failure.has(["photo", "mp3"])


def test_the_list_is_read_again_only_as_far_as_it_changed() -> None:
    """What is new is there at the next look, and what has ended; a search that knows an input does not ask again."""
    account = Account(worked(), "RUNNING", others=130)
    target: Any = account
    listed = RunList(target)
    asked, _ = filter_of([], NOW)
    first = listed.page(asked, 1)
    assert (first.rows[0].execution["name"], first.found in (100, 131)) == ("run", True)
    with listed._listing:
        pass
    assert listed.page(asked, 1).found == 131
    account.inputs["new"] = dict(REQUEST)
    account.status = "FAILED"
    listed._listed_at = float("-inf")
    listed.page(asked, 1)
    with listed._listing:
        pass
    page = listed.page(asked, 1)
    assert page.found == 132
    assert {row.execution["status"] for row in page.rows} == {"FAILED", "SUCCEEDED"}


def test_a_target_has_the_clients_that_the_pages_make_first() -> None:
    """The pages make each client before the first thread asks: boto3 makes none in two threads at once."""
    assert {"s3", "step_functions", "batch", "logs"} <= set(dir(Aws))
