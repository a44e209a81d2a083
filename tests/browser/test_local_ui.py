"""The pages of `millrace local ui` in a real browser, over runs on an embedded AWS."""

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
    server.app = ui_pages(runs[1], server.port)
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


def test_a_run_lights_up_and_ends(page: Page, runs: tuple[Runs, Target], address: str) -> None:
    """An open page follows the run to its end without being loaded again, and asks for nothing else."""
    run = begun(runs, f"live/{HOSTILE}", "sleep 0.3")
    page.open(f"{address}/runs/{run.run_id}")
    until("a lit state", lambda: page.evaluate("document.querySelector('#graph .batch.running') !== null"))
    page.evaluate("window.same = true")
    until("the end", lambda: page.evaluate("document.querySelector('.status').textContent") == "SUCCEEDED")
    assert page.evaluate("window.same")
    assert page.evaluate("document.querySelector('progress').value") == 4
    assert page.evaluate("document.querySelectorAll('#graph .succeeded').length") >= 7
    until("its files", lambda: "result.json" in page.evaluate("document.getElementById('files').textContent"))
    assert {each.partition("?")[0] for each in page.requests if not each.startswith("data:")} == {
        f"{address}/runs/{run.run_id}", f"{address}/ui/ui.css", f"{address}/ui/ui.js",
    }  # fmt: skip
    assert page.evaluate("document.title") == f"{run.run_id}: SUCCEEDED · Millrace"
    assert page.complaints == []

    page.open(f"{address}/runs/{run.run_id}/report.html")
    assert page.evaluate("document.querySelector('.outcome').textContent") == "Succeeded: every item was worked"
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "960px"
    assert page.complaints == []


def test_anyone_can_use_it(page: Page, runs: tuple[Runs, Target], address: str) -> None:
    """The list and a failed run fit a phone, and axe-core finds no fault in them, light or dark."""
    run = begun(runs, "failed", "exit 3")
    runs[0].wait(run, "FAILED")
    for place in ("/", f"/runs/{run.run_id}", "/runs/nobodys-run"):
        for width, dark in ((320, False), (1000, True)):
            page.open(address + place, width=width, dark=dark)
            assert faults(page) == [], (place, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, place


def test_when_the_command_has_ended_the_page_says_so(page: Page, tmp_path: Path) -> None:
    """A page that gets no answer any more says so instead of standing still."""
    folder, path = ROOT / "console/ui", tmp_path / "page.html"
    shown = (folder / "layout.html").read_text().replace("/ui/ui.js", (folder / "ui.js").as_uri())
    path.write_text(
        shown.replace('<body{% if every %} data-every="{{ every }}"{% endif %}>', '<body data-every="0.5">')
    )
    page.open(path)
    until("word of it", lambda: page.evaluate("!document.getElementById('gone').hidden"), seconds=10)
