"""Taking over shards of an earlier run: partial and commit are written anew into this run's folder.

It is done once plan.json is there, which names what is taken over from where: so a second plan job, a redrive or a
crash in between changes nothing. Partials are copied by S3 and named by their content, commits are written once. A
shard that cannot be taken over, as a lifecycle rule has deleted its files say, has no commit, and so it is worked.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from batch_jobs.job import Job
from batch_jobs.migrating.committing import put_partial
from batch_jobs.migrating.contributions import put_contributions, read_contributions
from batch_jobs.parallel import in_order
from millrace.errors import ChangedError, DamagedFileError, MillraceError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit, CommitHead, PartialFile
from millrace.records.files import listed_shards
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.workload.contract import Workload
from millrace.workload.contribution import ContributionTexts

log = logging.getLogger(__name__)

LARGEST_COPY_BYTES = 5 * 2**30
"""What one CopyObject copies at most (S3 API, CopyObject). A larger partial is not taken over."""


MOST_AT_ONCE = 64
"""So many shards are taken over at once: each waits for five small requests, one after the other."""


@dataclass(frozen=True, slots=True)
class TakenShard:
    """What a kept shard is taken over from.

    Attributes:
        retry: Which rerun of the base it is a shard of; 0 for the base's own.
        shard: Its index there.
        items_digest: `sha256:…` of the shard file that this run has of it.
        rebuilt_of: Which of its items it is rebuilt of, by their places; None where it is taken over with all that
            succeeded.
    """

    retry: int
    shard: int
    items_digest: str
    rebuilt_of: Sequence[int] | None = None


def takeover_lines(shards: Iterable[TakenShard]) -> bytes:
    """The file that says what each kept shard is taken over from: a JSON line each, from shard 0 on."""
    return b"".join(json.dumps(asdict(shard), separators=(",", ":")).encode() + b"\n" for shard in shards)


def take_over(plan: Plan, folder: RunFolder, job: Job) -> None:
    """Take over the shards that a plan keeps of an earlier run, as far as they have no commit yet.

    Args:
        plan: The plan that counts, as plan.json says it.
        folder: The run's folder.
        job: The job's surroundings.

    Raises:
        DamagedFileError: The file that says from where is not the one that the plan names.
        StorageError: S3 failed, or refuses it to this job.
        StoppedError: The job has to stop; the next attempt continues.
    """
    reuse = plan.reuse
    if reuse is None or not reuse.base:
        return
    if reuse.removed:
        planned = folder.planned_removed(reuse.removed_digest)
        _copy(planned, folder.file("removed.jsonl"), job)
    if not reuse.kept_shards:
        return
    sources = _read_sources(plan, folder, job)
    done = frozenset(listed_shards(folder.commit, range(reuse.kept_shards), job.s3))
    taking = _Taking(plan, folder, RunFolder.of(S3Uri.parse(plan.destination), reuse.base), job)
    left = [index for index in range(reuse.kept_shards) if index not in done]
    settings = job.settings
    at_once = min(settings.most_in_flight, MOST_AT_ONCE) if settings.concurrency > 1 else 1
    with closing(in_order(lambda index: taking.take(index, sources[index]), left, at_once)) as taken:
        count = sum(taken)
    fields = {"base": reuse.base, "shards": count, "before": len(done), "to_be_worked": len(left) - count}
    log.info("shards taken over", extra={"fields": fields})


def _read_sources(plan: Plan, folder: RunFolder, job: Job) -> Sequence[TakenShard]:
    reuse = plan.reuse
    if reuse is None:
        return []
    uri = folder.takeover(reuse.takeover_digest)
    try:
        text = job.s3.read(uri)
        sources = [TakenShard(**read_json(line)) for line in text.split(b"\n")[:-1]]
    except (ObjectNotFoundError, ValueError, TypeError) as error:
        raise DamagedFileError(
            f"this does not say what is taken over: {error}", operation="reuse", target=str(uri)
        ) from error
    if f"sha256:{hashlib.sha256(text).hexdigest()}" != reuse.takeover_digest or len(sources) != reuse.kept_shards:
        raise DamagedFileError("it is not the file that plan.json names", operation="reuse", target=str(uri))
    return sources


@dataclass(frozen=True)
class _Taking:
    plan: Plan
    folder: RunFolder
    base: RunFolder
    job: Job

    def take(self, index: int, source: TakenShard) -> bool:
        """Take one shard over; whether that could be done."""
        self.job.stop.check()
        try:
            self._take(index, source)
        except (ObjectNotFoundError, ChangedError, DamagedFileError) as error:
            fields = {"shard": index, "from": asdict(source), "why": str(error)}
            log.warning("a shard cannot be taken over, and is worked", extra={"fields": fields})
            return False
        return True

    def _take(self, index: int, source: TakenShard) -> None:
        s3, plan = self.job.s3, self.plan
        folder = self.base.of_retry(source.retry)
        uri = folder.commit(source.shard)
        text = s3.read(uri)
        if source.rebuilt_of is None and self._retell(index, source, text):
            return
        there = Commit.from_json(text, str(uri))
        if there.shard != source.shard or there.code_version != plan.code_version or there.partial is None:
            raise DamagedFileError("it is not the commit that was compared", operation="reuse", target=str(uri))
        if source.rebuilt_of is None:
            outcomes = tuple(outcome for outcome in there.outcomes if outcome.status == "SUCCEEDED")
            partial = self._take_partial(index, source, folder, there.partial)
            contributions = self._take_contributions(index, there)
        else:
            outcomes = tuple(there.outcomes[number] for number in source.rebuilt_of)
            partial, contributions = self._rebuild(index, there, source.rebuilt_of)
        commit = replace(
            there,
            shard=index,
            plan_digest=plan.digest,
            items_digest=source.items_digest,
            partial=partial,
            contributions=contributions,
            counts=Counts.of(outcomes),
            outcomes=outcomes,
            reused_from=self._reused_from(source, there.worked_in),
        )
        s3.put_if_absent(self.folder.commit(index), commit.to_json(), content_type="application/json")

    def _retell(self, index: int, source: TakenShard, text: bytes) -> bool:
        """Take over a shard of which no item failed, without reading its outcomes; whether it is such a one."""
        folder = self.base.of_retry(source.retry)
        uri = str(folder.commit(source.shard))
        try:
            head = CommitHead.of(text)
        except ValueError as error:
            raise DamagedFileError(f"this is not a commit: {error}", operation="reuse", target=uri) from error
        if head.counts.failed or head.partial is None:
            return False
        if (head.shard, head.code_version) != (source.shard, self.plan.code_version):
            raise DamagedFileError("it is not the commit that was compared", operation="reuse", target=uri)
        retold = Commit.retold(
            text,
            uri,
            shard=index,
            plan_digest=self.plan.digest,
            items_digest=source.items_digest,
            partial=asdict(self._take_partial(index, source, folder, head.partial)),
            contributions=self._copied_contributions(index, head.contributions),
            reused_from=self._reused_from(source, head.worked_in),
        )
        self.job.s3.put_if_absent(self.folder.commit(index), retold, content_type="application/json")
        return True

    def _copied_contributions(self, index: int, there: PartialFile | None) -> dict[str, Any] | None:
        """Have S3 copy the contributions. Without them the shard can be taken over just as well."""
        if there is None:
            return None
        mine = self.folder.contributions(index, there.sha256)
        try:
            _copy(S3Uri.parse(there.uri), mine, self.job, size=there.bytes)
        except (ObjectNotFoundError, ChangedError, DamagedFileError) as error:
            log.warning("contributions are lost", extra={"fields": {"shard": index, "why": str(error)}})
            return None
        return asdict(replace(there, uri=str(mine)))

    def _reused_from(self, source: TakenShard, worked_in: str) -> dict[str, Any]:
        return {
            "run_id": self.base.run_id,
            "retry": source.retry,
            "shard": source.shard,
            "worked_in": worked_in or self.base.run_id,
        }

    def _rebuild(self, index: int, there: Commit, numbers: Sequence[int]) -> tuple[PartialFile, PartialFile | None]:
        """Make the partial of some of the items from their contributions; and keep these."""
        kept, texts = self._contributions_of(there), ContributionTexts(self.workload)
        partial = self.workload.partial()
        try:
            for number in numbers:
                partial.add(texts.read(kept[number]))
        except MillraceError:
            raise
        except Exception as error:  # a user's own workload may raise anything; migrate works the items anew
            raise DamagedFileError(
                f"the contributions cannot be added up: {error!r}", operation="reuse", target=f"shard {there.shard}"
            ) from error
        suffix = self.workload.partial_suffix
        made = put_partial(partial, lambda digest: self.folder.partial(index, digest, suffix), self.job.s3)
        return made, self._put_contributions(index, numbers, kept)

    def _take_contributions(self, index: int, there: Commit) -> PartialFile | None:
        """Keep those of the items that succeeded. Without them the shard can be taken over just as well."""
        if there.contributions is None:
            return None
        numbers = [number for number, outcome in enumerate(there.outcomes) if outcome.status == "SUCCEEDED"]
        try:
            return self._put_contributions(index, numbers, self._contributions_of(there))
        except (ObjectNotFoundError, DamagedFileError) as error:
            log.warning("contributions are lost", extra={"fields": {"shard": index, "why": str(error)}})
            return None

    def _put_contributions(self, index: int, numbers: Sequence[int], kept: Mapping[int, bytes]) -> PartialFile | None:
        mine = {place: kept[number] for place, number in enumerate(numbers) if number in kept}
        return put_contributions(self.folder, index, mine, self.job.s3)

    def _contributions_of(self, there: Commit) -> dict[int, bytes]:
        if there.contributions is None:
            raise DamagedFileError("it has no contributions", operation="reuse", target=f"shard {there.shard}")
        return read_contributions(there.contributions, self.job.s3)

    @cached_property
    def workload(self) -> Workload[Any]:
        """The plan's workload, to rebuild partials."""
        return self.job.load(self.plan.workload, self.plan.options)

    def _take_partial(self, index: int, source: TakenShard, folder: RunFolder, partial: PartialFile) -> PartialFile:
        """Have S3 copy the partial.

        Raises:
            DamagedFileError: It is not where it belongs, has another size, or is too large to be copied.
        """
        stem = str(folder.partial(source.shard, partial.sha256, ""))
        if not partial.uri.startswith(stem):
            raise DamagedFileError("it is not the shard's partial", operation="reuse", target=partial.uri)
        there, mine = (
            S3Uri.parse(partial.uri),
            self.folder.partial(index, partial.sha256, partial.uri.removeprefix(stem)),
        )
        if partial.bytes > LARGEST_COPY_BYTES:
            raise DamagedFileError("it is too large to be copied", operation="reuse", target=partial.uri)
        _copy(there, mine, self.job, size=partial.bytes)
        return replace(partial, uri=str(mine))


def _copy(source: S3Uri, destination: S3Uri, job: Job, size: int | None = None) -> None:
    """Have S3 copy an object, of this size if one is given.

    Raises:
        ObjectNotFoundError: It is not there.
        DamagedFileError: It has another size.
        ChangedError: It was replaced meanwhile.
    """
    head = job.s3.head(source)
    if size not in {None, head.size}:
        raise DamagedFileError(f"it has {head.size} bytes, not {size}", operation="reuse", target=str(source))
    job.s3.ask(
        "copy",
        source,
        "copy_object",
        Bucket=destination.bucket,
        Key=destination.key,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        CopySourceIfMatch=head.etag,
        TaggingDirective="REPLACE",  # by none: files of a run have no tags, and to copy some would take two more rights
    )
