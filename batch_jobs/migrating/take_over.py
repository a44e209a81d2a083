"""Taking over shards of an earlier run: partial and commit are written anew into this run's folder.

It is done once plan.json is there, which names what is taken over from where: so a second plan job, a redrive or a
crash in between changes nothing. The plan job does it; where Prepare Run has planned, the children do, each its own
first. Partials are copied by S3 and named by their content, commits are written once. A shard that cannot be taken
over, as a lifecycle rule has deleted its files say, has no commit, and so it is worked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import compress, groupby, repeat
from threading import Semaphore
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.partials import open_partials, put_partial
from batch_jobs.parallel import in_order
from millrace.errors import ChangedError, DamagedFileError, MillraceError, ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead, CommitText, PartialFile
from millrace.records.contributions import put_contributions, read_contributions
from millrace.records.files import copy_file, listed_shards
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.reuse.places import within
from millrace.reuse.taken import TakenPart, TakenShard, read_takeover
from millrace.workload.contract import Workload
from millrace.workload.contribution import ContributionTexts

log = logging.getLogger(__name__)

LARGEST_COPY_BYTES = 5 * 2**30
"""What one CopyObject copies at most (S3 API, CopyObject). A larger partial is not taken over."""

MOST_AT_ONCE = 64
"""So many shards are taken over at once: each waits for five small requests, one after the other."""

ADDED_AT_ONCE = 4
"""Of so many shards at once the partials are added up: they are in memory."""


def take_over(plan: Plan, folder: RunFolder, job: Job, shards: Iterable[int] | None = None) -> frozenset[int]:
    """Take over the shards that a plan keeps of an earlier run, as far as they have no commit yet.

    Args:
        plan: The plan that counts, as plan.json says it.
        folder: The run's folder.
        job: The job's surroundings.
        shards: Which of the kept shards, in ascending order; None for all of them.

    Returns:
        The kept shards, whichever of them, that have their commit now.

    Raises:
        DamagedFileError: The file that says from where is not the one that the plan names.
        StorageError: S3 failed, or refuses it to this job.
        StoppedError: The job has to stop; the next attempt continues.
    """
    reuse = plan.reuse
    if reuse is None or not reuse.kept_shards:
        return frozenset()
    done = frozenset(listed_shards(folder.commit, range(reuse.kept_shards), job.s3))
    left = [index for index in (range(reuse.kept_shards) if shards is None else shards) if index not in done]
    if not left:
        return done
    sources = read_takeover(plan, folder, job.s3)
    taking = _Taking(plan, folder, RunFolder.of(S3Uri.parse(plan.destination), reuse.base), job)
    settings = job.settings
    at_once = min(settings.most_in_flight, MOST_AT_ONCE) if settings.concurrency > 1 else 1
    with closing(in_order(lambda index: taking.take(index, sources[index]), left, at_once)) as each:
        taken = frozenset(compress(left, each))
    fields = {"base": reuse.base, "shards": len(taken), "before": len(done), "to_be_worked": len(left) - len(taken)}
    log.info("shards taken over", extra={"fields": fields})
    return done | taken


@dataclass(frozen=True)
class _Taking:
    plan: Plan
    folder: RunFolder
    base: RunFolder
    job: Job
    adding: Semaphore = field(default_factory=lambda: Semaphore(ADDED_AT_ONCE))

    def take(self, index: int, source: TakenShard) -> bool:
        """Take one shard over; whether that could be done."""
        self.job.stop.check()
        try:
            self._take(index, source)
        except (ObjectNotFoundError, ChangedError, DamagedFileError) as error:
            fields = {"shard": index, "from": [(part.retry, part.shard) for part in source.parts], "why": str(error)}
            log.warning("a shard cannot be taken over, and is worked", extra={"fields": fields})
            return False
        return True

    def _take(self, index: int, source: TakenShard) -> None:
        parts = [self._read(part) for part in source.parts]
        if len(parts) == 1 and parts[0].is_whole:
            (part,) = parts
            outcomes, counts = part.text.outcomes, part.text.head["counts"]
            partial = self._copy_partial(index, part)
            contributions = self._copy_contributions(index, part.head.contributions)
        else:
            each = [outcome for part in parts for outcome in part.outcomes]
            outcomes = CommitText.joined(each)
            counts = _counted(outcomes, len(each))
            with self.adding:  # a shard's contributions and partial are in memory meanwhile
                kept = [self._contributions_of(part) for part in parts]
                if len(parts) == 1 and parts[0].source.rebuilt_of is None:
                    partial = self._copy_partial(index, parts[0])
                else:
                    partial = self._add_up(index, parts, kept)
                contributions = self._put_contributions(index, parts, kept)
        text = CommitText(
            {
                **parts[0].text.head,
                **_times(parts),
                "shard": index,
                "plan_digest": self.plan.digest,
                "items_digest": source.items_digest,
                "partial": asdict(partial),
                "contributions": None if contributions is None else asdict(contributions),
                "counts": counts,
                **self._origin(parts),
            },
            outcomes,
            self._stretches(parts),
        )
        self.job.s3.put_if_absent(self.folder.commit(index), text.to_json(), content_type="application/json")

    def _read(self, source: TakenPart) -> _BasePart:
        folder = self.base.of_retry(source.retry)
        uri = folder.commit(source.shard)
        text = CommitText.of(self.job.s3.read(uri), str(uri))
        head = CommitHead.from_fields(text.head)
        if (head.shard, head.code_version) != (source.shard, self.plan.code_version) or head.partial is None:
            raise DamagedFileError("it is not the commit that was compared", operation="reuse", target=str(uri))
        stem = str(folder.partial(source.shard, head.partial.sha256, ""))
        if not head.partial.uri.startswith(stem):
            raise DamagedFileError("it is not the shard's partial", operation="reuse", target=head.partial.uri)
        return _BasePart(source, text, head, head.partial, head.partial.uri.removeprefix(stem))

    def _origin(self, parts: Sequence[_BasePart]) -> dict[str, Any]:
        stretches = self._all_stretches(parts)
        source = parts[0].source
        worked_in = stretches[0][0] if len(stretches) == 1 else ""
        named = {"run_id": self.base.run_id, "retry": source.retry, "shard": source.shard, "worked_in": worked_in}
        return {"reused_from": {**named, **({"parts": len(parts)} if len(parts) > 1 else {})}}

    def _stretches(self, parts: Sequence[_BasePart]) -> tuple[tuple[str, int], ...]:
        stretches = self._all_stretches(parts)
        return stretches if len(stretches) > 1 else ()

    def _all_stretches(self, parts: Sequence[_BasePart]) -> tuple[tuple[str, int], ...]:
        """Which run worked how many items that follow each other."""
        if len(parts) == 1 and parts[0].is_whole and not parts[0].text.stretches:
            return ((parts[0].head.worked_in or self.base.run_id, parts[0].head.counts.items),)
        runs = (run for part in parts for run in part.worked_in(self.base.run_id))
        return tuple((run, len(list(items))) for run, items in groupby(runs))

    def _add_up(
        self, index: int, parts: Sequence[_BasePart], kept: Sequence[Mapping[int, bytes] | None]
    ) -> PartialFile:
        """Make the partial of several shards, and of those that lost items from the contributions of the others."""
        partial, texts = self.workload.partial(), ContributionTexts(self.workload)
        try:
            for part, given in zip(parts, kept, strict=True):
                if part.source.rebuilt_of is None:
                    with closing(open_partials([part.partial], self.job)) as opened:
                        for file in opened:
                            partial.read(file)
                    continue
                lines = given or {}  # what is not there is a KeyError: the items are worked, then
                for contribution in texts.read([lines[number] for number in part.numbers]):
                    partial.add(contribution)
        except MillraceError:
            raise
        except Exception as error:  # a user's own workload may raise anything; migrate works the items anew
            raise DamagedFileError(f"it cannot be added up: {error!r}", operation="reuse", target=part.name) from error
        suffix = self.workload.partial_suffix
        return put_partial(partial, lambda digest: self.folder.partial(index, digest, suffix), self.job.s3)

    def _contributions_of(self, part: _BasePart) -> dict[int, bytes] | None:
        """A shard's contributions. Where it is not rebuilt of them it can be taken over without them just as well."""
        if part.head.contributions is None:
            return None
        try:
            return read_contributions(part.head.contributions, self.job.s3)
        except (ObjectNotFoundError, DamagedFileError) as error:
            if part.source.rebuilt_of is not None:
                raise
            log.warning("contributions are lost", extra={"fields": {"shard": part.name, "why": str(error)}})
            return None

    def _put_contributions(
        self, index: int, parts: Sequence[_BasePart], kept: Sequence[Mapping[int, bytes] | None]
    ) -> PartialFile | None:
        mine: dict[int, bytes] = {}
        before = 0
        for part, given in zip(parts, kept, strict=True):
            if given:
                mine |= {place: given[number] for place, number in enumerate(part.numbers, before) if number in given}
            before += len(part.numbers)
        return put_contributions(self.folder, index, mine, self.job.s3)

    def _copy_contributions(self, index: int, there: PartialFile | None) -> PartialFile | None:
        """Have S3 copy the contributions. Without them the shard can be taken over just as well."""
        if there is None:
            return None
        mine = self.folder.contributions(index, there.sha256)
        try:
            copy_file(S3Uri.parse(there.uri), mine, self.job.s3, size=there.bytes)
        except (ObjectNotFoundError, ChangedError, DamagedFileError) as error:
            log.warning("contributions are lost", extra={"fields": {"shard": index, "why": str(error)}})
            return None
        return replace(there, uri=str(mine))

    @cached_property
    def workload(self) -> Workload[Any]:
        """The plan's workload, to add partials up."""
        return self.job.load(self.plan.workload, self.plan.options)

    def _copy_partial(self, index: int, part: _BasePart) -> PartialFile:
        """Have S3 copy the partial.

        Raises:
            DamagedFileError: It has another size, or is too large to be copied.
        """
        partial = part.partial
        mine = self.folder.partial(index, partial.sha256, part.suffix)
        if partial.bytes > LARGEST_COPY_BYTES:
            raise DamagedFileError("it is too large to be copied", operation="reuse", target=partial.uri)
        copy_file(S3Uri.parse(partial.uri), mine, self.job.s3, size=partial.bytes)
        return replace(partial, uri=str(mine))


@dataclass(frozen=True)
class _BasePart:
    """A shard of the base, as its commit says.

    Attributes:
        source: What is kept of it.
        text: Its commit.
        head: What stands before the outcomes.
        partial: Its partial.
        suffix: What the partial's name ends in.
    """

    source: TakenPart
    text: CommitText
    head: CommitHead
    partial: PartialFile
    suffix: str

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return f"shard {self.source.shard} of the base"

    @property
    def is_whole(self) -> bool:
        """Whether all its items are kept."""
        return self.source.rebuilt_of is None and not self.head.counts.failed

    @cached_property
    def numbers(self) -> Sequence[int]:
        """Which of its items are kept, by their places."""
        if self.source.rebuilt_of is not None:
            return within(self.source.rebuilt_of)
        return [number for number, outcome in enumerate(self._each) if _SUCCEEDED in outcome]

    @property
    def outcomes(self) -> list[bytes]:
        """Theirs."""
        return [self._each[number] for number in self.numbers]

    @cached_property
    def _each(self) -> list[bytes]:
        return self.text.each()

    def worked_in(self, base: str) -> Iterator[str]:
        """The run that worked each of them."""
        if not self.text.stretches:
            return repeat(self.head.worked_in or base, len(self.numbers))
        runs = [run for run, items in self.text.stretches for _ in range(items)]
        return (runs[number] for number in self.numbers)

    @property
    def seconds(self) -> float:
        """How long these items were worked, about."""
        return self.head.seconds * len(self.numbers) / max(self.head.counts.items, 1)


def _times(parts: Sequence[_BasePart]) -> dict[str, str]:
    """When the items were worked: so long as all parts took together, whatever was between them."""
    if len(parts) == 1 and parts[0].is_whole:
        return {}
    started_at = min(part.head.started_at for part in parts)
    finished_at = started_at + timedelta(seconds=sum(part.seconds for part in parts))
    return {"started_at": _iso(started_at), "finished_at": _iso(finished_at)}


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


_SUCCEEDED, _BYTES = b'"status":"SUCCEEDED"', re.compile(rb'"bytes":([0-9]+)')


def _counted(outcomes: bytes, items: int) -> dict[str, int]:
    """The counts of outcomes that all succeeded.

    Raises:
        DamagedFileError: One of them did not.
    """
    # The quotes would be escaped inside a JSON string: these are the fields.
    if outcomes.count(_SUCCEEDED) != items:
        raise DamagedFileError("an item of it did not succeed", operation="reuse", target="a shard of the base")
    return asdict(Counts(items, items, 0, sum(map(int, _BYTES.findall(outcomes)))))
