"""Which AWS and which stack a verb is for.

One rule, in this order:

1. `--local`: the embedded AWS of this checkout (or of `--state-dir`), which must be up.
2. `--profile`, `--region`, `--stack` or `--config-env`: AWS.
3. `AWS_ENDPOINT_URL` names this machine, as after `$(millrace local up)`: the embedded AWS there.
4. Else AWS, with what samconfig.toml says; for a `local` verb the embedded AWS of this checkout.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from console import embedded_aws
from console.checkout import Checkout
from console.errors import NotACheckoutError, ServerDownError, StackNotFoundError
from console.find.aws import Aws
from console.find.sam_config import SamConfig
from console.find.stack import LOCAL_STACK, Stack
from millrace.settings import aws_region

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Target:
    """An AWS and a stack on it.

    Attributes:
        aws: The AWS.
        stack_name: The stack's name.
        flags: The user's own flags that lead here, for command lines to paste: "--local", or "".
        state: The state folder of the embedded AWS; None on AWS, and where another checkout's is meant.
    """

    aws: Aws
    stack_name: str
    flags: str = ""
    state: Path | None = None

    @classmethod
    def choose(
        cls,
        *,
        local: bool = False,
        state_dir: Path | None = None,
        profile: str | None = None,
        region: str | None = None,
        stack: str | None = None,
        config_env: str | None = None,
        usually_local: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> Target:
        """Apply the rule above; `usually_local` is for a `local` verb.

        Raises:
            ServerDownError: The embedded AWS is meant and not up.
            InvalidRunRequest: samconfig.toml has no such environment.
        """
        named = {"profile": profile, "region": region, "stack": stack, "config-env": config_env}
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        endpoint_url = environ.get("AWS_ENDPOINT_URL", "")
        embedded = not words and urlsplit(endpoint_url).hostname in LOOPBACK
        if local or state_dir is not None or (usually_local and not words and not embedded):
            words = [] if stack is None else [f"--stack={stack}"]
            words = [f"--state-dir={state_dir}" if state_dir is not None else "--local", *words]
            state = Checkout.here(state_dir).state
            return cls(Aws.embedded(_running(state_dir)), stack or LOCAL_STACK, shlex.join(words), state)
        if embedded:
            server = _own_server()  # finding it reads its credentials, too
            ours = server is not None and urlsplit(server.endpoint_url).port == urlsplit(endpoint_url).port
            return cls(Aws.embedded(endpoint_url), LOCAL_STACK, state=Checkout.here().state if ours else None)
        config = SamConfig.read(config_env)
        aws = Aws(region=region or config.region or aws_region(environ), profile=profile or config.profile)
        return cls(aws, stack or config.stack_name, shlex.join(words))

    @cached_property
    def stack(self) -> Stack:
        """The stack.

        Raises:
            StackNotFoundError: It is not there, or not in a state to be used.
        """
        try:
            return Stack.find(self.aws, self.stack_name)
        except StackNotFoundError as error:
            if self.aws.endpoint_url is None and _own_server() is not None:
                raise StackNotFoundError(
                    f"{error.message}. The embedded AWS of this checkout is up: --local means that one",
                    operation=error.operation,
                    target=error.target,
                ) from None
            raise

    @property
    def public_buckets(self) -> frozenset[str]:
        """The stack's buckets of public data; none where there is no stack yet."""
        try:
            return self.stack.public_buckets
        except StackNotFoundError:
            return frozenset()

    @property
    def is_local(self) -> bool:
        """Whether this is an embedded AWS."""
        return self.aws.endpoint_url is not None

    def command(self, verb: str, *words: str) -> str:
        """A command line to paste: `millrace status 2026… --local`."""
        return " ".join(part for part in ("millrace", verb, shlex.join(words), self.flags) if part)


def _running(state_dir: Path | None) -> str:
    checkout = Checkout.here(state_dir)
    server = embedded_aws.find(checkout.state)
    if server is None:
        raise ServerDownError(
            "the embedded AWS is not up; start it: millrace local deploy",
            operation="find it",
            target=str(checkout.state),
        )
    return server.endpoint_url


def _own_server() -> embedded_aws.EmbeddedAws | None:
    """The embedded AWS of this checkout, where it is up; None also where there is no checkout."""
    try:
        return embedded_aws.find(Checkout.here().state)
    except NotACheckoutError:
        return None
