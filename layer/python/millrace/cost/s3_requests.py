"""How many requests a run makes to S3, derived from its work: S3 itself counts them only for the bill."""

from __future__ import annotations

from dataclasses import dataclass

GET_PER_SHARD = 4
"""The shard file, the commit, which is looked for and read by merge, the partial."""

PUT_PER_SHARD = 5
"""The shard file, the claim, the partial, the commit; and the listing of what earlier attempts saved, which costs the
same. A child of its own claims nothing, but one of an array lists commits and claims when it begins to help."""

REQUESTS_PER_RUN = 12
"""What the functions, plan and merge write besides."""

LIST_PAGE = 1000
"""ListObjectsV2: as many keys as one request gives."""


@dataclass(frozen=True, slots=True)
class S3Requests:
    """Requests by price: PUT, COPY, POST and LIST, and all others."""

    put: float
    get: float

    @classmethod
    def of(cls, *, listed: int, items: float, shards: float, outputs: float) -> S3Requests:
        """The requests of a run; there are more where an output goes in parts, or S3 is asked again.

        Args:
            listed: How many objects the plan listed.
            items: How many items were worked.
            shards: In how many shards.
            outputs: How many objects each item writes.
        """
        return cls(
            put=items * outputs + shards * PUT_PER_SHARD + listed / LIST_PAGE + REQUESTS_PER_RUN,
            get=items + shards * GET_PER_SHARD + REQUESTS_PER_RUN,
        )
