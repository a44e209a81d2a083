"""Nested stacks are read in their place, and what does not fit between two files is seen."""

from __future__ import annotations

from typing import Any

import pytest

from checks.faults import SourceError
from checks.nested import flattened
from tests.infrastructure.checkout import REAL

CHILD: dict[str, Any] = {
    "Parameters": {"Bucket": {"Type": "String"}, "Days": {"Type": "Number", "Default": 3}},
    "Conditions": {"HasBucket": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Bucket"}, ""]}]}},
    "Resources": {
        "Rule": {"Type": "T", "Condition": "HasBucket", "Properties": {"Name": {"Fn::Sub": "${Bucket}-${Days}"}}},
        "Topic": {"Type": "T", "Properties": {"Days": {"Ref": "Days"}, "Bucket": {"Ref": "Bucket"}}},
    },
    "Outputs": {"TopicArn": {"Value": {"Fn::GetAtt": ["Topic", "Arn"]}}, "Topic": {"Value": {"Ref": "Topic"}}},
}


def root(**given: Any) -> dict[str, Any]:
    """A template with a nested stack that is there under a condition."""
    stack = {"TemplateURL": "stacks/child.yaml", "Parameters": given}
    return {
        "Parameters": {"Name": {"Type": "String"}},
        "Conditions": {"Wanted": {"Fn::Equals": [{"Ref": "Name"}, "a"]}},
        "Resources": {
            "Child": {"Type": "AWS::CloudFormation::Stack", "Condition": "Wanted", "Properties": stack},
            "User": {"Type": "T", "Properties": {"Arn": {"Fn::GetAtt": ["Child", "Outputs.TopicArn"]}}},
        },
        "Outputs": {"Topic": {"Value": {"Fn::Sub": "x/${Child.Outputs.Topic}/${Child.Outputs.TopicArn}"}}},
    }


def test_parameters_and_outputs_are_what_they_stand_for() -> None:
    """What a file gives another is in its place: references, defaults, texts with variables, conditions."""
    made = flattened(root(Bucket={"Ref": "Name"}), lambda _path: CHILD)
    assert made["Resources"] == {
        "Rule": {
            "Type": "T",
            "Condition": "WantedHasBucket",
            "Properties": {"Name": {"Fn::Sub": ["${Name}-${Days}", {"Days": 3}]}},
        },
        "Topic": {"Type": "T", "Condition": "Wanted", "Properties": {"Days": 3, "Bucket": {"Ref": "Name"}}},
        "User": {"Type": "T", "Properties": {"Arn": {"Fn::GetAtt": ["Topic", "Arn"]}}},
    }
    assert made["Outputs"] == {"Topic": {"Value": {"Fn::Sub": "x/${Topic}/${Topic.Arn}"}}}
    assert made["Conditions"]["HasBucket"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]}
    assert made["Conditions"]["WantedHasBucket"] == {"Fn::And": [{"Condition": "Wanted"}, {"Condition": "HasBucket"}]}


def test_a_branch_that_a_condition_excludes_is_left_out() -> None:
    """What is passed only under a condition is itself where that condition is known to hold, and nothing else there."""
    passed = {"Fn::If": ["Wanted", {"Ref": "Name"}, "none"]}
    child = {
        "Parameters": {"Bucket": {"Type": "String"}},
        "Resources": {
            "Sure": {"Type": "T", "Condition": "Wanted", "Properties": {"Bucket": {"Ref": "Bucket"}}},
            "Open": {
                "Type": "T",
                "Properties": {
                    "Own": {"Fn::If": ["Wanted", [{"Ref": "Bucket"}], [{"Ref": "Bucket"}, 1]]},
                    "Other": {"Fn::If": ["Else", {"Ref": "Bucket"}, 2]},
                },
            },
        },
    }
    template = root(Bucket=passed)
    del template["Resources"]["Child"]["Condition"], template["Resources"]["User"], template["Outputs"]
    made = flattened(template, lambda _path: child)["Resources"]
    assert made["Sure"]["Properties"] == {"Bucket": {"Ref": "Name"}}
    assert made["Open"]["Properties"] == {
        "Own": {"Fn::If": ["Wanted", [{"Ref": "Name"}], ["none", 1]]},
        "Other": {"Fn::If": ["Else", passed, 2]},
    }


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (root(), "Bucket, which stacks/child.yaml needs, is not given"),
        (root(Bucket="b", Colour="red"), "stacks/child.yaml has no parameter Colour"),
        (
            {**root(Bucket="b"), "Resources": {"Topic": {"Type": "U"}, **root(Bucket="b")["Resources"]}},
            "the name Topic is in another file too",
        ),
    ],
)
def test_sees_what_does_not_fit(template: dict[str, Any], message: str) -> None:
    """A parameter that is missing or unknown fails the deployment; a name that is there twice misleads its reader."""
    with pytest.raises(SourceError, match=message):
        flattened(template, lambda _path: CHILD)


def test_every_resource_of_every_file_is_checked() -> None:
    """The checks read each nested stack's resources beside the root's."""
    for path, template in REAL.nested().items():
        assert set(template["Resources"]) <= set(REAL.template["Resources"]), path


def test_every_output_that_is_asked_for_is_there() -> None:
    """No reference to a nested stack is left, so that each named an output that there is."""
    assert "Outputs." not in str(REAL.template["Resources"])


def test_a_function_gets_the_globals_of_its_own_file() -> None:
    """Each file says what all of its functions have; nothing of it reaches the functions of another file."""
    function: dict[str, Any] = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"Environment": {"Variables": {"A": "1"}}},
    }
    child = {
        "Globals": {"Function": {"Timeout": 9, "Environment": {"Variables": {"A": "0", "B": "2"}}}},
        "Resources": {"Nested": function},
    }
    whole = {**root(), "Globals": {"Function": {"MemorySize": 512}}}
    whole["Resources"] = {"Child": whole["Resources"]["Child"], "Own": function}
    made = flattened(whole, lambda _path: child)
    assert "Globals" not in made
    assert made["Resources"]["Own"]["Properties"] == {"MemorySize": 512, **function["Properties"]}
    nested = {"Timeout": 9, "Environment": {"Variables": {"A": "1", "B": "2"}}}
    assert made["Resources"]["Nested"]["Properties"] == nested


def test_a_list_is_given_as_a_text_and_read_as_a_list() -> None:
    """A stack takes no list: one that is joined with commas is the list again where the nested template names it."""
    child = {
        "Parameters": {"Ids": {"Type": "CommaDelimitedList"}},
        "Resources": {"Environment": {"Type": "T", "Properties": {"Subnets": {"Ref": "Ids"}}}},
    }
    joined = {"Fn::If": ["Wanted", {"Fn::Join": [",", [{"Ref": "A"}]]}, {"Fn::Join": [",", {"Ref": "Name"}]}]}
    whole = root(Ids=joined)
    del whole["Resources"]["User"], whole["Outputs"]
    made = flattened(whole, lambda _path: child)
    assert made["Resources"]["Environment"]["Properties"] == {
        "Subnets": {"Fn::If": ["Wanted", [{"Ref": "A"}], {"Ref": "Name"}]}
    }
