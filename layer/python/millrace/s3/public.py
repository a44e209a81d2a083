"""Reading buckets of public data without credentials.

A bucket that everyone may read belongs to somebody else, whose policy knows nothing of the stack's roles: S3 asks no
rights of a request that is not signed, and a role needs none for it.
"""

from __future__ import annotations

from typing import Any

READS = frozenset({"GetObject", "HeadBucket", "HeadObject", "ListObjectsV2"})
"""What goes unsigned. A copy within S3, which writes, stays signed, and so does what reads the tags for it."""

_UNSIGNED = "millrace_unsigned"


def read_unsigned(client: Any, buckets: frozenset[str]) -> None:
    """Let a botocore S3 client send its reads of these buckets unsigned, as `signature_version=UNSIGNED` would.

    Args:
        client: The client; all its other requests are signed as before.
        buckets: The buckets' names.
    """
    if not buckets:
        return
    # Imported here: a job that only prints its help, or refuses its arguments, starts in a tenth of the time.
    from botocore import UNSIGNED  # noqa: PLC0415

    def note(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context[_UNSIGNED] = model.name in READS and params.get("Bucket") in buckets

    def choose(context: dict[str, Any], **_: Any) -> object:
        return UNSIGNED if context.get(_UNSIGNED) else None

    client.meta.events.register("provide-client-params.s3", note)
    client.meta.events.register("choose-signer.s3", choose)
