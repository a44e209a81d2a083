"""The file beside a shard's commit that holds what its items gave, a line each, as far as that is small JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from millrace.errors import DamagedFileError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import PartialFile
from millrace.s3.verbs import S3


def put_contributions(folder: RunFolder, index: int, kept: Mapping[int, bytes], s3: S3) -> PartialFile | None:
    """Write contributions, by the places of their items, to where their digest says.

    Args:
        folder: The run's folder.
        index: The shard's index.
        kept: The contributions as JSON.
        s3: Where.

    Returns:
        The file; None where there are none.
    """
    if not kept:
        return None
    body = b"".join([b"%d %b\n" % each for each in sorted(kept.items())])
    digest = hashlib.sha256(body).hexdigest()
    uri = folder.contributions(index, digest)
    s3.put(uri, body, content_type="text/plain")
    return PartialFile(str(uri), digest, len(body))


def read_contributions(file: PartialFile, s3: S3) -> dict[int, bytes]:
    """The contributions of a shard, by the places of their items.

    Raises:
        ObjectNotFoundError: They are not there.
        DamagedFileError: They are not as they were written.
    """
    body = _read(file, s3)
    numbers = _numbers(body)
    parted = (line.partition(b" ")[2] for line in body.split(b"\n"))
    return dict(zip(numbers, parted, strict=False))  # behind the last line feed there is none


def contributed_items(file: PartialFile, s3: S3) -> Collection[int]:
    """Of which items of a shard there are contributions, by their places; raises as `read_contributions` does."""
    return _numbers(_read(file, s3))


def _numbers(body: bytes) -> Collection[int]:
    """The places that the lines begin with, in their order."""
    count = body.count(b"\n")
    last = body[body.rfind(b"\n", 0, -1) + 1 :]
    if last.startswith(b"%d " % (count - 1)):  # they are in order: of all
        return range(count)
    return [int(line.partition(b" ")[0]) for line in body.split(b"\n")[:-1]]


def _read(file: PartialFile, s3: S3) -> bytes:
    body = s3.read(S3Uri.parse(file.uri))
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise DamagedFileError("it is not what was committed", operation="read the contributions", target=file.uri)
    return body
