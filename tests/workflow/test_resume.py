"""A run that is stopped in the middle: nothing of it runs on, its commits stay, a new execution does only the rest."""

from __future__ import annotations

from local_aws.executors.process_executor import AT_ONCE
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Gate
from tests.workflow.runs import Run, Runs, a_child_each, exit_codes, until
from tests.workflow.texts import counted, texts, totals

BODIES = texts(60)
"""In shards of five: 12 shards, whose numbers are the names' fifths, for more children than run at once."""


def stopped_midway(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> Run:
    """A run whose execution is stopped when its first four children have each committed a shard and are at another
    one: shards 0 to 3 are committed, four others at work, and nobody has come to the rest.
    """
    runs.put(source, BODIES)
    gate = Gate()
    with (
        proxy.when("GET", "/0[2345][0-9].txt$", gate) as held,
        proxy.when("PUT", "/shards/[0-9]+.json$") as committed,
    ):
        run = runs.start(source, destination, **a_child_each(5))
        committed.wait_for_answers(4)
        held.wait_for_hits(4 * min(AT_ONCE, 5))
        runs.aws.step_functions.stop_execution(executionArn=run.execution, error="Enough", cause="for today")
        until("the end of all jobs", lambda: not runs.unended(run, "migrate"))
        gate.open()
    return run


def test_stop_in_mid_array(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """StopExecution in mid-array ends the running children, cancels the others, and leaves the commits as they are."""
    run = stopped_midway(runs, proxy, source, destination)
    stopped = runs.wait(run, "ABORTED")
    assert (stopped["error"], stopped["cause"]) == ("Enough", "for today")
    array = runs.job(run, "migrate")
    assert array["status"] == "FAILED"
    size = array["arrayProperties"]["size"]
    assert size > 4
    children = [runs.job(run, "migrate", child) for child in range(size)]
    assert [child["status"] for child in children] == ["FAILED"] * size
    assert [len(child["attempts"]) for child in children] == [1] * 4 + [0] * (size - 4)
    assert all(0 not in exit_codes(child) for child in children)
    assert runs.committed(run) == [0, 1, 2, 3]
    assert runs.read(run.folder.file("_SUCCESS")) is None
    assert runs.jobs(run, "merge") == []


def test_going_on_with_a_stopped_run(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """A new execution with the run's id reads the items of committed shards zero times and each other item once, and
    gives byte for byte the words.csv of an undisturbed run over the same source.
    """
    stopped = stopped_midway(runs, proxy, source, destination)
    done = {key for shard in runs.committed(stopped) for key in runs.items(stopped, shard)}
    assert len(done) == 20

    proxy.clear()
    resumed = runs.start(source, destination, stopped.run_id, **a_child_each(5))
    output = runs.wait(resumed)

    assert output["run_id"] == stopped.run_id
    assert output["counts"]["succeeded"] == 60
    asked = [proxy.count("GET", f"{source}{name}$") for name in BODIES]
    assert asked == [0] * 20 + [1] * 40
    assert proxy.count("PUT", r"\.words\.txt$") == 40
    assert proxy.statuses["PUT", str(resumed.folder.file("_SUCCESS")), 200] == 1
    words = runs.file(resumed, "words.csv")
    assert words == runs.undisturbed_words(source, destination)
    assert totals(words) == counted(BODIES.values())
