"""Take the pictures in docs/screenshots: `python docs/take_screenshots.py`. Needs Chromium; takes about two minutes.

Every picture is of a real run: the template is deployed on an embedded AWS of this script's own, the runs are executed
there, and a headless Chromium opens the report.html that each of them wrote.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "layer/python")]

from console import embedded_aws  # noqa: E402 - found by the path above
from console.aws import Aws  # noqa: E402
from console.checkout import Checkout  # noqa: E402
from console.deployment import deploy  # noqa: E402
from tests.browser.chromium import Chromium, Page  # noqa: E402
from tests.report_pages import HOSTILE  # noqa: E402
from tests.workflow.runs import Run, Runs, until  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
PARTS = {"success": "timeline", "failures": "", "resumed": "timeline", "images": ""}
"""Where each picture begins: at a part of the page, or at its top."""
WIDTH, PHONE, HEIGHT = 1000, 390, 1500


def say(line: str) -> None:
    """Tell what is being done."""
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


def resumed(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run that is stopped in the middle, and gone on with."""
    runs.put(folders[0], stories(120))
    stopped = runs.start(*folders, max_items=5)
    until("eight commits", lambda: len(runs.committed(stopped)) >= 8)
    runs.aws.step_functions.stop_execution(executionArn=stopped.execution)
    until("the end of its jobs", lambda: not runs.unended(stopped, "migrate"))
    run = runs.start(*folders, stopped.run_id, max_items=5)
    runs.wait(run)
    return run


def images(runs: Runs, folders: tuple[str, str]) -> Run:
    """A run of another workload."""
    files = (path for path in (ROOT / "examples/images").iterdir() if path.suffix != ".py")
    runs.put(folders[0], {path.name: path.read_bytes() for path in files})
    run = runs.start(*folders, max_items=2, workload="images", tolerated_failure_percent=50)
    runs.wait(run)
    return run


def main() -> None:
    """Run, and take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        with embedded_aws.running(0, state_dir=state) as server, Chromium() as browser:
            stack, _ = deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, say)
            aws = Aws.embedded(server.endpoint_url)
            runs = Runs(aws, aws.s3.client, stack.state_machine_arn, stack.job_queue_arn)
            page = browser.page()
            for story in (success, failures, resumed, images):
                name = story.__name__
                say(f"a run: {name}")
                folders = f"s3://{stack.source_bucket}/{name}/", f"s3://{stack.result_bucket}/{name}/"
                report = state / f"{name}.html"
                report.write_bytes(runs.file(story(runs, folders), "report.html"))
                picture(page, report, f"report-{name}", part=PARTS[name], dark=story is resumed)
                if story is failures:
                    picture(page, report, "report-phone", width=PHONE)


def picture(page: Page, report: Path, name: str, *, part: str = "", width: int = WIDTH, dark: bool = False) -> None:
    """Take one picture: of the page from a part of it on."""
    page.open(report, width=width, dark=dark)
    top = int(page.evaluate(f"document.getElementById('{part}').getBoundingClientRect().top + scrollY")) if part else 0
    height = min(HEIGHT, int(page.evaluate("document.body.scrollHeight")) - top)
    page.screenshot(PICTURES / f"{name}.png", top=top, height=height)


if __name__ == "__main__":
    main()
