"""An S3 in memory with buckets of somebody else's, who has requesters pay."""

from __future__ import annotations

from typing import Any

from tests.in_memory_s3 import InMemoryS3Client, error


class RequesterPaysClient(InMemoryS3Client):
    """Refuses to read such a bucket for nothing, as S3 does (S3 user guide, Requester Pays), and counts who pays.

    Args:
        buckets: The names of the buckets there are.
        requester_pays: Those of them that are read on the bill of who asks.

    Attributes:
        charged: The requests that said who pays, each with its bucket.
    """

    def __init__(self, *buckets: str, requester_pays: str) -> None:
        super().__init__(*buckets, requester_pays)
        self.requester_pays = requester_pays
        self.charged: list[tuple[str, str]] = []

    def get_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """GetObject."""
        return super().get_object(Bucket=Bucket, Key=Key, **self._billed("GetObject", Bucket, given))

    def head_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """HeadObject."""
        return super().head_object(Bucket=Bucket, Key=Key, **self._billed("HeadObject", Bucket, given))

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", **given: Any) -> dict[str, Any]:  # noqa: N803
        """ListObjectsV2."""
        return super().list_objects_v2(Bucket=Bucket, Prefix=Prefix, **self._billed("ListObjectsV2", Bucket, given))

    def copy_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """CopyObject: on the bill of who asks where the source is such a bucket."""
        return super().copy_object(
            Bucket=Bucket, Key=Key, **self._billed("CopyObject", given["CopySource"]["Bucket"], given)
        )

    def _billed(self, operation: str, bucket: str, given: dict[str, Any]) -> dict[str, Any]:
        payer = given.pop("RequestPayer", None)
        if payer is None and bucket == self.requester_pays:
            raise error("AccessDenied", 403, operation, "Access Denied")
        if payer is not None:
            assert (payer, bucket) == ("requester", self.requester_pays), "it was not asked to pay for this one"
            self.charged.append((operation, bucket))
        return given
