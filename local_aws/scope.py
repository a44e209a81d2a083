"""Account and region: what an AWS request is made in, and what its ARNs carry."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """One account in one region."""

    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
