"""A state without a comment, a limit or a slim result is seen."""

from __future__ import annotations

import pytest

from checks.statemachine import state_rules
from tests.infrastructure.checkout import Checkout, Plant

PLANTS = [
    Plant(
        "A state inside a Map is a state.",
        lambda c: c.definition["States"].update(
            Each={"Type": "Map", "Comment": "x", "ItemProcessor": {"States": {"Inner": {"Type": "Pass"}}}, "End": True}
        ),
        "Inner: has no Comment",
    ),
    Plant(
        "A state inside a Parallel is a state.",
        lambda c: c.definition["States"].update(
            Both={"Type": "Parallel", "Comment": "x", "Branches": [{"States": {"Left": {"Type": "Pass"}}}], "End": True}
        ),
        "Left: has no Comment",
    ),
    Plant(
        "A machine without a comment is a picture without a title.",
        lambda c: c.definition.pop("Comment"),
        "the machine has no Comment",
    ),
    Plant(
        "A machine without a limit can run for a year.",
        lambda c: c.definition.pop("TimeoutSeconds"),
        "the machine has no TimeoutSeconds",
    ),
    Plant(
        "The state graph is read in the console, comment by comment.",
        lambda c: c.state("How Many Children?").pop("Comment"),
        "How Many Children?: has no Comment",
    ),
    Plant(
        "A task without a limit waits for a year.",
        lambda c: c.state("Migrate Shards").pop("TimeoutSeconds"),
        "Migrate Shards: has no TimeoutSeconds",
    ),
    Plant(
        "A caught failure cannot be redriven.",
        lambda c: c.state("Plan").update(Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "Merge"}]),
        "Plan: has a Catch",
    ),
    Plant(
        "A job's failure that is caught cannot be redriven, whatever it is called.",
        lambda c: c.state("Merge").update(Catch=[{"ErrorEquals": ["HandedBackError"], "Next": "Read Plan"}]),
        "Merge: has a Catch",
    ),
    Plant(
        "A function's failure is none of the errors that say where to go on.",
        lambda c: c.state("Read Result")["Catch"][0].update(ErrorEquals=["HandedBackError", "States.ALL"]),
        "Read Result: has a Catch",
    ),
    Plant(
        "What leads to an end is not continued.",
        lambda c: c.state("Read Result")["Catch"][0].update(Next="Skip Run"),
        "Read Result: has a Catch",
    ),
    Plant(
        "A job's answer holds its whole environment.",
        lambda c: c.state("Merge").pop("ResultSelector"),
        "Merge: has no ResultSelector",
    ),
    Plant(
        "The container part of a job's answer holds its environment.",
        lambda c: c.state("Merge").update(ResultSelector={"job.$": "$.Container"}),
        "keeps $.Container",
    ),
    Plant(
        "An intrinsic function can carry the environment too.",
        lambda c: c.state("Merge").update(
            ResultSelector={"a": {"b.$": "States.JsonToString($.Container.Environment)"}}
        ),
        "keeps $.Container.Environment",
    ),
    Plant(
        "The whole answer includes the environment.",
        lambda c: c.state("Merge").update(ResultSelector={"job.$": "$"}),
        "keeps $,",
    ),
    Plant(
        "A wildcard reaches the environment.",
        lambda c: c.state("Merge").update(ResultSelector={"job.$": "$..Environment"}),
        "keeps $..Environment",
    ),
    Plant(
        "A bracket is another way to write a member.",
        lambda c: c.state("Merge").update(ResultSelector={"job.$": "$['Container']"}),
        "keeps $[",
    ),
    Plant(
        "A job that nobody waits for is merged before it is done.",
        lambda c: c.state("Migrate Shards").update(Resource="arn:aws:states:::batch:submitJob"),
        "does not wait for it",
    ),
    Plant(
        "Step Functions Local knows no JSONata.",
        lambda c: c.definition.update(QueryLanguage="JSONata"),
        "QueryLanguage",
    ),
    Plant(
        "Step Functions Local knows no variables.",
        lambda c: c.state("Plan").update(Assign={"x": 1}),
        "Plan: has Assign",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_sees(plant: Plant, checkout: Checkout) -> None:
    """The rules for every state name the planted fault."""
    plant.edit(checkout)
    assert plant.message in "\n".join(map(str, state_rules.check(checkout.sources())))
