"""`then`: what may follow a run, and the request of the run that does."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.errors import InvalidRunRequest
from millrace.request.chained import MOST_RUNS, next_request, next_run_id
from millrace.request.run_request import RunRequest

FIRST: dict[str, Any] = {"source": "s3://letters/in/", "destination": "s3://results/a/"}
THEN: dict[str, Any] = {"workload": "copy", "destination": "s3://results/b/"}


def chain(length: int) -> dict[str, Any]:
    """A request of so many runs, each over what the one before it wrote."""
    request: dict[str, Any] = {"destination": f"s3://results/{length}/"}
    for number in range(length - 1, 0, -1):
        request = {"destination": f"s3://results/{number}/", "then": request}
    return {"source": "s3://letters/in/", **request}


def test_the_next_run_reads_what_the_first_one_wrote() -> None:
    """Its source is the first one's destination, without the files that runs keep there; it is started once."""
    request = RunRequest.parse({**FIRST, "then": {**THEN, "exclude": ["*.tmp"], "tags": {"team": "search"}}})
    result = "s3://results/a/_millrace/run-1/result.json"
    made = next_request(request.to_json(), "run-1", result)
    assert made == {
        "source": "s3://results/a/",
        "workload": "copy",
        "destination": "s3://results/b/",
        "exclude": ["*.tmp", "_millrace/*", "*/_millrace/*"],
        "tags": {"team": "search", "started-by": "the run run-1"},
        "run_id": next_run_id(result),
        "once": True,
    }
    assert RunRequest.parse(made).then is None
    assert next_request(made, "next", "s3://results/b/_millrace/x/result.json") is None


def test_a_result_of_its_own_has_a_run_of_its_own() -> None:
    """What is told twice starts one run; a rerun of failed items has another result, and is followed again."""
    one, rerun = "s3://results/a/_millrace/run-1/result.json", "s3://results/a/_millrace/run-1/reruns/001/result.json"
    assert next_run_id(one) == next_run_id(one) != next_run_id(rerun)
    assert len(next_run_id(one)) <= 80


def test_a_source_of_its_own_stays() -> None:
    """Where `then` names a source, that is the next one's."""
    made = next_request({**FIRST, "then": {**THEN, "source": "s3://letters/other/"}}, "run-1", "s3://r/x")
    assert made is not None
    assert made["source"] == "s3://letters/other/"


def test_a_chain_ends() -> None:
    """As many runs as may follow one another do, and one more is refused; each is checked."""
    links = list(RunRequest.parse(chain(MOST_RUNS)).following())
    assert [link.source for link in links] == [f"s3://results/{number}/" for number in range(1, MOST_RUNS)]
    assert [link.destination for link in links] == [f"s3://results/{number}/" for number in range(2, MOST_RUNS + 1)]
    with pytest.raises(InvalidRunRequest, match=f"at most {MOST_RUNS} runs"):
        RunRequest.parse(chain(MOST_RUNS + 1))


@pytest.mark.parametrize(
    ("then", "field"),
    [
        ("copy", "then"),
        ([], "then"),
        ({}, "then.destination"),
        ({**THEN, "program": "copy"}, "then.program"),
        ({**THEN, "workload": "none-such"}, "then.workload"),
        ({**THEN, "run_id": "mine"}, "then.run_id"),
        ({**THEN, "once": True}, "then.once"),
        ({**THEN, "retry_failed": True}, "then.retry_failed"),
        ({**THEN, "destination": "s3://results/a/b/"}, "then.destination"),
        ({**THEN, "exclude": "*.tmp"}, "then.exclude"),
        ({**THEN, "tags": "search"}, "then.tags"),
        ({**THEN, "destination": "s3://letters/in/"}, "then.destination"),
        ({**THEN, "destination": "s3://letters/"}, "then.destination"),
        ({**THEN, "source": "s3://other/", "destination": "s3://letters/in/out/"}, "then.destination"),
        ({**THEN, "then": {"destination": "s3://results/a/"}}, "then.then.destination"),
        ({**THEN, "then": {"destination": "s3://letters/in/"}}, "then.then.destination"),
        ({**THEN, "tags": {f"k{number}": "" for number in range(50)}}, "then.tags"),
    ],
)
def test_what_cannot_follow_is_refused_with_its_field(then: object, field: str) -> None:
    """No request, a run to resume, a wrong field, and what would go round: it writes what an earlier run reads."""
    with pytest.raises(InvalidRunRequest) as refused:
        RunRequest.parse({**FIRST, "then": then})
    assert refused.value.field == field
