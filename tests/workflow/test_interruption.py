"""Jobs that are killed or told to stop at any moment: Batch starts them again, and the result is the same."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from local_aws.executors.process_executor import AT_ONCE
from tests.workflow.fault_proxy import Exchange, FaultProxy
from tests.workflow.faults import Gate, call_behind, call_instead
from tests.workflow.runs import Run, Runs, a_child_each, exit_codes
from tests.workflow.texts import counted, texts, totals

MOMENTS = (
    ("GET", "/plan/[0-9a-f]+/{shard:05}.jsonl$"),
    ("LIST", "/progress/{shard:05}/$"),
    ("GET", "/{shard:03}.txt$"),
    ("PUT", "/{shard:03}.txt.words.txt$"),
    ("PUT", "/partials/{shard:05}[.]"),
    ("PUT", "/shards/{shard:05}.json$"),
)
"""The requests of a child at a shard that is the one item `007.txt`."""


SIGNAL_SECONDS = 0.3
"""Until a process has surely run its signal handler; nobody outside can see that. Too short costs time, no more."""


@pytest.mark.long
def test_children_are_killed_all_the_time(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """With its children killed at random moments of 30 of 200 shards, before or behind any of a shard's S3 requests, an
    array ends complete by Batch's own retries: each item is reported once, each commit written once, and words.csv is
    byte for byte that of an undisturbed run. A child is spared in its eighth attempt, its last one.
    """
    bodies = texts(200)
    runs.put(source, bodies)
    chance = random.Random(30)
    started: list[Run] = []
    killed: list[str] = []

    def killing(shard: int) -> Callable[[Exchange], None]:
        def kill(_exchange: Exchange) -> None:
            child = runs.worker(started[0], shard)
            if len(child["attempts"]) < 7:
                runs.kill(child["jobId"])
                killed.append(child["jobId"])

        return kill

    with ExitStack() as rules:
        for shard in sorted(chance.sample(range(200), 30)):
            (verb, uri), fault = chance.choice(MOMENTS), chance.choice([call_instead, call_behind])
            rules.enter_context(proxy.when(verb, uri.format(shard=shard), fault(killing(shard)), times=1))
        started.append(runs.start(source, destination, **a_child_each(1)))
        output = runs.wait(started[0], seconds=400)

    run = started[0]
    assert output["counts"] == {
        "items": 200, "succeeded": 200, "failed": 0, "shards": 200, "bytes": sum(map(len, bodies.values())),
    }  # fmt: skip
    (array,) = runs.jobs(run, "migrate")
    assert len(killed) >= 20
    children = runs.describe(f"{array['jobId']}:{child}" for child in range(array["arrayProperties"]["size"]))
    expected = [[137] * killed.count(child["jobId"]) + [0] for child in children]
    assert [exit_codes(child) for child in children] == expected
    assert [row["Key"].rpartition("/")[2] for row in runs.report(run)] == list(bodies)
    assert [proxy.statuses["PUT", str(run.folder.commit(shard)), 200] for shard in range(200)] == [1] * 200
    words = runs.file(run, "words.csv")
    assert totals(words) == counted(bodies.values())
    assert words == runs.undisturbed_words(source, destination)


def test_plan_and_merge_are_killed(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """A plan job killed before its plan is there, and again behind it, keeps the one plan; a merge job killed before
    its result, and again behind its mark, ends with one mark.
    """
    bodies = texts(6)
    runs.put(source, bodies)
    started: list[Run] = []

    def killing(verb: str) -> Callable[[Exchange], None]:
        return lambda _exchange: runs.kill(runs.job(started[0], verb)["jobId"])

    with (
        proxy.when("PUT", "/plan.json$", call_instead(killing("plan")), times=1),
        proxy.when("PUT", "/plan.json$", call_behind(killing("plan")), times=1),
        proxy.when("PUT", "/result.json$", call_instead(killing("merge")), times=1),
        proxy.when("PUT", "/_SUCCESS$", call_behind(killing("merge")), times=1),
    ):
        started.append(runs.start(source, destination, **a_child_each(2)))
        runs.wait(started[0])

    run = started[0]
    assert exit_codes(runs.job(run, "plan")) == [137, 137, 0]
    assert exit_codes(runs.job(run, "merge")) == [137, 137, 0]
    assert proxy.statuses["PUT", str(run.folder.plan), 200] == 1
    assert proxy.statuses["PUT", str(run.folder.file("_SUCCESS")), 200] == 1
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())


@pytest.mark.parametrize("by", ["SIGTERM", "Your Spot Task was interrupted."])
def test_sigterm_in_mid_shard(runs: Runs, proxy: FaultProxy, source: str, destination: str, by: str) -> None:
    """Told to stop in mid-shard, by a signal or with a Spot reclaim's warning, a job saves its progress and ends before
    it is killed; the next attempt does not read the finished items again, and the progress is gone in the end.
    """
    bodies = texts(60)
    runs.put(source, bodies)
    in_flight, later = Gate(), Gate()
    with (
        proxy.when("GET", "/0(3[0-9]|4[0-5]).txt$", in_flight) as held,
        proxy.when("GET", "/0(4[6-9]|5[0-9]).txt$", later),
        proxy.when("PUT", "/0[012][0-9].txt.words.txt$") as finished,
        proxy.when("PUT", "/progress/00000/") as saved,
    ):
        run = runs.start(source, destination, pace={"seconds_per_item": 0.1})  # a small job has no second attempt
        finished.wait_for_answers(30)
        held.wait_for_hits(AT_ONCE)
        job_id = runs.job(run, "migrate-and-merge")["jobId"]
        if by == "SIGTERM":
            runs.kill(job_id, signal.SIGTERM)
        else:
            runs.interrupt(job_id, by, grace_seconds=60)
        time.sleep(SIGNAL_SECONDS)
        in_flight.open()
        saved.wait_for_answers()
        later.open()
        runs.wait(run)

    (job,) = runs.jobs(run, "migrate-and-merge")
    assert exit_codes(job) == ([1, 0] if by == "SIGTERM" else [None, 0])
    assert saved.hits == 1
    assert [proxy.count("GET", f"{source}{name}$") for name in list(bodies)[:30]] == [1] * 30
    others = [proxy.count("GET", f"{source}{name}$") for name in list(bodies)[30:]]
    assert set(others) <= {1, 2}
    assert sum(others) - len(others) <= 16
    assert runs.names(run.folder.file("progress/")) == []
    words = runs.file(run, "words.csv")
    assert totals(words) == counted(bodies.values())
    assert words == runs.undisturbed_words(source, destination)
