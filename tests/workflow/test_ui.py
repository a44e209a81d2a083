"""`millrace ui` on the real stack: what its pages tell, and who gets nothing from it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from html import escape
from typing import Any

import pytest
from flask.testing import FlaskClient

from console.checkout import ROOT
from console.find.target import Target
from console.ui.guard import POLICY, REPORT_POLICY, Access
from console.ui.pages import ui_pages
from tests.report_pages import Found
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Runs, until
from tests.workflow.texts import NOT_TEXT, texts

pytestmark = pytest.mark.long

PORT = 4600
HOSTILE = "<script>alert(1)</script>"


class Browser(FlaskClient):
    """Names the server as its address does."""

    def open(self, *args: Any, **given: Any) -> Any:
        """Ask for something."""
        given.setdefault("base_url", f"http://127.0.0.1:{PORT}")
        return super().open(*args, **given)


@pytest.fixture(scope="module")
def browser(stack: LocalStack) -> FlaskClient:
    """Asks the pages as a browser would, without a socket."""
    target = Target(stack.aws, stack.stack.name, f"--state-dir={stack.state_dir}")
    access = Access(PORT)
    app = ui_pages(target, access)
    app.test_client_class = Browser
    client = app.test_client()
    client.get(f"/?token={access.token}")
    return client


def report_of(browser: FlaskClient, place: str) -> Any:
    """report.html of a run; its page says that it is being made for as long as it is."""

    def made() -> Any:
        answer = browser.get(f"{place}/files/report.html")
        return answer if answer.status_code == 200 else None

    return until("the report", made)


def test_a_run_from_its_start_to_its_files(browser: FlaskClient, runs: Runs, source: str, destination: str) -> None:
    """The list has it, its page lights the states and counts shards, its report and its files are there at the end."""
    source = f"{source}{HOSTILE}/"
    runs.put(source, {**texts(9), f"{HOSTILE}.txt": NOT_TEXT})
    several = {"seconds_per_item": 18}  # work for more than one child
    run = runs.start(source, destination, max_items=3, tolerated_failure_percent=20, pace=several)
    place = f"/runs/{run.run_id}"
    until("lit states", lambda: "running</text>" in browser.get(place).text)
    runs.wait(run)
    page = browser.get(place).text
    assert "4 of 4 shards done" in page
    assert "10 of 10 items committed, 1 failed" in page
    assert page.count('<g class="state') == page.count("</g>")
    for state in ("Prepare Run", "How Many Children?", "Migrate And Merge Shards", "Read Result"):
        assert f"{state}: succeeded" in page
    assert "Migrate And Merge: waiting" in page
    assert HOSTILE not in page
    assert escape(HOSTILE) in page
    assert f'href="{place}"' in browser.get("/").text

    report = report_of(browser, place)
    assert report.headers["Content-Security-Policy"] == REPORT_POLICY
    assert "Succeeded, with failures that the run tolerates" in report.text
    addresses = [each for each in Found(report.text).addresses if each.startswith("./")]
    assert {"./words.csv", "./report.csv", "./result.json"} <= set(addresses)
    for name in ("words.csv", "failures.jsonl", "result.json"):
        file = browser.get(f"{place}/files/{name}")
        assert file.data == runs.file(run, name)
        assert file.headers["Content-Disposition"] == "attachment"
    assert browser.get(f"{place}/files/plan.json").status_code == 404


def test_a_run_that_failed_says_why(browser: FlaskClient, runs: Runs, source: str, destination: str) -> None:
    """The error, and the lines that lead on, stand on its page; the report shows what was done."""
    runs.put(source, {"bad.txt": NOT_TEXT})
    run = runs.start(source, destination)
    runs.wait(run, "FAILED")
    page = browser.get(f"/runs/{run.run_id}").text
    assert "TooManyFailuresError" in page
    assert f"millrace resume {run.run_id} --retry-failed" in page
    assert "Merge: failed" in page
    assert "more items failed than the run tolerates" in report_of(browser, f"/runs/{run.run_id}").text
    assert browser.get("/runs/nobodys-run").status_code == 404
    refused = runs.start(source, destination, workload="nothing")
    runs.wait(refused, "FAILED")
    assert "Prepare Run failed" in browser.get(f"/runs/{refused.run_id}").text
    report = f"/runs/{refused.run_id}/files/report.html"
    assert until("word of it", lambda: (code := browser.get(report).status_code) != 202 and code) == 502


def test_other_pages_get_nothing(browser: FlaskClient) -> None:
    """Another Host, another site's request and every verb but a form's are refused; each answer has its headers."""
    assert browser.get("/", headers={"Host": f"evil.example:{PORT}"}).status_code == 403
    assert browser.get("/", headers={"Host": "127.0.0.1"}).status_code == 403
    assert browser.get("/", headers={"Host": f"localhost:{PORT}"}).status_code in (200, 401)
    for site in ("cross-site", "same-site"):
        from_elsewhere = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert browser.get("/", headers=from_elsewhere).status_code == 403
        assert browser.get("/", headers={**from_elsewhere, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    for verb in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert browser.open("/", method=verb).status_code in (403, 405)
    for place in ("/", "/ui/ui.js", "/nothing"):
        with browser.get(place) as answer:
            headers = answer.headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_answers_on_loopback_until_it_is_ended(stack: LocalStack, end: signal.Signals) -> None:
    """It prints its address, answers there, and exits 0, by Ctrl-C and as a container is stopped; a port that is
    taken is told.
    """
    command = [sys.executable, "-m", "console", "ui", "--state-dir", str(stack.state_dir), "--port"]
    with subprocess.Popen(
        [*command, "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is started here
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address) as answer:
            assert b"<h1>Runs</h1>" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address.partition("?")[0])
        request = urllib.request.Request(address, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)
        port = address.rpartition(":")[2].partition("/")[0]
        taken = subprocess.run([*command, port], cwd=ROOT, capture_output=True, text=True, check=False)
        assert taken.returncode == 1
        assert "choose another by --port" in taken.stderr
        process.send_signal(end)
        assert process.wait(30) == 0
