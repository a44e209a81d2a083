"""scoring, called as the jobs call it."""

import pytest
from scoring import scoring, vector

from millrace import try_on
from millrace.errors import InvalidRunRequest

TEXTS = "The mill stands by the river\nA river and a mill\nQuarterly tax returns\n"


def test_what_is_alike_scores_higher() -> None:
    rows = try_on(scoring, TEXTS, key="a.txt", options={"query": "a river and a mill"}).given
    assert [(row["key"], row["line"]) for row in rows] == [("a.txt", 1), ("a.txt", 2), ("a.txt", 3)]
    assert rows[1]["score"] == 1.0
    assert rows[1]["score"] > rows[0]["score"] > rows[2]["score"] >= 0
    assert rows[0]["score"] == pytest.approx(float(vector("a river and a mill") @ vector(rows[0]["text"])), abs=1e-6)


def test_low_scores_are_left_out_and_the_query_is_required() -> None:
    assert len(try_on(scoring, TEXTS, options={"query": "a river and a mill", "least": 0.99}).given) == 1
    with pytest.raises(InvalidRunRequest, match="query"):
        try_on(scoring, TEXTS)
