"""The drawn state machine: complete, lit, safe, and the one in the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from console.ui.state_graph import draw

ROOT = Path(__file__).parents[3]
MACHINE: dict[str, Any] = json.loads((ROOT / "statemachine/migration.asl.json").read_text())
SVG = "{http://www.w3.org/2000/svg}"


def test_every_state_and_every_way_is_drawn() -> None:
    """A box for each state, an arrow for each way that the definition names."""
    drawn = ET.fromstring(draw(MACHINE))
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert set(MACHINE["States"]) <= set(texts)
    ways = sum(
        len(state.get("Choices", ())) + len(state.get("Catch", ())) + ("Default" in state) + ("Next" in state)
        for state in MACHINE["States"].values()
    )
    assert len([each for each in drawn.iter(f"{SVG}path") if each.get("class") == "edge"]) == ways


def test_the_docs_show_the_state_machine_as_it_is() -> None:
    """docs/state-graph.svg is what `python docs/draw_state_graph.py` draws now."""
    assert (ROOT / "docs/state-graph.svg").read_text() == draw(MACHINE)


def test_a_run_lights_its_states() -> None:
    """A state has its status as a class and as a word, and a screen reader is told all of them."""
    drawn = draw(MACHINE, {"Prepare Run": "succeeded", "Plan": "running"}, style="")
    assert re.search(r'<g class="state lambda succeeded">.*?Prepare Run</text><text[^>]*>succeeded<', drawn)
    assert re.search(r'<g class="state batch running">.*?Plan</text><text[^>]*>running<', drawn)
    assert 'aria-label="Prepare Run: succeeded, Planned?: waiting, Skip Run: waiting, ' in drawn
    assert ", Plan: running, Read Plan: waiting" in drawn
    assert "<style" not in drawn


def test_any_machine_can_be_drawn() -> None:
    """Circles, other kinds of states, several ends and hostile names."""
    hostile = "<script>alert(1)</script>"
    machine = {
        "StartAt": hostile,
        "States": {
            hostile: {"Type": "Pass", "Next": "Ready?"},
            "Ready?": {"Type": "Choice", "Choices": [{"Next": "Wait"}, {"Next": "Done"}], "Default": "Broken"},
            "Wait": {"Type": "Wait", "Seconds": 3, "Next": "Ready?"},
            "Done": {"Type": "Succeed"},
            "Broken": {"Type": "Fail"},
        },
    }
    drawn = draw(machine, {hostile: '"><b>'})
    assert "<script" not in drawn
    assert "<b>" not in drawn
    assert len(list(ET.fromstring(drawn).iter(f"{SVG}path"))) == 6
