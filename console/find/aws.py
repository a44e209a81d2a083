"""Where AWS is: the one place that makes clients, on AWS or on the embedded AWS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from console import embedded_aws
from millrace.s3.client import read_pages_fast
from millrace.s3.public import read_unsigned
from millrace.s3.requests import BotocoreRequests
from millrace.s3.verbs import S3

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_stepfunctions import SFNClient

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

LOCAL_REGION = embedded_aws.REGION
"""The region that the embedded AWS plays."""

CONNECTIONS = 32
"""How many requests of one client may be under way."""


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for many small calls; calls not started when the block ends, as by Ctrl-C, are dropped."""
    pool = ThreadPoolExecutor(CONNECTIONS // 2)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def read_for(
    seconds: float, things: Sequence[Thing], read: Callable[[Thing], Answer]
) -> Iterator[tuple[Thing, Answer]]:
    """Read things by many threads, in their order, until so much time has passed; the first few in any case.

    Args:
        seconds: How long; infinity for all of them.
        things: What is read, in this order.
        read: Reads one.
    """
    until = time.monotonic() + seconds
    with workers() as pool:
        for first in range(0, len(things), CONNECTIONS):
            some = things[first : first + CONNECTIONS]
            yield from zip(some, pool.map(read, some), strict=True)
            if time.monotonic() >= until:
                return


@dataclass(frozen=True)
class Aws:
    """An AWS to talk to. Clients are made when first asked for: boto3 takes 0.3 s to load.

    Attributes:
        region: The region's name.
        endpoint_url: The embedded AWS's address; None for AWS itself, with the user's own credentials.
        profile: The profile of the user's AWS configuration; None for the default chain.
    """

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    @classmethod
    def embedded(cls, endpoint_url: str) -> Aws:
        """The embedded AWS at this address."""
        return cls(region=LOCAL_REGION, endpoint_url=endpoint_url)

    @cached_property
    def s3(self) -> S3:
        """S3, by Millrace's own verbs."""
        return S3(BotocoreRequests(self._s3_client()))

    def s3_reading(self, public: frozenset[str]) -> S3:
        """S3 as a run's source is read: buckets of public data without credentials.

        Args:
            public: Their names.
        """
        if not public:
            return self.s3
        client = self._s3_client()
        read_unsigned(client, public)
        return S3(BotocoreRequests(client))

    def _s3_client(self) -> Any:
        """A client of S3 for Millrace's verbs: ten times as fast with a listing as `client` makes it."""
        client = self.client("s3")
        read_pages_fast(client)
        return client

    @cached_property
    def step_functions(self) -> SFNClient:
        """Step Functions."""
        client: SFNClient = self.client("stepfunctions")
        return client

    @cached_property
    def batch(self) -> BatchClient:
        """Batch."""
        client: BatchClient = self.client("batch")
        return client

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs."""
        client: CloudWatchLogsClient = self.client("logs")
        return client

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation."""
        client: CloudFormationClient = self.client("cloudformation")
        return client

    def client(self, service: str) -> Any:
        """A boto3 client of a service."""
        from botocore.config import Config  # noqa: PLC0415 - as above

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            max_pool_connections=CONNECTIONS,
            user_agent_extra="millrace",
        )
        if self.endpoint_url is None:
            return self._session.client(service, config=config)
        # A path-style bucket needs no DNS; loopback must not be asked of a proxy, nor proven by a certificate.
        config = config.merge(Config(s3={"addressing_style": "path"}, proxies={}))
        found = embedded_aws.credentials(self.endpoint_url)
        return _session_without_configuration().create_client(
            service,
            self.region,
            endpoint_url=self.endpoint_url,
            verify=True,
            config=config,
            aws_access_key_id=found.access_key,
            aws_secret_access_key=found.secret_key,
        )

    @cached_property
    def _session(self) -> Any:
        import boto3  # noqa: PLC0415 - `millrace --help` must not wait for it

        return boto3.Session(region_name=self.region, profile_name=self.profile)


@cache
def _session_without_configuration() -> Any:
    """A botocore session that takes nothing from the user: no variables, no profile, no file, no models of their own.

    Each setting is botocore's default, so that an unreadable ~/.aws/config, or one that asks for accelerated buckets
    or other endpoints, changes nothing on the embedded AWS.
    """
    import botocore.configprovider as settings  # noqa: PLC0415 - `millrace --help` must not wait for it
    import botocore.session  # noqa: PLC0415 - as above
    from botocore.loaders import Loader  # noqa: PLC0415 - as above

    defaults = {name: default for name, (_, _, default, _) in settings.BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    defaults |= {"config_file": os.devnull, "credentials_file": os.devnull}
    constants = {name: settings.ConstantProvider(default) for name, default in defaults.items()}
    session = botocore.session.Session()
    session.register_component("config_store", settings.ConfigValueStore(constants))
    session.register_component("data_loader", Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False))
    return session
