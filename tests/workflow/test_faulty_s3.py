"""S3 out of order: the jobs wait, ask again, and the run ends complete without a new attempt."""

from __future__ import annotations

from contextlib import ExitStack

from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Outage, cut_body, delay, lose_answer, refuse, reset
from tests.workflow.runs import Runs, a_child_each
from tests.workflow.texts import counted, texts, totals


def test_s3_is_busy_for_a_while(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """While S3 answers 503 to everything for three seconds, in the middle of migrate, jobs wait; none of them fails."""
    bodies = texts(60)
    runs.put(source, bodies)
    outage = Outage(3, refuse(503, "SlowDown"))
    with proxy.when("PUT", "/010.txt.words.txt$", outage.begin, times=1) as begun, proxy.when(".*", "", outage):
        run = runs.start(source, destination, **a_child_each(20))
        output = runs.wait(run)
    assert begun.hits == 1
    assert proxy.count("PUT", "/010.txt.words.txt$") > 1
    assert output["counts"]["succeeded"] == 60
    attempts = [len(runs.job(run, "migrate", child)["attempts"]) for child in range(3)]
    assert attempts == [1, 1, 1]
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())


def test_faults_of_every_kind(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """With a share of all requests refused, reset, cut short, delayed, or done but not answered, the result is the
    same, and every commit and the mark are written once.
    """
    bodies = texts(90)
    runs.put(source, bodies)
    kinds = {
        "503": refuse(503, "SlowDown"),
        "500": refuse(500, "InternalError"),
        "reset": reset,
        "cut": cut_body,
        "lost": lose_answer,
        "late": delay(0.2),
    }
    with ExitStack() as rules:
        hit = {
            name: rules.enter_context(proxy.when(".*", "", fault, chance=0.04, seed=number))
            for number, (name, fault) in enumerate(kinds.items())
        }
        lost = rules.enter_context(proxy.when("PUT", "/shards/0000[01].json$|/_SUCCESS$", lose_answer, times=3))
        run = runs.start(source, destination, **a_child_each(30))
        output = runs.wait(run)
    assert all(rule.hits for rule in hit.values()), hit
    assert lost.hits == 3
    assert output["counts"] == {
        "items": 90, "succeeded": 90, "failed": 0, "shards": 3, "bytes": sum(map(len, bodies.values())),
    }  # fmt: skip
    assert [len(runs.job(run, "migrate", child)["attempts"]) for child in range(3)] == [1, 1, 1]
    once = [*map(run.folder.commit, range(3)), run.folder.plan, run.folder.file("_SUCCESS")]
    assert [proxy.statuses["PUT", str(uri), 200] for uri in once] == [1] * 5
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())
