"""The benchmark of the pages, with few runs and shards: each page answers, and has what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pages.filling import Size
from benchmarks.pages.measuring import measure, table
from console.find.target import Target
from tests.workflow.conftest import LocalStack

pytestmark = pytest.mark.long


def test_every_page_answers(stack: LocalStack, tmp_path: Path) -> None:
    """Whatever has not what it should is an error of `measure`; the stack is as it was before."""
    target = Target(stack.aws, stack.stack.name, f"--state-dir={stack.state_dir}")
    machine = stack.stack.state_machine_arn
    before = stack.aws.step_functions.describe_state_machine(stateMachineArn=machine)["definition"]
    measured, notes = measure(target, stack.state_dir, Size(20, 30, 15), tmp_path / "hold", again=1)
    assert stack.aws.step_functions.describe_state_machine(stateMachineArn=machine)["definition"] == before
    assert len({(each.asked.of, each.asked.what) for each in measured}) == len(measured) == 11 + 2 * 15 + 2
    assert all(each.bytes and len(each.warm) == 1 for each in measured)
    made = table(measured, notes)
    assert [row[1] for row in made.rows] == [each.asked.what for each in measured]
    assert len(made.goals) == 4
    assert "20 runs in the list; a run of 30 shards, of whose items 15 failed." in made.markdown()
