"""The same run without any disturbance, straight through the jobs: what a disturbed one has to equal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batch_jobs.job import Job
from batch_jobs.merging.merge import merge
from batch_jobs.migrating.migrate import migrate_shard
from batch_jobs.planning.plan import plan
from batch_jobs.stop import Stop
from millrace.errors import AccessDeniedError, MillraceError
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import fast
from tests.simulation.keys import LATEST, RESULT, RESULT_PREFIX, SOURCE, kind_of, run_key
from tests.simulation.process import FIRST_CODE, identity
from tests.simulation.promises import Promise

if TYPE_CHECKING:
    from tests.simulation.world import World


SAME = {"merged file", "report.csv", "failures.jsonl", "result.json", "_SUCCESS"}
"""The kinds of files that have the same bytes."""


def compare(world: World, run_id: str, request: dict[str, Any]) -> None:
    """See that a complete run, of which no source object changed under way, has the bytes of an undisturbed one.

    Raises:
        Violation: It has not.
    """
    record = world.records.of(run_id)
    if any(row.get("error_code") == "READ_FAILED" for row in record.outcomes):
        return
    s3, reuses = InMemoryS3Client(SOURCE, RESULT), bool(record.plan.get("reuse"))
    for item in record.items.values():
        states = world.source.states(item.key, record.listed[0], record.complete_at or 0)
        if len({(state.etag, state.denied, state.storage_class, state.without_key) for state in states}) != 1:
            return
        s3.store(SOURCE, item.key, world.source.bodies[item.etag], states[0].storage_class)
        if reuses and not states[0].readable:
            return  # it may have been readable when its result was made
        if states[0].denied:
            s3.denied.add((SOURCE, item.key))
    if record.latest is not None:
        s3.store(RESULT, LATEST, record.latest)
    folder = RunFolder.of(S3Uri(RESULT, RESULT_PREFIX), run_id)
    job = _job(world, s3)
    made = plan(RunRequest.parse(request), folder, job)
    try:
        for index in range(made.shards):
            migrate_shard(folder, index, job)
    except AccessDeniedError as error:
        world.promises.check(
            Promise.FAIL_FAST, kept=False, details=f"the run is complete, undisturbed it fails: {error}"
        )
        return
    world.promises.check(Promise.FAIL_FAST, kept=True, details=run_id)
    merge(folder, job, 100)
    # The shards of a run that reuses are others; what its rows say the other promises hold.
    _compare_files(world, s3, {"merged file"} if reuses else SAME)


def _compare_files(world: World, undisturbed: InMemoryS3Client, kinds: set[str]) -> None:
    for key, expected in undisturbed.bodies(RESULT).items():
        if kind_of(RESULT, key) in kinds:
            stored = world.s3.stored(RESULT, key)
            same = stored is not None and _timeless(key, stored.body) == _timeless(key, expected)
            world.promises.check(
                Promise.SAME_BYTES, same, f"{key}: {stored and stored.body!r}, undisturbed {expected!r}"
            )


def leave_relics(world: World, request: dict[str, Any]) -> None:
    """Put progress files of another plan into the run's folder, as of a run of that name that somebody deleted by half.

    The other plan is over the same keys with other bodies.
    """
    s3 = InMemoryS3Client(SOURCE, RESULT)
    for key in world.source.every_key():
        s3.store(SOURCE, key, world.workload.make(world.chance) + b" relic")
    folder = RunFolder.of(S3Uri(RESULT, RESULT_PREFIX), "run")
    made = plan(RunRequest.parse(request), folder, _job(world, s3))
    for index in range(made.shards):
        stop = Stop()
        reads = [0]

        def count(verb: str, bucket: str, _key: str, stop: Stop = stop, reads: list[int] = reads) -> None:
            if verb == "get_object" and bucket == SOURCE:
                reads[0] += 1
                if reads[0] == 2:
                    stop.request("SIGTERM")

        s3.before = count
        try:
            migrate_shard(folder, index, _job(world, s3, stop))
        except MillraceError:
            continue
    world.faults.note("progress of a deleted run left behind")
    for key, body in s3.bodies(RESULT, run_key("run", "progress/")).items():
        world.s3.store(RESULT, key, body)


def _job(world: World, s3: InMemoryS3Client, stop: Stop | None = None) -> Job:
    return Job(
        s3=S3(s3.stub, fast()),
        settings=JobSettings(concurrency=1),
        stop=stop or Stop(),
        load=world.workload.load,
        identify=identity(FIRST_CODE),
    )


def _timeless(key: str, body: bytes) -> Any:
    if not key.endswith("/result.json"):
        return body
    document = json.loads(body)
    del document["finished_at"], document["worked_by"]  # who worked it, and when
    return document
