"""docs/verified.md says what the tests know: nothing stale, no proof that is not there."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.recorded import recordings
from tests.verified import document
from tests.verified.document import EVIDENCE, ROOT, evidence, promises, take

ALL = [promise for kind in promises().values() for promise in kind]


def there(test: str) -> bool:
    """Whether a test, or a file or folder of tests, is there."""
    path, _, name = test.partition("::")
    if not name:
        return (ROOT / path).exists()
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_and_the_readme_are_fresh() -> None:
    """`make verified` would write what stands there."""
    assert document.VERIFIED.read_text("utf-8") == document.verified(), "make verified"
    assert document.README.read_text("utf-8") == document.readme_with_last_run(), "make verified"
    assert "Last run on a real AWS account: " in document.README.read_text("utf-8")


@pytest.mark.parametrize("promise", ALL, ids=lambda promise: promise["what"][:60])
def test_what_stands_behind_a_promise_is_there(promise: dict[str, Any]) -> None:
    """Tests, questions and recordings by names that exist; evidence of a known kind, documented only with a source."""
    known = {"what", "evidence", "source", "tests", "case", "said", "questions", "recordings", "second_engine", "note"}
    assert set(promise) <= known
    for test in [*promise.get("tests", ()), *promise.get("questions", ())]:
        assert there(test), test
    assert set(promise.get("recordings", ())) <= {each.name for each in recordings()}
    assert promise.get("evidence", "documented") in EVIDENCE
    assert "recordings" in promise or "evidence" in promise
    if promise.get("evidence") == "documented":
        assert promise.get("source")
    if promise.get("evidence") == "emulator":
        assert promise.get("tests")


def test_every_recording_stands_behind_a_promise() -> None:
    """None is there for nothing."""
    used = {name for promise in ALL for name in promise.get("recordings", ())}
    loose = {each.name for each in recordings() if each.evidence in ("recorded", "measured")} - used
    assert loose == set()


def test_the_26_known_differences_are_there() -> None:
    """Each with its proof: tests by their names, of one over many cases the case, or the page that says it."""
    assert len(promises()["difference"]) == 26
    for each in promises()["difference"]:
        tests = each.get("tests", ())
        assert tests or "said" in each, each["what"]
        assert all("::" in test for test in tests), each["what"]
        if any(test.endswith("::test_sees") for test in tests):
            assert "case" in each, each["what"]
        if "case" in each:
            files = [(ROOT / test.partition("::")[0]).read_text("utf-8") for test in tests]
            assert any(each["case"] in text for text in files), each["case"]
        if "said" in each:
            assert each["said"]["words"] in (ROOT / each["said"]["page"]).read_text("utf-8"), each["what"]


def test_a_real_run_is_the_strongest_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passed there is named with its date and Region, on page and README; a rehearsal counts nothing."""
    folder, real = tmp_path / "run", tmp_path / "real_run.json"
    monkeypatch.setattr(document, "REAL_RUN", real)
    monkeypatch.setattr(document, "FOLDER", tmp_path)
    (folder / "recordings").mkdir(parents=True)
    outcomes = [("tests/aws/test_1_questions.py::test_a_time_out_stops_the_job[task]", "passed"), ("b.py::b", "failed")]
    real.write_text(json.dumps({"a.py::a": "2026-11-30, eu-west-1", "b.py::b": "2026-11-30, eu-west-1"}))

    def outcomes_of(source: str) -> None:
        lines = [json.dumps({"test": test, "outcome": outcome, "source": source}) for test, outcome in outcomes]
        (folder / "outcomes.jsonl").write_text("\n".join(lines) + "\n")

    answer = {"of": "batch DescribeJobs", "when": "x", "evidence": "run", "exact": [], "answer": {}}

    written = folder / "recordings/a.json"
    outcomes_of("rehearsed on 2026-12-01")
    written.write_text(json.dumps({**answer, "source": "rehearsed on 2026-12-01"}))
    with pytest.raises(ValueError, match="holds no run on a real account"):
        take(folder)
    outcomes_of("run on 2026-12-01 in eu-west-3")
    written.write_text(json.dumps({**answer, "source": "run on 2026-12-01 in eu-west-3"}))
    take(folder)

    promise = next(each for each in ALL if each["what"] == "a task's time-out stops its `.sync` job")
    assert evidence(promise) == ["run on a real account (2026-12-01, eu-west-3)", "recorded answer"]
    assert "run on a real account (2026-12-01, eu-west-3)" in document.verified()
    assert (
        "Last run on a real AWS account: 2026-12-01, in eu-west-3: 2 tests passed." in document.readme_with_last_run()
    )
    assert set(document.real_run()) == {"a.py::a", outcomes[0][0]}  # an earlier one stays, unless it failed now
    assert (tmp_path / "real/a.json").is_file()
