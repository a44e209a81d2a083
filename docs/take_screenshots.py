"""Take the pictures in docs/screenshots: `make screenshots`. Needs Chromium; takes about three minutes.

Every picture is of a real run: the template is deployed on an embedded AWS of this script's own, and the runs are
executed there. A headless Chromium opens the report.html that `millrace report` makes of each, and the pages of
`millrace ui`; `millrace watch` runs in a terminal.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import make_server

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "layer/python"), str(ROOT / "docs")]

from terminal_picture import recorded, window  # noqa: E402 - found by the path above

from console import embedded_aws  # noqa: E402 - likewise
from console.checkout import Checkout  # noqa: E402
from console.find.aws import Aws  # noqa: E402
from console.find.target import Target  # noqa: E402
from console.local.deployment import deploy  # noqa: E402
from console.ui.guard import Access  # noqa: E402
from console.ui.pages import ui_pages  # noqa: E402
from tests.browser.chromium import Chromium, Page  # noqa: E402
from tests.report_pages import HOSTILE  # noqa: E402
from tests.workflow.runs import Run, Runs, until  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
PORT, TOKEN = 4600, "picture"
"""What `millrace ui` would answer at; its pages say so."""

DARK = ("resumed",)
WIDTH, WIDE, PHONE, HEIGHT = 1000, 1400, 390, 2000


def say(line: str) -> None:
    """Print what is being done."""
    sys.stderr.write(f"{line}\n")


def stories(number: int) -> dict[str, bytes]:
    """Texts of very different lengths, of the words of examples/documents."""
    chance = random.Random(7)  # noqa: S311 - no secret
    words = (ROOT / "examples/documents/the-mill-race.txt").read_text().split()
    return {
        f"story-{index:03}.txt": " ".join(chance.choices(words, k=int(chance.lognormvariate(7.5, 1.2)))).encode()
        for index in range(number)
    }


def success(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run in which nothing fails."""
    runs.put(folders[0], stories(120))
    run = runs.start(*folders, max_items=5)
    runs.wait(run)
    return run


def failures(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run with hostile keys, of which some fail."""
    hostile = [key for key in HOSTILE if len(key) < 100]
    broken = {f"{key}.txt": b"\xff\xfe" for key in hostile} | {f"cut-{index}.txt.gz": b"\x1f\x8b" for index in range(4)}
    runs.put(folders[0], stories(80) | broken | {"fine/<b>bold</b>.txt": b"mill race"})
    run = runs.start(*folders, max_items=4, tolerated_failure_percent=50)
    runs.wait(run)
    return run


def stopped(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run that is stopped in the middle."""
    runs.put(folders[0], stories(120))
    run = runs.start(*folders, max_items=5)
    until("eight commits", lambda: len(runs.committed(run)) >= 8)
    runs.aws.step_functions.stop_execution(executionArn=run.execution)
    until("the end of its jobs", lambda: not runs.unended(run, "migrate"))
    return run


def resumed(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run that is stopped in the middle, and resumed."""
    run = runs.start(*folders, stopped(runs, folders).run_id, max_items=5)
    runs.wait(run)
    return run


def images(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run of another workload."""
    files = (path for path in (ROOT / "examples/images").iterdir() if path.suffix != ".py")
    runs.put(folders[0], {path.name: path.read_bytes() for path in files})
    run = runs.start(*folders, max_items=2, workload="images", tolerated_failure_percent=50)
    runs.wait(run)
    return run


def slow(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run of a program that takes its time, to be watched."""
    runs.put(folders[0], stories(60) | {"photo.txt": b"\xff\xfe"})
    script = 'sleep 0.4; iconv --from-code utf-8 --to-code utf-16 "$1" > "$2"'
    options = {
        "command": ["sh", "-c", script, "sh", "{input}", "{output}"],
        "bad_item_exit_codes": ["1"],
        "parallel": 1,
    }
    return runs.start(*folders, max_items=3, workload="command", options=options, tolerated_failure_percent=10)


def main() -> None:
    """Run, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        with embedded_aws.running(0, state_dir=state) as server, Chromium() as browser:
            stack, _ = deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, say)
            aws = Aws.embedded(server.endpoint_url)
            runs = Runs(aws, aws.client("s3"), stack.state_machine_arn, stack.job_queue_arn)
            page = browser.page()
            for story in (success, failures, stopped, resumed, images):
                name = story.__name__
                say(f"a run: {name}")
                run = story(runs, places(stack.source_bucket, stack.result_bucket, name))
                millrace(state, "report", run.execution, f"--output={state / name}")
                report = state / name / "report.html"
                picture(page, report, f"report-{name}", dark=name in DARK)
                if story is failures:
                    picture(page, report, "report-phone", width=PHONE)
                if story is success:
                    picture(page, report, "report-timeline", part="timeline")
            say("a run to be watched")
            run = slow(runs, places(stack.source_bucket, stack.result_bucket, "slow"))
            with pages(Target(aws, stack.name, "--local")) as address:
                watched = [sys.executable, "-m", "console", "watch", run.run_id, f"--state-dir={state}"]
                shown = recorded(watched, ROOT, lambda screen: re.search(r"[89] of 21 shards done", screen) is not None)
                command = f"millrace watch {run.run_id} --local"
                drawing = state / "watch.html"
                # In the docs it is the embedded AWS of the reader's checkout, not of a folder that is gone.
                drawing.write_text(window("millrace watch", f"$ {command}\n{shown}".replace(watched[-1], "--local")))
                picture(page, drawing, "watch")
                page.open(f"{address}/?token={TOKEN}")
                picture(page, f"{address}/runs/{run.run_id}", "ui")
                picture(page, f"{address}/runs/{run.run_id}", "ui-phone", width=PHONE, dark=True)
                runs.wait(run)
                picture(page, f"{address}/", "ui-runs", width=WIDE)
                page.open(f"{address}/runs/{run.run_id}/failures")
                log = page.evaluate("document.querySelector('td a').href")
                picture(page, log, "ui-failures", width=WIDE)
                picture(page, f"{address}/start", "ui-start")


def millrace(state: Path, *words: str) -> None:
    """Run the command."""
    command = [sys.executable, "-m", "console", *words, f"--state-dir={state}"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command


def places(source_bucket: str, result_bucket: str, name: str) -> tuple[str, str]:
    """A run's source and destination."""
    return f"s3://{source_bucket}/{name}/", f"s3://{result_bucket}/{name}/"


@contextmanager
def pages(target: Target) -> Iterator[str]:
    """The pages of `millrace ui`; their address, with the token."""
    server = make_server("127.0.0.1", PORT, ui_pages(target, Access(PORT, token=TOKEN)), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{PORT}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def picture(
    page: Page, place: Path | str, name: str, *, width: int = WIDTH, dark: bool = False, part: str = ""
) -> None:
    """Take one picture: of the page from its top on, or from one of its parts."""
    page.open(place, width=width, dark=dark)
    top = 0
    if part:
        top = int(page.evaluate(f"document.getElementById({part!r}).getBoundingClientRect().top + scrollY"))
    bottom = int(page.evaluate("Math.ceil(document.body.getBoundingClientRect().bottom + scrollY)"))
    page.screenshot(PICTURES / f"{name}.png", top=top, height=min(HEIGHT, bottom - top))


if __name__ == "__main__":
    main()
