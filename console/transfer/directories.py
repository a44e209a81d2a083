"""A folder of this machine as a source or destination: the S3 prefix that stands for it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from glob import escape
from hashlib import sha256
from os import fsencode
from pathlib import Path

from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.text import visible


@dataclass(frozen=True)
class Place:
    """A source or a destination as the user named it: a folder, or an S3 URI.

    Attributes:
        given: The user's words.
        directory: The folder, absolute, symbolic links followed; None for an S3 URI.
    """

    given: str
    directory: Path | None

    @classmethod
    def parse(cls, given: str, field: str) -> Place:
        """Distinguish a folder from an S3 URI.

        Args:
            given: The user's words.
            field: "source" or "destination"; a source folder must be there, a destination folder need not.

        Raises:
            InvalidRunRequest: It is neither.
        """
        if given.startswith("s3:"):
            S3Uri.parse_folder(given, field)
            return cls(given, None)
        allowed = "a folder of this machine, or s3://bucket/prefix/"
        if not given or re.match(r"[A-Za-z0-9+.-]+://", given):
            raise InvalidRunRequest(field, given, allowed)
        directory = Path(given).expanduser().resolve()
        if field == "source" and directory.is_file():
            folder, name = (shlex.quote(visible(word)) for word in (str(Path(given).parent), escape(directory.name)))
            raise InvalidRunRequest(field, given, f"{allowed}; this is a file: --source {folder} --include {name}")
        if field == "source" and not directory.is_dir():
            raise InvalidRunRequest(field, given, f"{allowed}; there is no such folder")
        if directory.exists() and not directory.is_dir():
            raise InvalidRunRequest(field, given, f"{allowed}; this is a file")
        return cls(given, directory)

    def uri(self, bucket: str) -> S3Uri:
        """The folder in S3: the URI given, or the prefix that stands for the folder.

        The prefix follows from the folder's path alone, so that a later run finds what an earlier one left.

        Args:
            bucket: The stack's bucket, for a folder of this machine.
        """
        if self.directory is None:
            return S3Uri.parse_folder(self.given)
        digest = sha256(fsencode(self.directory)).hexdigest()[:12]
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.directory.name).strip("-")[:40]
        return S3Uri(bucket, f"directories/{name or 'folder'}-{digest}/")


def refuse_overlap(source: Place, destination: Place) -> None:
    """Refuse two folders if one is inside the other.

    Raises:
        InvalidRunRequest: A run would read its own outputs, or write over its source.
    """
    inner, outer = destination.directory, source.directory
    if inner is None or outer is None:
        return
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InvalidRunRequest(
            "destination",
            destination.given,
            f"a folder apart from the source {source.given}: neither may be inside the other, "
            "or a run would read its own outputs or write over its source",
        )
