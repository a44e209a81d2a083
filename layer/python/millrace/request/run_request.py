"""The run request: what the execution input may hold, its defaults, and how it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from millrace.errors import MISSING, InvalidRunRequest
from millrace.json_text import check_plain
from millrace.layout import RESERVED_NAME, S3Uri, checked_run_id
from millrace.request.chained import checked_then, next_request
from millrace.request.code_package import checked_code
from millrace.request.labels import checked_name, checked_tags
from millrace.request.named_keys import checked_keys
from millrace.source.manifest.names import checked_manifest
from millrace.source.sharding import MAX_SHARDS, ShardLimits
from millrace.workload.options import unknown_name
from millrace.workload.pace import checked_pace
from millrace.workload.registry import checked_options, known_workload

LATEST = "latest"
"""The `reuse` that names the last successful run like this one, whichever that is."""


@dataclass(frozen=True)
class RunRequest:
    """A checked request, every default filled in. Field names are those of the execution input.

    Attributes:
        source: The folder whose objects are worked, `s3://bucket/prefix/`.
        destination: The folder that outputs and the run folder go to.
        workload: The program that is run over the items.
        options: The workload's options.
        code: The zip that holds a workload of the user's own, `s3://…/_millrace/code/{sha256}.zip`.
        keys: The keys of single objects, relative to the source: they alone are worked, and the source is not listed.
            Without them, everything below the source is worked.
        manifest: A file that names the objects, or an S3 Inventory report: they are worked, and the source, below which
            they have to be, is not listed.
        include: Glob patterns of which an item's key, relative to the source, must match one; empty means all.
        exclude: Glob patterns of which it may match none. `*` matches `/` too; case counts.
        shard: How items are cut into shards.
        queue: The name of the job queue.
        share: The fair-share identifier.
        priority: The scheduling priority within the share, 0 to 9999.
        merge_limit_seconds: The merge goes in parts where one job is expected to take longer.
        pace: How fast one child works, where the user knows it: seconds_per_item, bytes_per_second, or both. Without
            it, that of the last run like this one into the destination, else that of the workload's record.
        tolerated_failure_percent: The share of the items that may fail.
        tolerated_failure_count: How many items may fail; the larger of the two allowances counts.
        reads_per_second: How many objects the run's items may ask S3 for in a second, together; 0 for no limit.
        writes_per_second: How many requests of another kind they may make in a second; 0 for no limit.
        requester_pays: Whether this account pays for the requests and the transfer of reading the source, whose owner
            demands it.
        run_id: An earlier run to resume; without it a new run starts.
        retry_failed: Migrate the failed items of that run again, and merge anew.
        once: Start the run `run_id`, unless there is one: of several executions that ask for the same, the later ones
            resume the run of the first.
        plan: Who plans the run: "auto", Prepare Run where the source is small, else the plan job; "job", the plan job.
        reuse: The run whose results are taken over for items that did not change: a run id, or "latest", the last
            successful run like this one into the destination. Without it every item is worked.
        reuse_required: Refuse the run, before any work, where nothing can be reused.
        verify_outputs: See that the outputs of reused items are still there, and work those again that lack one.
        mirror: Delete the outputs of items that are gone from the source, once the result is published.
        mirror_limit_percent: Delete nothing where more than this share of the base's items is gone.
        overlap: What to do while another run, which also has "skip" or "queue" here, works the same source into the
            destination: "run" at once, "skip" this run, or "queue" it until that one has ended.
        name: What people call the run. It is shown and searched, and decides nothing.
        tags: Words by which people find the run, by their keys; like the name.
        then: The request of a run that starts when this one has succeeded; its source is this one's destination where
            it names none.
    """

    source: str
    destination: str
    workload: str = "word-count"
    options: dict[str, Any] = field(default_factory=dict)
    code: str | None = None
    keys: list[str] | None = None
    manifest: str | None = None
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    shard: ShardLimits = field(default_factory=ShardLimits)
    queue: str = "standard"
    share: str = "default"
    priority: int = 0
    merge_limit_seconds: int = 900
    pace: dict[str, float] | None = None
    tolerated_failure_percent: float = 0
    tolerated_failure_count: int = 0
    reads_per_second: int = 5500
    writes_per_second: int = 3500
    requester_pays: bool = False
    run_id: str | None = None
    retry_failed: bool = False
    once: bool = False
    plan: str = "auto"
    reuse: str | None = None
    reuse_required: bool = False
    verify_outputs: bool = False
    mirror: bool = False
    mirror_limit_percent: int = 10
    overlap: str = "run"
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    then: dict[str, Any] | None = None

    @classmethod
    def parse(
        cls, given: object, *, queues: tuple[str, ...] = ("standard",), earlier: tuple[S3Uri, ...] = ()
    ) -> RunRequest:
        """Check an execution input and fill in its defaults.

        Args:
            given: The input as JSON gave it.
            queues: The names of the queues that the stack has.
            earlier: The sources of the runs that this one follows, where it is in a chain.

        Raises:
            InvalidRunRequest: A field is missing, unknown, of the wrong type or out of bounds.
        """
        if not isinstance(given, Mapping):
            raise InvalidRunRequest("input", given, 'an object, {"source": "s3://…", "destination": "s3://…"}')
        check_plain(given, "input")
        known = cls.__dataclass_fields__
        for name in given:
            if name not in known:
                raise InvalidRunRequest(str(name), given[name], unknown_name(str(name), known))
        for name in ("source", "destination"):
            if name not in given:
                raise InvalidRunRequest(name, MISSING, "an S3 URI, s3://bucket/prefix/")
        source = S3Uri.parse_folder(given["source"], "source")
        destination = S3Uri.parse_folder(given["destination"], "destination")
        if RESERVED_NAME in destination.key.split("/"):
            raise InvalidRunRequest(
                "destination",
                str(destination),
                f"a folder without a segment {RESERVED_NAME}: there runs keep their own files",
            )
        if source.contains(destination) or destination.contains(source):
            raise InvalidRunRequest(
                "destination",
                str(destination),
                f"a folder apart from the source {source}: neither may be inside the other, "
                "or a run would read its own outputs or write over its source",
            )
        workload = known_workload(given.get("workload", cls.workload))
        options = given.get("options", {})
        if not isinstance(options, Mapping):
            raise InvalidRunRequest("options", options, "an object of the workload's options")
        run_id = given.get("run_id")
        return cls(
            source=str(source),
            destination=str(destination),
            workload=workload,
            options=checked_options(workload, options),
            code=checked_code(given.get("code"), source, destination, workload),
            keys=checked_keys(given.get("keys"), source),
            manifest=_manifest(given),
            include=_patterns("include", given.get("include", [])),
            exclude=_patterns("exclude", given.get("exclude", [])),
            shard=_shard_limits(given.get("shard", {})),
            queue=_one_of("queue", given.get("queue", cls.queue), queues),
            share=_share(given.get("share", cls.share)),
            priority=_whole("priority", given.get("priority", cls.priority), 0, 9999),
            merge_limit_seconds=_whole(
                "merge_limit_seconds", given.get("merge_limit_seconds", cls.merge_limit_seconds), 0, 10**9
            ),
            pace=checked_pace(given.get("pace")),
            tolerated_failure_percent=checked_percent(given.get("tolerated_failure_percent", 0)),
            tolerated_failure_count=checked_count(given.get("tolerated_failure_count", 0)),
            reads_per_second=_whole("reads_per_second", given.get("reads_per_second", cls.reads_per_second), 0, 10**6),
            writes_per_second=_whole(
                "writes_per_second", given.get("writes_per_second", cls.writes_per_second), 0, 10**6
            ),
            requester_pays=_flag("requester_pays", given),
            run_id=None if run_id is None else checked_run_id(run_id),
            retry_failed=_with_run_id(
                "retry_failed", given, "true only with run_id, the run whose failed items are migrated again"
            ),
            once=_with_run_id("once", given, "true only with run_id, the id that the run is to have"),
            plan=_one_of("plan", given.get("plan", cls.plan), ("auto", "job")),
            reuse=_reuse(given),
            reuse_required=_with_reuse("reuse_required", given),
            verify_outputs=_with_reuse("verify_outputs", given),
            mirror=_with_reuse("mirror", given),
            mirror_limit_percent=_whole(
                "mirror_limit_percent", given.get("mirror_limit_percent", cls.mirror_limit_percent), 0, 100
            ),
            overlap=_one_of("overlap", given.get("overlap", cls.overlap), ("run", "skip", "queue")),
            name=checked_name(given.get("name")),
            tags=checked_tags(given.get("tags", {})),
            then=checked_then(
                given.get("then"),
                source,
                destination,
                earlier,
                lambda link, sources: cls.parse(link, queues=_queues_of(link), earlier=sources),
            ),
        )

    def following(self) -> Iterator[RunRequest]:
        """The requests of the runs that follow this one, in their order; their ids are not known yet."""
        request, earlier = self, [S3Uri.parse(self.source)]
        while (given := next_request(request.to_json(), "", "")) is not None:
            request = RunRequest.parse(given, queues=_queues_of(given), earlier=tuple(earlier))
            earlier.append(S3Uri.parse(request.source))
            yield request

    def to_json(self) -> dict[str, Any]:
        """The request as JSON holds it."""
        return asdict(self)


def _queues_of(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The queue that a request names: whether the stack has it is for Prepare Run to say."""
    return (str(request.get("queue", RunRequest.queue)),)


def _manifest(given: Mapping[str, object]) -> str | None:
    manifest = checked_manifest(given.get("manifest"))
    if manifest is not None and given.get("keys") is not None:
        raise InvalidRunRequest("manifest", manifest, "nothing beside keys: either names the objects")
    return manifest


def _shard_limits(given: object) -> ShardLimits:
    if not isinstance(given, Mapping):
        raise InvalidRunRequest("shard", given, "an object of target_bytes, max_items and max_shards")
    defaults = asdict(ShardLimits())
    for name in given:
        if name not in defaults:
            raise InvalidRunRequest(f"shard.{name}", given[name], unknown_name(str(name), defaults))
    limits = {**defaults, **given}
    return ShardLimits(
        target_bytes=_whole("shard.target_bytes", limits["target_bytes"], 1, 2**50),
        max_items=_whole("shard.max_items", limits["max_items"], 1, 1_000_000),
        max_shards=_whole("shard.max_shards", limits["max_shards"], 1, MAX_SHARDS),
    )


def _whole(name: str, value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRunRequest(name, value, f"a whole number, {low:,} to {high:,}")
    return value


def checked_percent(value: object) -> float:
    """A tolerated share of failures.

    Raises:
        InvalidRunRequest: It is not a number from 0 to 100.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise InvalidRunRequest("tolerated_failure_percent", value, "a number, 0 to 100")
    return value


def checked_count(value: object) -> int:
    """A tolerated number of failures.

    Raises:
        InvalidRunRequest: It is not a whole number of 0 or more.
    """
    return _whole("tolerated_failure_count", value, 0, 10**12)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidRunRequest(name, value, " or ".join(allowed))
    return value


def _with_run_id(name: str, given: Mapping[str, Any], allowed: str) -> bool:
    return _flag_with(name, given, "run_id", allowed)


def _with_reuse(name: str, given: Mapping[str, Any]) -> bool:
    return _flag_with(name, given, "reuse", 'true only with reuse, "latest" or the id of the run to reuse')


def _flag_with(name: str, given: Mapping[str, Any], other: str, allowed: str) -> bool:
    """A field that is true or false, and true only where another one is given."""
    value = _flag(name, given)
    if value and given.get(other) is None:
        raise InvalidRunRequest(name, value, allowed)
    return value


def _flag(name: str, given: Mapping[str, Any]) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRunRequest(name, value, "true or false")
    return value


def _reuse(given: Mapping[str, Any]) -> str | None:
    value = given.get("reuse")
    if value is None:
        return None
    if given.get("keys") is not None:
        raise InvalidRunRequest("reuse", value, "nothing beside keys: the objects that they name are worked")
    try:
        run_id = checked_run_id(value)
    except InvalidRunRequest as error:
        raise InvalidRunRequest("reuse", value, f'"{LATEST}" or a run id, {error.allowed}') from None
    if run_id == given.get("run_id"):
        raise InvalidRunRequest("reuse", value, "another run than run_id: a resumed run keeps what it has done anyway")
    return run_id


def _share(value: object) -> str:
    # Batch SubmitJob, shareIdentifier: at most 255 letters, digits and hyphens (underscores are not allowed).
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,255}", value):
        raise InvalidRunRequest("share", value, "1 to 255 letters, digits and '-'")
    return value


def _patterns(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise InvalidRunRequest(name, value, 'a list of glob patterns, ["*.txt"]')
    return list(value)
