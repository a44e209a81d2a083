"""The zip of a user's code: made so that the same files give the same bytes, and uploaded once."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from console.packing.dependencies import JobMachine, install, required_by
from console.packing.files import packed_files, refused
from console.packing.place import find_code
from millrace.errors import ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.reproducible_zip import reproducible_zip
from millrace.request.code_package import (
    LOCK,
    MAX_FILES,
    MAX_PACKED_BYTES,
    MAX_UNPACKED_BYTES,
    MODULES,
    PACKAGES,
    RECORD,
    PackageRecord,
    code_uri,
)
from millrace.request.code_zip import DAMAGED, checked_zip
from millrace.s3.verbs import S3
from millrace.text import bytes_text, plural, visible

_OF_THIS_MACHINE = {"direct_url.json", "uv_cache.json", "INSTALLER", "REQUESTED"}
"""What an installer notes beside a package; RECORD lists it, and is cut accordingly."""
_LEVEL = 1
"""numpy takes a third of the time that it takes with 6, and a tenth more room: users wait for the one at each run."""


@dataclass(frozen=True)
class CodePackage:
    """A zip.

    Attributes:
        body: Its bytes.
        workload: What a run of it names, `package.module:name`.
        files: How many files of the user's own are in it.
        packages: How many packages are.
        results: Folders in it that hold results of runs, as `millrace local run` leaves them: they are no code.
    """

    body: bytes
    workload: str
    files: int = 0
    packages: int = 0
    results: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest that names it, 64 digits."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def described(self) -> str:
        """What is in it, in words."""
        brought = f", {plural(self.packages, 'package')}" if self.packages else ""
        held = f"{plural(self.files, 'file')}{brought}, " if self.files else ""
        return f"{self.workload} ({held}{bytes_text(len(self.body))})"


def workload_of(given: str, workload: str | None) -> str:
    """The workload that `--code` names, without packing anything.

    Raises:
        CodePackageError: There is none, or several.
    """
    return _ready_made(Path(given), workload).workload if _is_zip(given) else find_code(given, workload).workload


def pack(given: str, workload: str | None, job: JobMachine, *, output: Path | None = None) -> CodePackage:
    """Pack a user's code.

    Args:
        given: What `--code` was given; the name of a zip that `millrace package` made is taken as it is.
        workload: What `--workload` was given, or None.
        job: Where it will run.
        output: The file that the zip is for: an earlier one is not packed.

    Raises:
        CodePackageError: It cannot be packed, or is too large.
        ToolMissingError: uv is needed and not installed.
    """
    if _is_zip(given):
        return _ready_made(Path(given), workload)
    place = find_code(given, workload)
    old = None if output is None else output.resolve()
    own = [(MODULES + label, path) for label, path in packed_files(place.folder) if path != old]
    required = required_by(place, job)
    with tempfile.TemporaryDirectory(prefix="millrace-package-") as scratch:
        folder = Path(scratch, "packages")
        lock = install(required, folder, job) if required else b""
        brought = list(_installed(folder)) if lock else []
        record = PackageRecord(place.workload, job.python, job.machine) if brought else PackageRecord(place.workload)
        _check_sizes([*own, *brought], given)
        made = reproducible_zip([(RECORD, record.to_json()), (LOCK, lock)], [*own, *brought], _LEVEL)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        checked_zip(archive, visible(given))
    if len(made) > MAX_PACKED_BYTES:
        raise refused(f"the zip has {bytes_text(len(made))}; the most is {bytes_text(MAX_PACKED_BYTES)}", given)
    packages = sum(label.endswith(".dist-info/METADATA") for label, _ in brought)
    return CodePackage(made, place.workload, len(own), packages, _results({label for label, _ in own}))


def upload(package: CodePackage, s3: S3, folder: S3Uri) -> tuple[str, bool]:
    """Upload a zip, unless it is there.

    Args:
        package: The zip.
        s3: The S3.
        folder: The result bucket, and the stack's ResultPrefix.

    Returns:
        Its URI, and whether it was uploaded.
    """
    uri = code_uri(folder, package.sha256)
    try:
        if s3.head(uri).size == len(package.body):
            return str(uri), False
    except ObjectNotFoundError:
        pass
    return str(uri), s3.put_if_absent(uri, package.body, content_type="application/zip")


def _results(labels: set[str]) -> tuple[str, ...]:
    """The folders that have what every result has."""
    folders = [label.removesuffix("/report.csv") for label in labels if label.endswith("/report.csv")]
    return tuple(sorted(folder.removeprefix(MODULES) for folder in folders if f"{folder}/result.json" in labels))


def _is_zip(given: str) -> bool:
    return given.endswith(".zip") and Path(given).is_file()


def _ready_made(path: Path, workload: str | None) -> CodePackage:
    """A zip that `millrace package` made: what the jobs would refuse of its names is refused before it is sent."""
    if path.stat().st_size > MAX_PACKED_BYTES:
        raise refused(f"it has more than {bytes_text(MAX_PACKED_BYTES)}", str(path))
    body = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            record, _ = checked_zip(archive, visible(str(path)))
    except (*DAMAGED, OSError) as error:
        raise refused(f"it is no zip that millrace package made: {error}", str(path)) from None
    return CodePackage(body, workload if workload is not None and ":" in workload else record.workload)


def _installed(folder: Path) -> Iterator[tuple[str, Path]]:
    """What wheels brought, but for commands and what names this machine."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] != "bin" and "__pycache__" not in relative.parts:
            if path.name in _OF_THIS_MACHINE and relative.parts[0].endswith(".dist-info"):
                continue
            if path.name == "RECORD" and relative.parts[0].endswith(".dist-info"):
                _cut_record(path, folder)
            if relative.as_posix() != ".lock":
                yield PACKAGES + relative.as_posix(), path


def _cut_record(record: Path, folder: Path) -> None:
    """Leave out of a RECORD what is not packed."""
    lines = record.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not _is_left_out(line.partition(",")[0].strip('"'), folder)]
    record.write_text("".join(sorted(kept)), "utf-8")


def _is_left_out(name: str, folder: Path) -> bool:
    parts = name.split("/")
    return parts[0] in {"bin", ".."} or parts[-1] in _OF_THIS_MACHINE or not (folder / name).is_file()


def _check_sizes(files: list[tuple[str, Path]], given: str) -> None:
    total = sum(path.stat().st_size for _, path in files)
    if total > MAX_UNPACKED_BYTES or len(files) > MAX_FILES:
        raise refused(
            f"with its packages it has {bytes_text(total)} in {len(files):,} files; the most is "
            f"{bytes_text(MAX_UNPACKED_BYTES)} in {MAX_FILES:,}",
            given,
        )
