"""Series of runs that reuse each other, from a seed: after each, what it left has to be what a full run leaves.

The source changes between runs and during them, options and code change, runs are given up, reruns mend failed items,
plan jobs crash or run twice at once with different listings, and files of the base vanish at any moment. Nothing here
depends on time: a seed says what happens.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from unittest.mock import patch

from batch_jobs.job import Job
from batch_jobs.workloads.function.workload import class_of
from batch_jobs.workloads.registry import load_workload
from millrace.errors import MillraceError, MirrorLimitError, StoppedError, TooManyFailuresError
from millrace.layout import RunFolder, S3Uri
from millrace.records.files import listed_shards
from millrace.workload import workload
from millrace.workload.function import DECLARATION
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

OUT = "out/"
CODES = ("1+jobs.12", "1+jobs.34")
ASIDE = {"Shard", "ReusedFrom"}
"""What rows of report.csv may differ in: where and when they were worked."""


WITH_REUSE = ("reuse", "mirror", "mirror_limit_percent")
"""Fields of a request that a full run has not."""


class SeriesBrokenError(Exception):
    """A run left something else than a full run does, or did not end as one does."""


class Crash(BaseException):
    """The process is gone."""


@workload()
def words(body: Any) -> Any:
    """A row per word: their order in the result is that of the items."""
    text = b"".join(body)
    if b"bad" in text:
        raise ValueError("bad")
    for word in text.split():
        yield {"word": word.decode()}


class CodedSizes(Sizes):
    """Sizes, to which option and code add hundreds: other ones give other results and outputs."""

    more: ClassVar[int]
    kept: ClassVar[type]

    def migrate(self, item: Any, body: Any, outputs: Any) -> Any:
        """Measure an item. A list is plain JSON, and so is kept beside the commit; a tuple is not."""
        length = self.more + 1000 * self.options["min_length"]
        return self.kept(super().migrate(item, [*body, b" " * length], outputs))


def _load(kind: str, code: str) -> Callable[[str, Mapping[str, Any]], Any]:
    """What makes the workload, as some code has it."""
    if kind == "word-count":
        return load_workload
    if kind == "rows":
        return lambda _name, _options: class_of(getattr(words, DECLARATION))({})
    kept = {"sizes": tuple, "kept sizes": list}[kind]
    coded = type("Sizes", (CodedSizes,), {"more": 100 * CODES.index(code), "kept": kept})
    return lambda _name, options: coded(options)


KINDS = ("rows", "sizes", "kept sizes", "kept sizes", "word-count")


@dataclass
class Series:
    """A series of runs.

    Attributes:
        seed: Decides everything.
        met: What happened, counted.
        lines: What happened, in words.
    """

    seed: int
    met: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance, self.mirrors = random.Random(f"series {self.seed}"), random.Random(f"mirror {self.seed}")
        self.planners = random.Random(f"planners {self.seed}")
        self.client = InMemoryS3Client(SOURCE, RESULT)
        self.kind = self.chance.choice(KINDS)
        self.bodies: dict[str, bytes] = {}
        self.runs: list[str] = []
        self.client.store(RESULT, f"{OUT}foreign.size", b"nobody's output")
        self.option, self.code, self.now = 1, CODES[0], ""
        self.made = 0

    def play(self) -> None:
        """Let it happen.

        Raises:
            SeriesBrokenError: A run is not what a full run is.
        """
        for _ in range(self.chance.choice((0, 1, 3, 6, 10, 14))):
            self._insert()
        for day in range(self.chance.randrange(2, 6)):
            if day:
                for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
                    self._change()
            self._day(day)

    def play_long(self, days: int) -> None:
        """Let many days pass on which little changes; now and then a commit of the base is lost after the comparison.

        Raises:
            SeriesBrokenError: A run is not what a full run is, or has many more shards than it has.
        """
        for _ in range(12):
            self._insert()
        for day in range(days):
            self._insert()
            if self.chance.random() < 0.3:
                self._change()
            self.now = f"run-{day:03}"
            run = self._run(self.client, self.now, day, "latest" if day else None, mirrors=False)
            run.request |= {"shard": {"max_items": 6}, "tolerated_failure_percent": 100}
            if self.runs and self.chance.random() < 0.3:
                self.client.after = self._losing_a_commit(run)
            planned = run.plan()
            self.client.after = lambda *_call: None
            full = self._full(run, self._taken(run), day)
            plain = json.loads(full.file("plan.json") or b"")["shards"]
            if planned.shards > 2 * plain + 2:
                raise SeriesBrokenError(f"{self.now} has {planned.shards} shards, a plan of everything {plain}")
            self._finish(run, full, self.now)
            self.runs.append(self.now)

    def _losing_a_commit(self, run: RunInMemory) -> Callable[..., None]:
        """What loses one, once plan.json is written: as a lifecycle rule may do at any moment."""
        folder = RunFolder.of(S3Uri(RESULT, OUT), self.runs[-1]).file("shards/").key
        lost = self.chance.choice(sorted(self.client.bodies(RESULT, folder)))

        def lose(verb: str, _bucket: str, key: str, _answer: Any) -> None:
            if verb == "put_object" and key == run.folder.plan.key:
                self._note("lost commit")
                self.client.remove(RESULT, lost)

        return lose

    # The source.

    def _keys(self) -> list[str]:
        return sorted(self.client.bodies(SOURCE))

    def _body(self) -> bytes:
        self.made += 1  # no two bodies are alike: an object never goes back to what it was
        bad = b"bad " if self.chance.random() < 0.08 else b""
        words = " ".join(
            self.chance.choice(("mill", "race", "water", "wheel")) for _ in range(self.chance.randrange(4))
        )
        return bad + words.encode() + b" w%03d" % self.made

    def _store(self, key: str, body: bytes, storage_class: str = "STANDARD") -> None:
        self.bodies[self.client.store(SOURCE, key, body, storage_class)] = body

    def _insert(self) -> None:
        name = "".join(self.chance.choice("abcé\U0001f600") for _ in range(3))
        self._store(f"in/{name}", self._body())

    def _change(self) -> None:
        keys = self._keys()
        kind = self.chance.choice(("insert", "insert", "delete", "change", "same size", "rename", "touch", "moved"))
        self._note(f"source: {kind}")
        if kind == "insert" or not keys:
            self._insert()
            return
        key = self.chance.choice(keys)
        body = self.client.bodies(SOURCE)[key]
        if kind in {"delete", "rename"}:
            self.client.remove(SOURCE, key)
        if kind == "rename":
            self._store(f"{key}é", body)
        elif kind == "change":
            self._store(key, self._body())
        elif kind == "same size":
            self.made += 1
            self._store(key, body[:-3] + b"%03d" % self.made)
        elif kind in {"touch", "moved"}:
            self._store(key, body, "STANDARD" if kind == "touch" else "STANDARD_IA")

    # The runs.

    def _day(self, day: int) -> None:
        chance = self.chance
        if chance.random() < 0.2:
            self.option = 3 - self.option
            self._note("other options")
        if chance.random() < 0.1:
            self.code = CODES[self.code == CODES[0]]
            self._note("other code")
        self.now = name = f"run-{day}"
        reuse = chance.choice([None, "latest", "latest", "latest", *self.runs]) if day else None
        run = self._run(self.client, name, day, reuse)
        self._note(f"{name} reuses {reuse}")
        try:
            self._planned(run)
        except MirrorLimitError:
            self._note("mirror limit")
            return
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._change()
        if chance.random() < 0.08:
            self._note("given up")
            return
        taken = self._taken(run)
        full = self._full(run, taken, day)
        self._finish(run, full, name)
        if chance.random() < 0.3 and run.file("result.json") is not None:
            self._rerun(run, full, day)
        self.runs.append(name)

    def _run(
        self, client: InMemoryS3Client, name: str, day: int, reuse: str | None, *, mirrors: bool = True
    ) -> RunInMemory:
        # The options of word-count do for each: what they mean is the loaded workload's business.
        request = {
            "shard": {"max_items": self.chance.randrange(1, 5), "max_shards": self.chance.choice((2, 100, 100))},
            "options": {"min_length": self.option},
            "reuse": reuse,
            "tolerated_failure_percent": self.chance.choice((0, 100, 100, 100)),
        }
        if mirrors and reuse is not None and self.mirrors.random() < 0.4:
            request |= {"mirror": True, "mirror_limit_percent": self.mirrors.choice((0, 20, 100, 100))}
        run = RunInMemory(
            client=client,
            request=request,
            load=_load(self.kind, self.code),
            folder=RunFolder.of(S3Uri(RESULT, OUT), name),
            ticks=day * 86_400,
        )
        document = {"request": {"mirror": "mirror" in request}}
        client.store(RESULT, run.folder.request.key, json.dumps(document).encode())
        return _by_code(run, self.code)

    def _planned(self, run: RunInMemory) -> None:
        """Plan, with a crash, a second plan job or lost files somewhere in between; and once more, for nothing."""
        kind = self.chance.choice(("", "", "crash before", "crash after", "second job", "lost files"))
        place, calls = self.chance.randrange(1, self.chance.choice((10, 40))), 0

        def disturb(when: str) -> None:
            nonlocal calls
            calls += when == "before"
            if calls != place or not kind or (when == "after") != (kind == "crash after"):
                return
            calls += 1
            self._note(kind)
            if kind.startswith("crash"):
                raise Crash
            if kind == "second job":
                self.client.before = lambda *_call: None
                self._change()
                self._plan(run, alone=False)
            else:
                self._lose_files()

        self.client.before = lambda *_call: disturb("before")
        self.client.after = lambda *_call: disturb("after")
        try:
            self._plan(run)
        except Crash:
            self._change()
        finally:
            self.client.before, self.client.after = (lambda *_call: None), (lambda *_call: None)
        self._plan(run)
        files = run.run_files()
        self._plan(run)
        if run.run_files() != files:
            raise SeriesBrokenError("a plan job that runs again changes something")

    def _plan(self, run: RunInMemory, *, alone: bool = True) -> None:
        """Plan and take over: the plan job does it all, or Prepare Run and a child do.

        Args:
            run: The run.
            alone: Whether a child follows Prepare Run, and not the other planner that is at work.
        """
        if self.planners.random() < 0.5:
            run.plan()
            return
        seconds = self.planners.choice((0, 2, 5, 10, 99, 99))

        def check() -> None:
            nonlocal seconds
            seconds -= 1
            if seconds < 0:
                raise StoppedError("the plan job takes over")

        if run.plan_in_function(check) is None:
            self._note("left to the plan job")
            run.plan()
            return
        self._note("planned by the function")
        if alone:
            run.take_over()

    def _lose_files(self) -> None:
        """As a lifecycle rule does: a file of an earlier run, or one kind of them."""
        files = [key for key in sorted(self.client.bodies(RESULT, f"{OUT}_millrace/run-")) if self.now not in key]
        kind = self.chance.choice(("/partials/", "/contributions/", "/shards/", "/plan/", "result.json"))
        there = [key for key in files if kind in key]
        for key in there if self.chance.random() < 0.3 else self.chance.sample(there, min(1, len(there))):
            self.client.remove(RESULT, key)

    def _taken(self, run: RunInMemory) -> set[str]:
        """The keys of items that were taken over."""
        found = (json.loads(body) for body in self.client.bodies(RESULT, f"{run.folder.root.key}shards/").values())
        return {row["key"] for commit in found for row in commit["outcomes"]}

    def _full(self, run: RunInMemory, taken: set[str], day: int) -> RunInMemory:
        """A run without reuse over what was planned, up to its plan; then the source is as it is now, for all else."""
        plan = json.loads(run.file("plan.json") or b"")
        client = InMemoryS3Client(SOURCE, RESULT)
        request = {name: value for name, value in run.request.items() if name not in WITH_REUSE}
        full = _by_code(replace(run, client=client, ticks=day * 86_400, request=request), self.code)
        items = {}
        for index in range(plan["shards"]):
            key = run.folder.shard_items(index, plan["digest"]).key
            for line in self.client.bodies(RESULT, key)[key].splitlines():
                item = json.loads(line)
                items[item["key"]] = self.bodies[item["etag"]]
        for key, body in items.items():
            client.store(SOURCE, key, body)
        full.plan()
        _set_source(client, {**self.client.bodies(SOURCE), **{key: items[key] for key in taken}})
        return full

    def _finish(self, run: RunInMemory, full: RunInMemory, name: str) -> None:
        """Work what has no commit, merge, and compare."""
        (end, deleted), (other_end, _) = _worked(run), _worked(full)
        ends = [end, other_end]
        if end == "merged":
            self._check_deleted(run, deleted)
        self._note(" and ".join(ends))
        reuse = run.result().get("reuse")
        if reuse:
            self.met["kept items"] += reuse["kept"]
            files = run.client.bodies(RESULT, run.folder.file("plan/takeover").key).values()
            self.met["rebuilt shards"] += sum(body.count(b'"rebuilt_of":[') for body in files)
            lines = [line for body in files for line in body.splitlines()]
            self.met["shards put together"] += sum(len(json.loads(line)["parts"]) > 1 for line in lines)
            self.met["why not" if reuse["why_not"] else "base"] += 1
            if reuse["kept"] + reuse["changed"] + reuse["new"] != run.result()["counts"]["items"]:
                raise SeriesBrokenError(f"{name}: {reuse} does not add up to {run.result()['counts']}")
        mine, theirs = _left(run), _left(full)
        differing = [what for what in {**mine, **theirs} if mine.get(what) != theirs.get(what)]
        if differing or ends[0] != ends[1]:
            pairs = [f"{what}: {mine.get(what)!r} is not {theirs.get(what)!r}" for what in differing]
            raise SeriesBrokenError(f"{name} {ends}: " + "\n".join(pairs))

    def _check_deleted(self, run: RunInMemory, deleted: AbstractSet[str]) -> None:
        """See that a merge deleted the outputs of what is gone where it was to, and nothing else."""
        # Where a run failed, the rerun that mends it deletes: what is gone is the run's own plan's to say.
        gone = {
            json.loads(line)["key"]
            for text in self.client.bodies(RESULT, run.folder.base.file("removed.jsonl").key).values()
            for line in text.splitlines()
        }
        base = (run.result().get("reuse") or {}).get("base", "")
        files = self.client.bodies(RESULT, f"{OUT}_millrace/{base}/") if base else {}
        commits = [json.loads(body) for key, body in files.items() if "/shards/" in key]
        outcomes = [outcome for commit in commits for outcome in commit["outcomes"] if outcome["key"] in gone]
        named = {uri.removeprefix(f"s3://{RESULT}/") for outcome in outcomes for uri in outcome.get("outputs", ())}
        wanted = named if "mirror" in run.request else set()
        if not deleted <= wanted:
            raise SeriesBrokenError(f"{self.now} deleted {sorted(deleted)}; gone are {sorted(gone)}")
        self.met["outputs deleted"] += len(deleted)
        if left := wanted & _outputs(run):
            raise SeriesBrokenError(f"{self.now} left {sorted(left)}, though they are gone")

    def _rerun(self, run: RunInMemory, full: RunInMemory, day: int) -> None:
        """Work the failed items again, as they are by now."""
        self._note("rerun")
        for _ in range(self.chance.choice((1, 3))):
            self._change()
        # What the full run planned and failed at is looked up anew, too.
        _set_source(full.client, self.client.bodies(SOURCE))
        again = [_by_code(each.retry(), self.code) for each in (run, full)]
        for each in again:
            each.ticks = day * 86_400 + 40_000
            each.plan()
        self._finish(again[0], again[1], f"rerun of run-{day}")

    def _note(self, what: str) -> None:
        self.met[what] += 1
        self.lines.append(what)


def simulate_series(seed: int, days: int = 0) -> tuple[Series, str]:
    """Run a seed.

    Args:
        seed: Decides everything.
        days: How many days pass without a disturbance; 0 for a few with all that may happen.

    Returns:
        The series, and what was broken; empty where nothing was.
    """
    series = Series(seed)
    try:
        with patch("batch_jobs.merging.merge.page_of", lambda *_given: b"page"):  # a third of a run's time
            if days:
                series.play_long(days)
            else:
                series.play()
    except SeriesBrokenError as broken:
        return series, str(broken)
    except (MillraceError, LookupError, ArithmeticError) as error:
        return series, f"{type(error).__name__}: {error}"
    return series, ""


def _by_code(run: RunInMemory, code: str) -> RunInMemory:
    """The run, whose jobs are of some code."""
    real = RunInMemory.job

    def job(*given: Any, **settings: Any) -> Job:
        return replace(real(run, *given, **settings), identify=lambda _settings, _workload: code)

    run.job = job  # type: ignore[method-assign]
    return run


def _set_source(client: InMemoryS3Client, bodies: Mapping[str, bytes]) -> None:
    for key in client.bodies(SOURCE):
        if key not in bodies:
            client.remove(SOURCE, key)
    for key, body in bodies.items():
        client.store(SOURCE, key, body)


def _worked(run: RunInMemory) -> tuple[str, set[str]]:
    """Work what has no commit, and merge: how that ended, and which outputs the merge deleted."""
    made = json.loads(run.file("plan.json") or b"")
    there = set(listed_shards(run.folder.commit, range(made["shards"]), run.job().s3))
    for index in range(made["shards"]):
        if index not in there:
            run.migrate(index)
    before = _outputs(run)
    try:
        run.merge()
    except TooManyFailuresError:
        return "too many failures", set()
    return "merged", before - _outputs(run)


def _outputs(run: RunInMemory) -> set[str]:
    """The objects in the destination, run folders apart."""
    return {key for key in run.client.bodies(RESULT, OUT) if not key.startswith(f"{OUT}_millrace/")}


def _left(run: RunInMemory) -> dict[str, Any]:
    """What a run left: each file of its result, its rows, and the outputs that they name."""
    result = run.result()
    left: dict[str, Any] = {name: result[name] for name in ("status", "failures", "result", "retry")}
    left["counts"] = {name: count for name, count in result["counts"].items() if name != "shards"}
    for name in result["files"]:
        left[name] = run.file(name)
    rows = list(csv.DictReader(io.StringIO((run.file("report.csv") or b"").decode(), newline="")))
    left["report.csv"] = sorted(sorted((name, row[name]) for name in row if name not in ASIDE) for row in rows)
    failed = [json.loads(line) for line in (run.file("failures.jsonl") or b"").splitlines()]
    left["failures.jsonl"] = sorted(json.dumps({**row, "shard": 0}, sort_keys=True) for row in failed)
    named = {uri for row in rows for uri in json.loads(row["Outputs"] or "[]")}
    outputs = run.client.bodies(RESULT, OUT)
    left["outputs"] = {uri: outputs.get(uri.removeprefix(f"s3://{RESULT}/")) for uri in sorted(named)}
    return left
