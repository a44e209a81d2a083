"""The code of a run, as plan and commits name it: a text that differs wherever a run's rows might, for the code's sake.

`0.1.0+jobs.1f…` holds the digest of the packages batch_jobs and millrace; `image.2e…` follows where the deployment
names the image by its digest, and `own.3d…` where the workload is a user's own, or `code.4c…`, the digest of the zip,
where that came with the run (`millrace.request.code_package`). A job computes the digests
(`batch_jobs.code_identity`); a Lambda has that of the jobs from the build of its layer.
"""

from __future__ import annotations

import re

_PARTS = {
    "version": "Millrace's version",
    "jobs": "the code of the jobs",
    "image": "the image",
    "own": "the code of the workload's own package or folder",
    "code": "the zip of the workload's code",
}
_FORM = re.compile(
    r"(?P<version>.*)\+jobs\.(?P<jobs>\w+)(\.image\.(?P<image>\w+))?(\.(own\.(?P<own>\w+)|code\.(?P<code>\w+)))?",
    re.DOTALL,
)
_IMAGE = re.compile(r"@sha256:([0-9a-f]{64})$")
SHOWN_DIGITS = 16
"""So many digits of a digest are enough to distinguish two codes."""


def code_text(version: str, jobs: str, image: str) -> str:
    """The identity of the code that comes with Millrace.

    Args:
        version: Millrace's version.
        jobs: The digest of the packages batch_jobs and millrace.
        image: The job image, NAME@sha256:DIGEST; one without a digest does not count.
    """
    found = _IMAGE.search(image)
    return f"{version}+jobs.{jobs}" + (f".image.{found[1][:SHOWN_DIGITS]}" if found else "")


def what_differs(was: str, now: str) -> str:
    """In words, which parts of two identities differ."""
    one, other = _parts(was), _parts(now)
    differing = [words for part, words in _PARTS.items() if one.get(part) != other.get(part)]
    return f"{' and '.join(differing) or 'the code'} changed"


def _parts(identity: str) -> dict[str, str | None]:
    found = _FORM.fullmatch(identity)
    return found.groupdict() if found else {"version": identity}
