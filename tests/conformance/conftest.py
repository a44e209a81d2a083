"""One embedded AWS for all tests, with waiting cut short and nothing else changed; or `make test-aws`'s account."""

import sys
from collections.abc import Iterator

import pytest

from console import embedded_aws
from tests.aws.account import RealAccount
from tests.conformance.account import Account

OPTIONS = (
    "--attempt-seconds-scale=0.01",  # the minimum of 60 seconds becomes 0.6
    "--stop-grace-seconds=0.5",
    "--wait-scale=0.02",
    "--schedule-scale=0.02",  # the minimum of a minute becomes 1.2 seconds
    "--max-jobs=4",
    f"--job-python={sys.executable}",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded_aws.EmbeddedAws]:
    """A server on a free port."""
    python = embedded_aws.server_python()
    if not python.exists():
        pytest.skip(f"{python} does not exist: `make install` makes it")
    with embedded_aws.running(0, state_dir=tmp_path_factory.mktemp("embedded_aws"), options=OPTIONS) as running:
        yield running


@pytest.fixture(scope="session")
def account(request: pytest.FixtureRequest) -> Account:
    """An account on it; under `make test-aws`, which brings a target along, that account."""
    if request.config.pluginmanager.hasplugin("tests.aws.plugin"):
        return RealAccount(request.getfixturevalue("target"))
    return Account(request.getfixturevalue("server").endpoint_url)


@pytest.fixture(scope="session")
def queue(account: Account) -> str:
    """A queue that most tests share."""
    return account.queue()
