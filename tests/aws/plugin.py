"""What pytest does under `make test-aws`: one target, everything recorded, everything deleted at the end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from tests.aws import cleaning, expenses
from tests.aws.target import Target
from tests.conformance.account import PACE
from tests.conformance.recorded import Recorder

REAL_PACE = {"deadline": 300.0, "pause": 2.0}
"""A job on Fargate needs a minute to start, and an account throttles who asks too often."""


@cache
def _target() -> Target:
    target = Target.read()
    target.check()
    return target


@cache
def _recorder() -> Recorder:
    target = _target()
    day = datetime.now(UTC).date().isoformat()
    source = f"run on {day} in {target.region}" if target.endpoint_url is None else f"rehearsed on {day}"
    recorder = Recorder(target.folder / "recordings", source, target.account, target.region)
    recorder.watch(target.session)
    return recorder


@pytest.fixture(scope="session")
def target() -> Target:
    """The account under test."""
    _recorder()
    target = _target()
    if target.endpoint_url is None:
        PACE.update(REAL_PACE)
    return target


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the embedded AWS alone has or does."""
    left_out = [item for item in items if item.get_closest_marker("embedded")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _outcomes() -> Path:
    return _target().folder / "outcomes.jsonl"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Forget what became of these tests earlier: stages and parts can be run one by one."""
    again = {item.nodeid for item in session.items}
    if _outcomes().is_file():
        lines = _outcomes().read_text("utf-8").splitlines(keepends=True)
        _outcomes().write_text("".join(line for line in lines if json.loads(line)["test"] not in again), "utf-8")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the recordings after the test at work."""
    _recorder().case = f"{Path(item.path).stem}.{item.name}"[:120]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what became of each test: docs/verified.md is made of it."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes().parent.mkdir(parents=True, exist_ok=True)
        line = {"test": report.nodeid, "outcome": report.outcome, "source": _recorder().source}
        with _outcomes().open("a") as outcomes:
            outcomes.write(json.dumps(line) + "\n")


def pytest_sessionfinish() -> None:
    """Delete all that was made, whatever happened, and say what was spent."""
    target = _target()
    spent = expenses.spent(target.jobs.values())
    left = cleaning.delete(
        target, target.made if target.endpoint_url else [*target.made, *cleaning.tagged(target, target.run)]
    )
    target.folder.mkdir(parents=True, exist_ok=True)
    document = {"run": target.run, "jobs": len(target.jobs), "dollars": round(spent, 4), "left": left}
    (target.folder / "spent.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"\nspent on jobs: ${spent:.4f} ({len(target.jobs)} jobs); not deleted: {left or 'nothing'}")  # noqa: T201
