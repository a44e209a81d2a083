"""The name and the tags of a run are checked as AWS checks tags."""

from typing import Any

import pytest

from millrace.errors import InvalidRunRequest
from millrace.request.labels import labels_of, tags_text
from millrace.request.run_request import RunRequest

FOLDERS = {"source": "s3://letters/in/", "destination": "s3://results/out/"}


def test_a_run_may_have_a_name_and_tags() -> None:
    """Letters of any script are taken, up to the lengths of AWS's tags; without them a run has neither."""
    given = {"name": "Nächtliche Briefe 夜 " + "n" * 236, "tags": {"k" * 128: "v" * 256, "team": ""}}
    request = RunRequest.parse({**FOLDERS, **given})
    assert (request.name, request.tags) == (given["name"], given["tags"])
    assert (RunRequest.parse(FOLDERS).name, RunRequest.parse(FOLDERS).tags) == (None, {})
    assert len(RunRequest.parse({**FOLDERS, "tags": {f"k{number}": "" for number in range(50)}}).tags) == 50


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": 7}, "name"),
        ({"name": "n" * 257}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "<b>"}, "name"),
        ({"tags": ["team"]}, "tags"),
        ({"tags": None}, "tags"),
        ({"tags": {f"k{number}": "" for number in range(51)}}, "tags"),
        ({"tags": {"": "v"}}, "tags"),
        ({"tags": {"k" * 129: "v"}}, "tags"),
        ({"tags": {"AWS:team": "v"}}, "tags"),
        ({"tags": {"team": 7}}, "tags.team"),
        ({"tags": {"team": "v" * 257}}, "tags.team"),
        ({"tags": {"team": "a\x00"}}, "tags.team"),
    ],
)
def test_what_aws_would_not_take_as_a_tag_is_refused(given: dict[str, Any], field: str) -> None:
    """The field is named, and what is allowed."""
    with pytest.raises(InvalidRunRequest) as raised:
        RunRequest.parse({**FOLDERS, **given})
    assert raised.value.field == field


def test_labels_of_an_input_that_was_refused_are_left_out() -> None:
    """A run whose request was refused is listed and reported all the same."""
    assert labels_of({"name": ["x"], "tags": {"team": "search"}}) == (None, {"team": "search"})
    assert labels_of({"name": "n", "tags": [1]}) == ("n", {})
    assert tags_text({"b": "", "a": "1"}) == "a=1, b"
