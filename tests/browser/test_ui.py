"""The pages of `millrace ui` in a real browser, over runs on an embedded AWS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from console import embedded_aws
from console.checkout import ROOT, Checkout
from console.find.aws import Aws
from console.find.target import Target
from console.local.deployment import deploy
from console.ui.guard import Access
from console.ui.pages import ui_pages
from tests.browser.axe import faults
from tests.browser.chromium import Page
from tests.workflow.runs import Run, Runs, until

HOSTILE = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runs, Target]]:
    """The real stack on an embedded AWS of this module's own."""
    state = tmp_path_factory.mktemp("embedded-aws")
    with embedded_aws.running(0, state_dir=state) as server:
        stack, _ = deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, print)
        aws = Aws.embedded(server.endpoint_url)
        yield (
            Runs(aws, aws.client("s3"), stack.state_machine_arn, stack.job_queue_arn),
            Target(aws, stack.name, "--local"),
        )


@pytest.fixture(scope="module")
def address(runs: tuple[Runs, Target]) -> Iterator[str]:
    """Where the pages are."""
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    server.app = ui_pages(runs[1], Access(server.port, token="right"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def begun(runs: tuple[Runs, Target], name: str, action: str) -> Run:
    """Start a run of a program that does something to each of 12 files, of which one has a hostile name."""
    folder, destination = (f"s3://{runs[1].stack.outputs[each]}/{name}/" for each in BUCKETS)
    runs[0].put(folder, {**{f"{number}.txt": b"mill" for number in range(11)}, f"{HOSTILE}.txt": b"race"})
    command = ["sh", "-c", f'{action}; cp "$1" "$2"', "sh", "{input}", "{output}"]
    options = {"command": command, "parallel": 1}
    return runs[0].start(folder, destination, max_items=3, workload="command", options=options)


BUCKETS = ("SourceBucketName", "ResultBucketName")


def press(page: Page, words: str) -> None:
    """Press the button, or follow the link, of these words, and wait for the next page."""
    page.evaluate("window.same = true")
    found = f"[...document.querySelectorAll('button, a')].find(each => each.textContent.trim() === {words!r})"
    assert page.evaluate(f"{found} !== undefined"), words
    page.evaluate(f"{found}.click()")
    until("the next page", lambda: page.evaluate("window.same === undefined && document.readyState === 'complete'"))


def status(page: Page) -> str:
    """The status that the page shows."""
    return str(page.evaluate("document.querySelector('#head .status')?.textContent"))


def test_a_run_lights_up_and_ends(page: Page, runs: tuple[Runs, Target], address: str) -> None:
    """An open page follows the run to its end without being loaded again, and asks for nothing else."""
    run = begun(runs, f"live/{HOSTILE}", "sleep 0.3")
    page.open(f"{address}/runs/{run.run_id}?token=right")
    until("a lit state", lambda: page.evaluate("document.querySelector('#graph .batch.running') !== null"))
    page.evaluate("window.same = true")
    until("the end", lambda: status(page) == "SUCCEEDED")
    until("every shard", lambda: page.evaluate("document.querySelector('progress')?.value") == 4)
    until("the picture", lambda: page.evaluate("document.querySelector('#timeline svg.timeline') !== null"))
    until("its files", lambda: "result.json" in page.evaluate("document.getElementById('files').textContent"))
    assert page.evaluate("window.same")
    assert page.evaluate("document.querySelectorAll('#graph .succeeded').length") >= 7
    place = f"{address}/runs/{run.run_id}"
    asked = {each.partition("?")[0] for each in page.requests if not each.startswith("data:")}
    assert asked == {place, f"{place}/events", f"{address}/ui/ui.css", f"{address}/ui/ui.js"}
    assert page.evaluate("document.title") == f"{run.run_id}: SUCCEEDED · Millrace"
    assert page.complaints == []

    page.open(f"{place}/files/report.html")
    outcome = "document.querySelector('.outcome')?.textContent"
    until("the report", lambda: page.evaluate(outcome) == "Succeeded: every item was worked")
    assert page.complaints == []


def test_a_run_is_started_looked_into_rerun_and_cancelled(page: Page, runs: tuple[Runs, Target], address: str) -> None:
    """By the page's own forms alone: start with its estimate, a failure's log, rerun of what failed, cancel."""
    source, destination = (f"s3://{runs[1].stack.outputs[each]}/form/" for each in BUCKETS)
    runs[0].put(source, {f"{HOSTILE}.txt": b"\xff\xfe", "good.txt": b"mill race"})
    page.open(f"{address}/?token=right")
    page.open(f"{address}/start")
    for name, value in (("source", source), ("destination", destination), ("name", "By hand")):
        page.evaluate(f"document.getElementById({name!r}).value = {value!r}")
    press(page, "Estimate")
    assert "2 (11 B) of 2 objects" in page.evaluate("document.querySelector('.beside section').textContent")
    press(page, "Start this run")
    until("the failure", lambda: status(page) == "FAILED")
    assert "By hand" in page.evaluate("document.querySelector('h1').textContent")
    until("its code", lambda: "NOT_TEXT" in page.evaluate("document.getElementById('codes').textContent"))
    press(page, "All failed items, with their logs")
    press(page, "shard 0")
    assert "shard" in page.evaluate("document.querySelector('pre.log').textContent")
    assert faults(page) == []
    page.call("Page.navigateToHistoryEntry", entryId=page.call("Page.getNavigationHistory")["entries"][-3]["id"])
    until("the run again", lambda: status(page) == "FAILED")
    press(page, "Rerun failed …")
    assert "millrace resume" in page.evaluate("document.querySelector('main pre').textContent")
    press(page, "Rerun failed")
    until("the rerun's end", lambda: status(page) == "FAILED")

    run = begun(runs, "slow", "sleep 60")
    page.open(f"{address}/runs/{run.run_id}")
    until("its button", lambda: page.evaluate("document.querySelector('.actions') !== null"))
    press(page, "Cancel …")
    press(page, "Cancel")
    until("the end", lambda: status(page) == "ABORTED")
    assert page.complaints == []


def test_anyone_can_use_it(page: Page, runs: tuple[Runs, Target], address: str) -> None:
    """Every page fits a phone, and axe-core finds no fault in it, light or dark."""
    run = begun(runs, "failed", "exit 3")
    runs[0].wait(run, "FAILED")
    page.open(f"{address}/?token=right")
    place = f"/runs/{run.run_id}"
    for path in ("/", place, f"{place}/failures", f"{place}/logs", f"{place}/do/resume", "/start", "/runs/nobodys-run"):
        for width, dark in ((320, False), (1000, True)):
            page.open(address + path, width=width, dark=dark)
            assert faults(page) == [], (path, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_when_the_command_has_ended_the_page_says_so(page: Page, tmp_path: Path) -> None:
    """A page that gets no answer any more says so instead of standing still."""
    folder, path = ROOT / "console/ui", tmp_path / "page.html"
    shown = (folder / "layout.html").read_text().replace("/ui/ui.js", (folder / "ui.js").as_uri())
    path.write_text(shown.replace('{% if events %} data-events="{{ events }}"{% endif %}', ' data-events="gone"'))
    page.open(path)
    until("word of it", lambda: page.evaluate("!document.getElementById('gone').hidden"), seconds=10)
