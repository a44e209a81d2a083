"""The failed items of a run, whether it is merged or not: searched, a page at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from console.find.aws import Aws, read_for
from console.transfer.results import lines_of, result_files
from millrace.errors import MillraceError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead

PAGE = 100
"""How many failures a page shows."""

MOST_BYTES = 64 * 2**20
"""How much of failures.jsonl is read."""

READ_SECONDS = 0.2
"""For how long a page reads commits with failures before it shows what is known; the next one reads on."""

KEPT = 4
"""Of how many runs the failures are kept in memory."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed item."""

    code: str
    key: str
    message: str
    shard: int
    _search: str

    @classmethod
    def of(cls, row: Mapping[str, Any], shard: int) -> Failure:
        """From a row of failures.jsonl, or an outcome of a commit."""
        code, key, message = (str(row.get(name) or "") for name in ("error_code", "key", "message"))
        return cls(code, key, message, int(row.get("shard", shard)), f"{code}\n{key}\n{message}".casefold())

    def has(self, words: Sequence[str]) -> bool:
        """Whether each of the words stands in it; they are given in lower case."""
        return all(word in self._search for word in words)


@dataclass(frozen=True, slots=True)
class FailurePage:
    """A page of the failures: its rows, which it is of how many, how many were found, of how many, by code.

    It is `complete` unless there are shards that were not read yet.
    """

    rows: list[Failure]
    page: int
    pages: int
    found: int
    known: int
    codes: dict[str, int]
    complete: bool = True


class Failures:
    """Reads failed items, each file once.

    Args:
        aws: Where they are.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._lock = threading.Lock()
        self._merged: OrderedDict[str, list[Failure]] = OrderedDict()
        self._shards: OrderedDict[str, dict[int, list[Failure]]] = OrderedDict()

    def page(
        self,
        folder: RunFolder,
        result: Mapping[str, Any] | None,
        heads: Sequence[CommitHead],
        words: Sequence[str],
        number: int,
    ) -> FailurePage:
        """A page of them.

        Args:
            folder: The folder that the run works in.
            result: Its result.json, where it is merged.
            heads: The commits that were read, for a run that is not.
            words: What each failure has to have, in any case.
            number: The page, from 1.
        """
        complete = True
        if result is not None:
            every = self._of_result(result, folder)
        else:
            every, complete = self._of_commits(folder, heads)
        found = [each for each in every if each.has([word.casefold() for word in words])] if words else every
        codes: dict[str, int] = {}
        for each in found:
            codes[each.code] = codes.get(each.code, 0) + 1
        pages = max(1, -(-len(found) // PAGE))
        number = min(max(number, 1), pages)
        by_count = dict(sorted(codes.items(), key=lambda each: (-each[1], each[0])))
        return FailurePage(
            found[(number - 1) * PAGE : number * PAGE], number, pages, len(found), len(every), by_count, complete
        )

    def _of_result(self, result: Mapping[str, Any], folder: RunFolder) -> list[Failure]:
        uri = result_files(result, folder)["failures.jsonl"]
        key = f"{uri} {result.get('finished_at')} {result.get('counts')}"
        with self._lock:
            if key in self._merged:
                return self._merged[key]
        rows: list[Failure] = []
        read = 0
        try:
            with self._aws.s3.open(S3Uri.parse(uri)) as chunks:
                for line in lines_of(chunks):
                    rows.append(Failure.of(read_json(line), -1))
                    read += len(line)
                    if read > MOST_BYTES:
                        break
        except (ObjectNotFoundError, ValueError):
            pass  # what there is is shown
        with self._lock:
            self._merged[key] = rows
            while len(self._merged) > KEPT:
                self._merged.popitem(last=False)
        return rows

    def _of_commits(self, folder: RunFolder, heads: Sequence[CommitHead]) -> tuple[list[Failure], bool]:
        failed = sorted(head.shard for head in heads if head.counts.failed)
        root = str(folder.root)
        with self._lock:
            known = self._shards.setdefault(root, {})
            self._shards.move_to_end(root)
            while len(self._shards) > KEPT:
                self._shards.popitem(last=False)
        unread = [shard for shard in failed if shard not in known]
        for shard, rows in read_for(READ_SECONDS, unread, partial(self._of_shard, folder)):
            known[shard] = rows
        return [row for shard in failed for row in known.get(shard, [])], all(shard in known for shard in failed)

    def _of_shard(self, folder: RunFolder, shard: int) -> list[Failure]:
        try:
            commit = read_json(self._aws.s3.read(folder.commit(shard)))
            return [Failure.of(each, shard) for each in commit["outcomes"] if each.get("status") == "FAILED"]
        except (MillraceError, ValueError, KeyError, TypeError, AttributeError):
            return []
