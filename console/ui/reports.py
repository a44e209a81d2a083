"""report.html of any run, made in the background: it reads every commit, and a page answers within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from console.find.aws import Aws
from console.find.run_lookup import FoundRun
from console.transfer.report_files import page_of
from millrace.report.run_report import write_report

WAIT_SECONDS = 0.6
"""How long a page waits for the report before it says that it is being made."""

UNASKED_SECONDS = 10.0
"""Whose page has not asked for so long has gone: a report that was made for it is dropped."""


@dataclass
class _Made:
    """A report that is being made, or is there, and when it was asked for last."""

    page: Future[bytes]
    asked_at: float


class Reports:
    """Makes reports, each once however often it is asked for until it is there.

    Args:
        aws: Where the runs are.
        queues: The ARNs of the stack's queues, for the cost.
    """

    def __init__(self, aws: Aws, queues: Sequence[str]) -> None:
        self._aws = aws
        self._queues = queues
        self._lock = threading.Lock()
        self._made: dict[str, _Made] = {}

    def page(self, found: FoundRun, beside: Sequence[str]) -> bytes | None:
        """The report as it is now, or as it was when it was asked for first; None while it is being made.

        Args:
            found: The run.
            beside: The files that the report names as being beside it.

        Raises:
            MillraceError: It cannot be made.
        """
        making = self._asked(found, beside)
        try:
            return making.result(WAIT_SECONDS)
        except TimeoutError:
            if making.done():
                raise
            return None
        finally:
            if making.done():
                with self._lock:
                    self._made = {arn: each for arn, each in self._made.items() if each.page is not making}

    def _asked(self, found: FoundRun, beside: Sequence[str]) -> Future[bytes]:
        now = time.monotonic()
        with self._lock:
            self._made = {
                arn: each
                for arn, each in self._made.items()
                if not each.page.done() or now - each.asked_at < UNASKED_SECONDS
            }
            made = self._made.get(found.execution_arn)
            if made is None:
                made = self._made[found.execution_arn] = _Made(Future(), now)
                threading.Thread(target=self._make, args=(made.page, found, beside), daemon=True).start()
            made.asked_at = now
            return made.page

    def _make(self, making: Future[bytes], found: FoundRun, beside: Sequence[str]) -> None:
        try:
            with TemporaryFile() as rows, TemporaryFile() as failed:
                written = write_report(found.run.folder, self._aws.s3, cast("BinaryIO", rows), cast("BinaryIO", failed))
                making.set_result(page_of(self._aws, found, written, beside, self._queues))
        except Exception as error:  # noqa: BLE001 - whoever asks for the report is told
            making.set_exception(error)
