"""Distinguish a bad object from systemic trouble: a denied bucket must not become a million rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from batch_jobs.migrating.item_worker import NEVER_READ
from millrace.errors import ErrorCode, StorageError
from millrace.records.outcome import Outcome

FIRST_DENIED = 20
"""So many items denied, and none readable before them: it is asked whether the role may read anything of the source."""

IN_A_ROW_UNREAD = 20
"""So many items in a row that S3 failed to give, each through every retry: S3 is down, or the network is."""

_NOT_READ = frozenset({ErrorCode.ACCESS_DENIED, ErrorCode.READ_FAILED, *NEVER_READ})


class FailingFast:
    """Watches the items of a shard as they get done.

    Only what may pass counts as "S3 is down": an object that S3 refuses for good is its row, however many there are.

    Args:
        before: What earlier attempts saved of the shard: a denied item of theirs counts like one of this attempt's.
        readable: Whether it is known that the role may read the source, as in a retry: all its items failed before,
            and twenty denied ones in a row say nothing of the source as a whole.
        any_readable: Asks whether anything of the source is readable, once the first items were all denied.
    """

    def __init__(
        self,
        before: Iterable[Outcome] = (),
        *,
        readable: bool = False,
        any_readable: Callable[[], bool] = lambda: False,
    ) -> None:
        codes = [outcome.error_code for outcome in before]
        self._readable = readable or any(code not in _NOT_READ for code in codes)
        self._any_readable = any_readable
        self._denied = codes.count(ErrorCode.ACCESS_DENIED)
        self._unread = 0

    def see(self, outcome: Outcome, cause: StorageError | None) -> None:
        """Take note of an item.

        Args:
            outcome: Its row.
            cause: S3's error, where that is why it failed.

        Raises:
            AccessDeniedError: The first items were all denied, and nothing of the source is readable.
            StorageError: S3 failed for many items in a row.
        """
        if outcome.error_code in NEVER_READ:
            return
        if cause is not None and cause.transient:
            self._unread += 1
            if self._unread >= IN_A_ROW_UNREAD:
                raise cause
            return
        self._unread = 0
        if outcome.error_code not in _NOT_READ:
            self._readable = True
        elif cause is not None and outcome.error_code is ErrorCode.ACCESS_DENIED:
            self._denied += 1
            if self._denied >= FIRST_DENIED and not self._readable:
                self._readable = self._any_readable()
                if not self._readable:
                    raise cause
