"""Interruption: SIGTERM, the deadline and crashes cost no more than the items in flight, or a minute."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from typing import Any

import pytest

from batch_jobs.migrating.progress import ProgressFiles
from batch_jobs.stop import Stop
from millrace.errors import StoppedError
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

OBJECTS = {f"in/{number:02}": b"x" * number for number in range(40)}


def stopped_after(run: RunInMemory, items: int, **settings: Any) -> None:
    """Run the child, and tell it to stop when it asks for one item more."""
    stop = Stop()
    left = itertools.count(items, -1)

    def hook(verb: str, bucket: str, _key: str) -> None:
        if verb == "get_object" and bucket == SOURCE and next(left) == 0:
            stop.request("SIGTERM")

    run.client.before = hook
    with pytest.raises(StoppedError, match="SIGTERM"):
        run.migrate(stop=stop, **settings)
    run.client.before = lambda *_call: None


def items_read(run: RunInMemory) -> list[str]:
    """From now on, the source keys that are asked for."""
    keys: list[str] = []

    def note(verb: str, bucket: str, key: str) -> None:
        if verb == "get_object" and bucket == SOURCE:
            keys.append(key)

    run.client.before = note
    return keys


def planned(**given: Any) -> RunInMemory:
    """A run of one shard of 40 items."""
    run = RunInMemory(dict(OBJECTS), **given)
    run.plan()
    return run


def progress_files(run: RunInMemory) -> dict[str, bytes]:
    """What progress is saved."""
    return run.client.bodies(RESULT, run.folder.progress_folder(0).key)


def test_the_next_attempt_goes_on() -> None:
    """After SIGTERM the next attempt reads only what was not done, and ends with the very same content."""
    undisturbed = planned().migrate()
    run = planned()
    stopped_after(run, 15, job_id="j", attempt=1)
    keys = items_read(run)
    commit = run.migrate(job_id="j", attempt=2)

    assert keys == [f"in/{number:02}" for number in range(15, 40)]
    assert commit.content_digest == undisturbed.content_digest
    assert progress_files(run) == {}


def test_several_interruptions_add_up() -> None:
    """Each attempt continues from the furthest one, and no item counts twice."""
    run = planned()
    for attempt in range(1, 5):
        stopped_after(run, 8, job_id="j", attempt=attempt)
    keys = items_read(run)
    commit = run.migrate(job_id="j", attempt=5)

    assert len(keys) == 40 - 4 * 8
    assert commit.counts.succeeded == 40
    assert progress_files(run) == {}


def test_the_furthest_of_two_copies_counts() -> None:
    """Two live copies save their own progress; the next attempt takes the better one."""
    run = planned()
    stopped_after(run, 20, job_id="j", attempt=1)
    saved = progress_files(run)
    for key in saved:
        run.client.remove(RESULT, key)
    stopped_after(run, 5, job_id="other", attempt=1)
    for key, body in saved.items():
        run.client.store(RESULT, key, body)
    assert len(progress_files(run)) == 2
    keys = items_read(run)
    run.migrate(job_id="j", attempt=2)

    assert len(keys) == 20


@pytest.mark.parametrize("damage", [b"", b"\n", b"{}\n", b"[]", b"\xff\xfe", b'{"outcomes": 1, "sha256": 2}\n'])
def test_a_damaged_progress_file_is_ignored(damage: bytes) -> None:
    """What cannot be read costs the work that it stood for, and nothing else."""
    run = planned()
    stopped_after(run, 20)
    for key in progress_files(run):
        run.client.store(RESULT, key, damage)
    keys = items_read(run)
    run.migrate()

    assert len(keys) == 40


def test_a_progress_file_with_a_damaged_partial_is_ignored() -> None:
    """The outcomes without their contributions would be a result with holes."""
    run = planned()
    stopped_after(run, 20)
    for key, body in progress_files(run).items():
        run.client.store(RESULT, key, body[:-3] + b"9}}")
    assert run.migrate().counts.succeeded == 40
    run.merge()

    assert run.result()["result"]["total"] == sum(map(len, OBJECTS.values()))


def test_progress_of_another_plan_is_ignored() -> None:
    """A file that was left by another plan, or another version, is of no use here."""
    run = planned()
    stopped_after(run, 20)
    (body,) = progress_files(run).values()
    other = RunInMemory({**OBJECTS, "in/00": b"other"}, folder=run.folder)
    other.plan()
    other.client.store(RESULT, run.folder.progress(0, "j").key, body)
    keys = items_read(other)
    other.migrate()

    assert len(keys) == 40


def test_a_crash_costs_a_minute_of_work() -> None:
    """Progress is saved every minute: with an item every ten seconds, a crash at item 20 costs the last few."""
    run = planned(clock=itertools.count(0, 10).__next__)

    class Crash(BaseException):
        pass

    left = itertools.count(20, -1)

    def die(verb: str, bucket: str, _key: str) -> None:
        if verb == "get_object" and bucket == SOURCE and next(left) == 0:
            raise Crash

    run.client.before = die
    with pytest.raises(Crash):
        run.migrate()
    keys = items_read(run)
    run.migrate(attempt=2)

    assert 20 <= len(keys) <= 26


def test_items_that_s3_did_not_give_are_asked_for_again() -> None:
    """A read that failed through every retry is not saved as done: the next attempt may have more luck."""
    run = planned()
    stop = Stop(wait=lambda _seconds: None)

    def hook(verb: str, bucket: str, key: str) -> None:
        if verb == "get_object" and bucket == SOURCE:
            if key == "in/03":
                raise ConnectionResetError("reset")
            if key == "in/10":
                stop.request("SIGTERM")

    run.client.before = hook
    with pytest.raises(StoppedError):
        run.migrate(stop=stop)
    keys = items_read(run)
    commit = run.migrate(attempt=2)

    assert keys[0] == "in/03"
    assert commit.counts.succeeded == 40


def test_the_deadline_comes_before_batchs() -> None:
    """The job stops itself a quarter of the limit before it, at most two minutes before."""
    now = [0.0]
    stop = Stop(100, clock=lambda: now[0])
    before = stop.reason
    now[0] = 75
    assert (before, stop.reason) == ("", "the attempt's time is almost up")

    now[0] = 0
    stop = Stop(3600, clock=lambda: now[0])
    now[0] = 3479
    assert not stop.reason
    now[0] = 3480
    with pytest.raises(StoppedError, match="almost up"):
        stop.check()


def test_a_pause_ends_when_the_job_has_to_stop() -> None:
    """A backoff's pause of an hour does not outlast SIGTERM."""
    stop = Stop()
    timer = threading.Timer(0.05, stop.request, ["SIGTERM"])
    timer.start()
    with pytest.raises(StoppedError):
        stop.sleep(3600)
    timer.join()


def test_a_signal_stops_a_child_with_many_downloads() -> None:
    """A real SIGTERM, sent while eight items are in flight, ends the job soon, and what was done is saved."""
    stop = Stop()
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: stop.request("SIGTERM"))
    waiting = threading.Barrier(8)
    worked = threading.Event()

    class Slow(Sizes):
        """Sizes, whose items from the ninth on wait for each other, then for the end."""

        def migrate(self, item: Any, body: Any, outputs: Any) -> tuple[str, int]:
            """Measure, slowly."""
            if item.key >= "in/08" and not worked.is_set():
                if waiting.wait(timeout=20) == 0:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                    while not stop.reason:
                        time.sleep(0.01)
                    worked.set()
                worked.wait(timeout=20)
            return super().migrate(item, body, outputs)

    run = RunInMemory(dict(OBJECTS), concurrency=8, load=lambda _name, options: Slow(options))
    run.plan()
    try:
        with pytest.raises(StoppedError, match="SIGTERM"):
            run.migrate(stop=stop)
    finally:
        signal.signal(signal.SIGTERM, before)
    run.load = lambda _name, options: Sizes(options)
    keys = items_read(run)
    run.migrate(attempt=2)

    assert len(keys) <= 32
    assert not set(keys) & {f"in/{number:02}" for number in range(8)}


def test_one_attempt_writes_one_file() -> None:
    """However often it saves, an attempt has one progress file, and every attempt another."""
    run = planned()
    plan = run.plan()
    names = {
        str(ProgressFiles(run.folder, plan, 0, run.job(job_id=job_id, attempt=attempt))._mine)
        for job_id in ("a", "b")
        for attempt in (1, 2)
    }

    assert len(names) == 4
