"""The logs of a run's jobs on the page: those of a shard's attempts, or of the jobs that matter, followed live."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.errors import RunStateError
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.watch.job_logs import Followed, why_no_log
from console.watch.progress import RunProgress
from console.watch.run_logs import jobs_to_show, parsed_line, readable
from millrace.aws.job_failures import streams_of
from millrace.aws.run_jobs import index_of
from millrace.records.commit import CommitHead
from millrace.text import visible

LINES = 500
"""How many lines of each log are shown of what is there at first."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log: which job's it is, how grave, and the text for people."""

    job: str
    level: str
    text: str


@dataclass
class LogFeed:
    """The lines of a run's logs, each once.

    Attributes:
        target: Where the run is.
        found: The run.
        shard: The shard whose jobs' lines about it are wanted; None for the jobs that matter.
        failed: Only jobs that failed, or whose items did.
        heads: Gives the commits that were read so far.
    """

    target: Target
    found: FoundRun
    shard: int | None = None
    failed: bool = False
    heads: Callable[[], Collection[CommitHead]] = tuple
    _streams: dict[str, Followed] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def new_lines(self, progress: RunProgress) -> Iterator[Line]:
        """What was written since the last call.

        Args:
            progress: How the run stands: which jobs it has.
        """
        try:
            jobs = jobs_to_show(
                self.target,
                self.found,
                progress,
                self.shard,
                failed=self.failed,
                waits=not progress.ended,
                note=lambda _words: None,
                heads=self.heads(),
            )
        except RunStateError as error:
            if self._reasons.setdefault("", str(error)) and len(self._reasons) == 1 and not self._streams:
                yield Line("", "WARNING", str(error))
            return
        for step, job in jobs:
            yield from self._of_job(step, job)

    def _of_job(self, step: str, job: Mapping[str, Any]) -> Iterator[Line]:
        where = f"{step} child {index_of(job['jobId'])}" if ":" in job["jobId"] else step
        streams = streams_of(job)
        reason = "; ".join(map(visible, why_no_log(job)))
        if not streams and reason and self._reasons.get(job["jobId"]) != reason:
            self._reasons[job["jobId"]] = reason
            yield Line(where, "WARNING", f"no log: {reason}")
        for attempt, stream in enumerate(streams, start=1):
            name = where if len(streams) == 1 else f"{where}, attempt {attempt}"
            wanted = None if self.shard is None else self._is_about_shard
            followed = self._streams.setdefault(stream, Followed(self.target.aws.logs, job, stream, LINES, wanted))
            for text in followed.new_lines():
                level = (parsed_line(text) or {}).get("level", "")
                yield Line(name, str(level), readable(text).plain)

    def _is_about_shard(self, text: str) -> bool:
        """Whether a line is about the shard, or about none in particular: what a library printed may be about it."""
        line = parsed_line(text)
        return line is None or line.get("shard") in (None, self.shard)
