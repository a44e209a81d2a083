"""A run's code from outside: fetched, checked, unpacked to the job's scratch, and put on the path of modules.

A zip is untrusted input: nothing that it says of itself is believed before it is checked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.metadata import Distribution, distributions
from pathlib import Path

from millrace.errors import CodePackageError, ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.request.code_package import (
    MAX_PACKED_BYTES,
    MAX_UNPACKED_BYTES,
    MODULES,
    PACKAGES,
    PackageRecord,
    digest_in,
)
from millrace.request.code_zip import DAMAGED, checked_zip
from millrace.s3.verbs import S3
from millrace.settings import machine

CHUNK_BYTES = 1 << 20

_NAMES_THAT_CANNOT_BE = {errno.EINVAL, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT}
"""An offset before the file's beginning; a file where another name needs a folder; a name that is too long."""


@dataclass(frozen=True)
class TakenCode:
    """The code that this process runs.

    Attributes:
        sha256: The zip's digest.
        folder: Where it is unpacked.
    """

    sha256: str
    folder: str

    @property
    def modules(self) -> str:
        """The folder of the user's own modules."""
        return os.path.join(self.folder, MODULES.rstrip("/"))  # noqa: PTH118 - an entry of sys.path

    @property
    def packages(self) -> str:
        """The folder of what they need."""
        return os.path.join(self.folder, PACKAGES.rstrip("/"))  # noqa: PTH118 - as above


_taken: TakenCode | None = None


def taken_code() -> TakenCode | None:
    """The code from outside that this process runs; None where the image has the run's code."""
    return _taken


def take_code(code: str | None, s3: S3) -> None:
    """Have the run's code, and no other run's, where imports find it.

    Python's own modules come first, then those of the zip, then its dependencies, then what the image has. So the zip's
    version of a dependency is imported, not the image's. What the job has at work already stays at work; where the zip
    has another version of that, the run is refused.

    Args:
        code: The zip's URI; None where the image has the run's code.
        s3: What to fetch it with.

    Raises:
        CodePackageError: It is missing, altered, damaged, too large, for another Python or machine, or has a file that
            would lie elsewhere, or another version of what the job itself has at work.
        StorageError: It cannot be read.
    """
    global _taken  # noqa: PLW0603 - sys.path is this process's, too
    if code is not None and _taken is not None and _taken.sha256 == digest_in(code):
        return
    if _taken is not None:
        _leave(_taken)
        _taken = None
    if code is None:
        return
    taken = TakenCode(digest_in(code), tempfile.mkdtemp(prefix="millrace-code-"))
    try:
        unpack(_fetched(code, s3, Path(taken.folder)), Path(taken.folder), code)
        _check_versions(taken.packages, code)
    except BaseException:
        shutil.rmtree(taken.folder, ignore_errors=True)
        raise
    own = _pythons_own()
    sys.path[:] = [
        *(place for place in sys.path if place in own),
        taken.modules,
        taken.packages,
        *(place for place in sys.path if place not in own),
    ]
    invalidate_caches()
    _taken = taken


def _leave(taken: TakenCode) -> None:
    """Forget code: its folders, its files, and the modules that came from there."""
    sys.path[:] = [place for place in sys.path if place not in {taken.modules, taken.packages}]
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(taken.folder + os.sep):
            del sys.modules[name]
    shutil.rmtree(taken.folder, ignore_errors=True)


def _fetched(code: str, s3: S3, folder: Path) -> Path:
    """The zip as a file, whose bytes have the digest that its name says."""
    uri, path, digest, size = S3Uri.parse(code, "code"), folder / "code.zip", hashlib.sha256(), 0
    try:
        with s3.open(uri) as chunks, path.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > MAX_PACKED_BYTES:
                    raise _refused(f"it is larger than {MAX_PACKED_BYTES:,} bytes", code)
                digest.update(chunk)
                file.write(chunk)
    except ObjectNotFoundError:
        raise _refused("it is not there; upload it again: millrace run --code", code) from None
    if digest.hexdigest() != digest_in(code):
        raise _refused(
            f"its bytes have the SHA-256 {digest.hexdigest()}, so it was altered; delete it and upload it again: "
            "millrace run --code",
            code,
        )
    return path


def unpack(path: Path, folder: Path, name: str) -> PackageRecord:
    """Unpack a zip of code, and delete it.

    Args:
        path: The zip.
        folder: Where to.
        name: What errors call it.

    Raises:
        CodePackageError: It is no zip of code, is too large unpacked, has a file that would lie elsewhere, a link, or
            is for another Python or machine.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            record, files = checked_zip(archive, name)
            _check_machine(record, name)
            left = MAX_UNPACKED_BYTES
            for found in (each for each in files if each.filename.startswith((MODULES, PACKAGES))):
                left -= _unpack_file(archive, found, folder / found.filename, left, name)
    except DAMAGED as error:
        raise _refused(f"it cannot be unpacked: {error}", name) from error
    except OSError as error:
        if error.errno not in _NAMES_THAT_CANNOT_BE:
            raise  # the host's: a full disk, say
        raise _refused(f"it cannot be unpacked: {error}", name) from error
    for part in (MODULES, PACKAGES):
        (folder / part).mkdir(exist_ok=True)
    path.unlink()
    return record


def _unpack_file(archive: zipfile.ZipFile, found: zipfile.ZipInfo, path: Path, left: int, name: str) -> int:
    """Unpack a file of at most so many bytes; how many it has. What the zip says of its size is not believed."""
    size = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(found) as packed, path.open("xb") as file:
        while chunk := packed.read(CHUNK_BYTES):
            size += len(chunk)
            if size > left:
                raise _refused(f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes", name)
            file.write(chunk)
    return size


def _check_machine(record: PackageRecord, name: str) -> None:
    here = (f"{sys.version_info.major}.{sys.version_info.minor}", machine())
    if record.python and (record.python, record.platform) != here:
        raise _refused(
            f"its dependencies are for Python {record.python} on {record.platform}, and the job has Python {here[0]} "
            f"on {here[1]}; pack it for that: millrace run --code … --code-python {here[0]} --code-platform {here[1]}",
            name,
        )


def _check_versions(packages: str, name: str) -> None:
    """See that what the job has at work already is not there in another version."""
    image = {_key(found): found.version for found in reversed(list(distributions(path=sys.path)))}
    clashes = [
        f"{found.metadata['Name']}=={image[_key(found)]} (the zip has {found.version})"
        for found in distributions(path=[packages])
        if image.get(_key(found), found.version) != found.version and _modules_of(found) & sys.modules.keys()
    ]
    if clashes:
        raise _refused(
            f"the job itself works with other versions of what it brings. Put into its requirements: "
            f"{', '.join(sorted(clashes))}",
            name,
        )


def _key(found: Distribution) -> str:
    """A package's name, whatever the spelling (packaging.python.org, name normalization)."""
    return re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower()


def _modules_of(found: Distribution) -> set[str]:
    return {
        str(file).partition("/")[0].partition(".")[0] for file in found.files or () if ".dist-info/" not in str(file)
    }


def _pythons_own() -> set[str]:
    """The entries of sys.path that are the standard library's."""
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return {
        place
        for place in sys.path
        if place in library
        or os.path.basename(place) == "lib-dynload"  # noqa: PTH119 - entries of sys.path are texts
        or re.fullmatch(r"python3\d+\.zip", os.path.basename(place))  # noqa: PTH119 - as above
    }


def _refused(why: str, name: str) -> CodePackageError:
    return CodePackageError(why, operation="take the code", target=name)
