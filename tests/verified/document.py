"""docs/verified.md out of what the tests know: promises, recordings, and the last run on a real account."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.recorded import FOLDER, recordings

ROOT = Path(__file__).parents[2]
PROMISES = Path(__file__).with_name("promises.toml")
REAL_RUN = Path(__file__).with_name("real_run.json")
"""The tests that passed on a real account, each with its date and Region; missing as long as there was none."""
RUN = "run on "
"""How the source of a recording or an outcome begins that is from a real account: `run on 2026-12-01 in eu-west-3`."""
VERIFIED, README = ROOT / "docs/verified.md", ROOT / "README.md"
EVIDENCE = {"documented": "documented", "emulator": "own emulator only", "unknown": "nothing"}
DOUBTS = """\
Where the embedded AWS or our reading once differed from AWS, or where it is not certain what AWS does.

"""
RECORDED = """\
In `tests/conformance/recordings/`, with the shapes of the source and values of our own.

| recording | of | when | evidence | source |
|---|---|---|---|---|
"""
FOOT = """
What the embedded AWS answers otherwise is listed in `tests/conformance/test_recordings.py`, with what that could hide;
what it leaves out in [local-aws.md](local-aws.md#what-it-does-not-do).
"""
_README_LINE = re.compile(r"^Last run on a real AWS account: .*$", re.MULTILINE)
HEAD = Path(__file__).with_name("head.md")
COLUMNS = """
| what Millrace relies on | what stands behind it | source | tests | a real run would ask |
|---|---|---|---|---|
""".lstrip()


@cache
def promises() -> dict[str, list[dict[str, Any]]]:
    """The promises and the differences, as written."""
    return tomllib.loads(PROMISES.read_text("utf-8"))


def real_run() -> dict[str, str]:
    """What passed on a real account: test by test, its date and Region, as in `2026-12-01, eu-west-3`."""
    return dict(json.loads(REAL_RUN.read_text("utf-8"))) if REAL_RUN.is_file() else {}


def verified() -> str:
    """The page."""
    last = _last("Nothing has been run on a real AWS account yet.")
    page = [HEAD.read_text("utf-8").format(last=last)]
    page += ["\n## What is promised\n\n", COLUMNS, *_rows("promise")]
    page += ["\n## The differences and doubts that are known\n\n", DOUBTS, COLUMNS, *_rows("difference")]
    page += ["\n## Recordings\n\n", RECORDED, *_recordings(), FOOT]
    return "".join(page)


def readme_with_last_run() -> str:
    """The README with its line on the last real run."""
    line = (
        f"Last run on a real AWS account: {_last('none yet').rstrip('.')}. What is relied on, and how each point was "
    )
    return _README_LINE.sub(line + "checked: [docs/verified.md](docs/verified.md)", README.read_text("utf-8"))


def evidence(promise: dict[str, Any]) -> list[str]:
    """What stands behind a promise, the strongest first."""
    asked = tuple(promise.get("questions", ()))
    runs = [run for test, run in real_run().items() if asked and _bare(test).startswith(asked)]
    found = [f"run on a real account ({max(runs)})"] if runs else []
    if promise.get("recordings"):
        found.append("recorded answer")
    if "evidence" in promise:
        found.append(EVIDENCE[promise["evidence"]])
    if promise.get("second_engine"):
        found.insert(-1 if found[-1] == EVIDENCE["emulator"] else len(found), "second engine")
    return found


def take(folder: Path) -> None:
    """Take over a run of `make test-aws` on a real account: which tests passed, where and when; its recordings.

    What passed earlier stays, unless it failed now: stages and parts can be run on different days.

    Args:
        folder: What the run wrote: `outcomes.jsonl` and `recordings/`.

    Raises:
        ValueError: It was a rehearsal, or nothing passed.
    """
    found = [each for each in recordings(folder / "recordings") if each.source.startswith(RUN)]
    outcomes = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text("utf-8").splitlines()]
    real = {each["test"]: each["source"] for each in outcomes if each["source"].startswith(RUN)}
    failed = {each["test"] for each in outcomes if each["outcome"] != "passed"}
    passed = {test: source.removeprefix(RUN).replace(" in ", ", ") for test, source in real.items()}
    if not found or not set(passed) - failed:
        raise ValueError(f"{folder} holds no run on a real account")
    known = {test: run for test, run in {**real_run(), **passed}.items() if test not in failed}
    REAL_RUN.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")
    for each in found:
        (FOLDER / "real").mkdir(exist_ok=True)
        shutil.copy(folder / "recordings" / f"{each.name}.json", FOLDER / "real" / f"{each.name}.json")


def _bare(test: str) -> str:
    return test.partition("[")[0]


def _last(none: str) -> str:
    run = real_run()
    if not run:
        return none
    date, _, region = max(run.values()).partition(", ")
    return f"{date}, in {region}: {len(run)} tests passed."


def _rows(kind: str) -> Iterator[str]:
    for promise in promises()[kind]:
        tests = ", ".join(f"`{test}`" for test in promise.get("tests", ()))
        tests += f" (case: {promise['case']})" if "case" in promise else ""
        questions = ", ".join(
            f"`{test.partition('::')[2] or Path(test).stem}`" for test in promise.get("questions", ())
        )
        page = Path(promise["said"]["page"]).name if "said" in promise else ""
        said = [promise.get("source", ""), page and f"said in [{page}]({page})", promise.get("note", "")]
        sources = {each.source for each in recordings() if each.name in promise.get("recordings", ())}
        source = "; ".join([*sorted(sources), *filter(None, said)])
        yield f"| {promise['what']} | {', '.join(evidence(promise))} | {source} | {tests} | {questions} |\n"


def _recordings() -> Iterator[str]:
    for each in recordings():
        yield f"| `{each.name}` | {each.of} | {each.when} | {each.evidence} | {each.source} |\n"
