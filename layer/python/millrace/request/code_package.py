"""A run's code from outside: a zip that the command packs and the jobs unpack, named by its content.

It holds `millrace.json` (`PackageRecord`), `requirements.lock`, the user's modules in `code/` and what they need in
`packages/`. It lies at `{folder}_millrace/code/{sha256}.zip` of the result bucket and is never changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from millrace.errors import CodePackageError, InvalidRunRequest
from millrace.json_text import read_json
from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.workload.registry import is_own_workload

MAX_PACKED_BYTES = 250_000_000
"""The largest zip."""
MAX_UNPACKED_BYTES = 1_000_000_000
"""What all files of a zip may come to: a job has a disk of 20 GB and unpacks it at each start."""
MAX_FILES = 50_000
"""How many files a zip may hold."""

RECORD, LOCK, MODULES, PACKAGES = "millrace.json", "requirements.lock", "code/", "packages/"
"""What is in a zip: two files, and two folders."""

ALLOWED_NAME = "code"
"""The entry of AllowedWorkloads that lets code from outside run; `*` does, too. No workload has this name."""

_FORM = re.compile(r"(?:.*/)?_millrace/code/(?P<sha256>[0-9a-f]{64})\.zip", re.DOTALL)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PackageRecord:
    """What a zip says of itself.

    Attributes:
        workload: The workload that it was packed for: `package.module:name`.
        python: The Python that its dependencies are for, "3.12"; empty where it has none.
        platform: The machine that they are for, as `platform.machine()` has it: "x86_64"; empty where it has none.
        format: Of the zip.
    """

    workload: str
    python: str = ""
    platform: str = ""
    format: int = _FORMAT

    def to_json(self) -> bytes:
        """`millrace.json`."""
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes, name: str) -> PackageRecord:
        """Read `millrace.json`.

        Args:
            text: The file.
            name: The zip, for the error.

        Raises:
            CodePackageError: It is no such file, or one of another format.
        """
        try:
            found = cls(**read_json(text))
        except (ValueError, TypeError) as error:
            raise CodePackageError(f"its {RECORD} cannot be read: {error}", operation="read", target=name) from error
        texts = (found.workload, found.python, found.platform)
        if found.format != _FORMAT or not all(isinstance(text, str) for text in texts):
            raise CodePackageError(
                f"it has the format {found.format!r}, and only {_FORMAT} is known; pack it with this version: "
                "millrace package",
                operation="read",
                target=name,
            )
        return found


def code_uri(folder: S3Uri, sha256: str) -> S3Uri:
    """Where a zip lies.

    Args:
        folder: The result bucket, and the stack's ResultPrefix.
        sha256: The zip's digest, 64 digits.
    """
    return folder.join(f"{RESERVED_FOLDER}code/{sha256}.zip")


def digest_in(code: str) -> str:
    """The SHA-256, 64 digits, that a checked URI names."""
    found = _FORM.fullmatch(S3Uri.parse(code, "code").key)
    if found is None:
        raise _not_code(code)
    return found["sha256"]


def checked_code(value: object, source: S3Uri, destination: S3Uri, workload: str) -> str | None:
    """The request's field `code`.

    Args:
        value: What was given; None for none.
        source: The run's source: those who may upload data must not be able to upload code.
        destination: The run's destination, whose bucket the zip must be in.
        workload: The run's workload, which the zip must hold.

    Raises:
        InvalidRunRequest: It names no zip of code, one in another bucket or in the source, or the workload is none of a
            module.
    """
    if value is None:
        return None
    uri = S3Uri.parse(value, "code")
    digest_in(str(uri))
    if uri.bucket != destination.bucket:
        raise InvalidRunRequest("code", value, f"a zip in the destination's bucket, s3://{destination.bucket}/")
    if source.contains(uri):
        raise InvalidRunRequest("code", value, f"a zip outside the source, {source}")
    if not is_own_workload(workload) or ":" not in workload:
        raise InvalidRunRequest(
            "workload", workload, "with code, a function or class of a module that it holds, as package.module:name"
        )
    return str(uri)


def check_code_allowed(code: str | None, allowed: Sequence[str]) -> None:
    """See that this deployment lets code from outside run.

    Args:
        code: The request's `code`; None is always allowed.
        allowed: The entries of AllowedWorkloads: one must be `*` or `code`, as it stands.

    Raises:
        InvalidRunRequest: None is.
    """
    if code is not None and not {"*", ALLOWED_NAME} & set(allowed):
        raise InvalidRunRequest(
            "code",
            code,
            f"none: the stack's parameter AllowedWorkloads has neither {ALLOWED_NAME} nor *, so only code of the image "
            "runs",
        )


def _not_code(value: object) -> InvalidRunRequest:
    return InvalidRunRequest(
        "code", value, "s3://BUCKET/…/_millrace/code/SHA256.zip, as `millrace run --code FOLDER` uploads and names it"
    )
