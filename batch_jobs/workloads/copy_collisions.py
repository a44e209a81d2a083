"""Which copies were written over by others of the same run: several keys that a pattern made one."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Self

from millrace.report import safe_cell


class Collisions:
    """Finds keys that come more than once. A context manager; the keys lie on disk, as they may be many millions."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="millrace-copies-")
        self._keys = sqlite3.connect(Path(self._folder.name) / "keys")
        # The file is thrown away in any case: nothing of it need survive a crash. Bytes: a key may hold a NUL.
        self._keys.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE keys (copy, source)"
        )

    def add(self, keys: Iterable[tuple[str, str]]) -> None:
        """Take note of copies: each one's key, and the key of what it is a copy of."""
        rows = ((copy.encode(), source.encode()) for copy, source in keys)
        self._keys.executemany("INSERT INTO keys VALUES (?, ?)", rows)

    def write(self, file: BinaryIO) -> int:
        """Write `key,copied_from`: a row for each object that was copied to a key which others were copied to as well.

        Returns:
            How many such keys there are.
        """
        self._keys.execute("CREATE INDEX by_copy ON keys (copy, source)")
        self._keys.execute("CREATE VIEW several AS SELECT copy FROM keys GROUP BY copy HAVING count(*) > 1")
        found = "SELECT copy, source FROM keys WHERE copy IN several ORDER BY copy, source"
        file.write(_row("key", "copied_from"))
        with closing(self._keys.execute(found)) as rows:
            file.writelines(_row(safe_cell(copy.decode()), safe_cell(source.decode())) for copy, source in rows)
        (number,) = self._keys.execute("SELECT count(*) FROM several").fetchone()
        return int(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._keys.close()
        self._folder.cleanup()


def _row(*cells: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
