"""The simulator walks the real state machine, and refuses what it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.errors import EndlessRunError, UnknownStateError
from tests.simulation.retry_rules import rules_of_the_template
from tests.simulation.runs import simulate
from tests.simulation.state_machine import FILE, STATES, StateMachine
from tests.simulation.world import World


def test_every_state_of_the_file_is_known() -> None:
    """The file has the states that the simulator knows, all of them and no others."""
    assert set(StateMachine.of_the_repository().states) == set(STATES)


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.update({"Tidy Up": states["Read Result"]}),
        lambda states: states["Merge"].update(ResultWriter={}),
        lambda states: states["Merge"]["Parameters"]["ContainerOverrides"].update(
            {"Command.$": "States.Array('migrate', '--plan', $.run.plan)"}
        ),
        lambda states: states["Read Plan"]["Parameters"].update(FunctionName="${ReadResultFunctionArn}"),
    ],
    ids=["another state", "another field", "another job", "another function"],
)
def test_what_is_not_known_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    """A state machine that was changed makes the simulator fail, not pass it by."""
    definition = json.loads(FILE.read_text(encoding="utf-8"))
    change(definition["States"])
    with pytest.raises(UnknownStateError):
        StateMachine(json.dumps(definition))


@pytest.mark.parametrize(
    ("exit_code", "reason", "retried"),
    [
        (1, "Essential container in task exited", True),
        (137, "Essential container in task exited", True),
        (2, "Essential container in task exited", False),
        (3, "Essential container in task exited", False),
        (None, "Host EC2 (instance i-0a) terminated.", True),
        (None, "Your Spot Task was interrupted.", True),
        (None, "CannotPullContainerError: pull image manifest has been retried 5 time(s)", True),
        (None, "Timeout waiting for network interface provisioning to complete.", True),
        (42, "Essential container in task exited", True),
    ],
)
def test_batch_retries_as_the_template_says(exit_code: int | None, reason: str, retried: bool) -> None:  # noqa: FBT001
    """What broke is tried again; wrong input and too many failures are not."""
    for rules in rules_of_the_template().values():
        assert rules.retried(exit_code, reason) is retried
        assert rules.attempts == 8


def test_a_run_without_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that takes too many steps is a violation; so is one in which all wait for each other."""
    world = World(0)
    with pytest.raises(EndlessRunError):
        world.scheduler.pause(ready=lambda: False)
    real = World.__init__

    def init(self: World, *given: Any, **kept: Any) -> None:
        real(self, *given, **kept)
        self.scheduler._limit = 20

    monkeypatch.setattr(World, "__init__", init)
    assert simulate(1).broken is not None
    assert "20 steps" in simulate(1).violation
