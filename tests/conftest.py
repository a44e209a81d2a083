"""How the tests are spread over processes: those that share something costly go to one of them, together."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SHARING = {
    "tests/workflow/test_permissions.py": "the stack under IAM",
    "tests/workflow/test_stacks.py": "the stack under IAM",
    "tests/workflow/": "the stack",
    "tests/conformance/": "the server",
    "tests/statemachine/": "the state machine",
    "tests/infrastructure/test_real_account.py": "the rehearsal's folder",
    "tests/simulation/test_simulation.py": "the first seeds",
}
"""What the tests of a file or folder share; the first that fits counts. What is missing costs time, no more."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives processes one test at a time, and those that share something all at once.

    It goes by paths: under pytest 9.2 the marks of `--dist=loadgroup` have no effect (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for path, shared in SHARING.items() if nodeid.startswith(path)), nodeid)


PACKED = {b"\x1f\x8b": "gzip", b"PK": "zip"}
"""How files begin that hold the time at which they were packed."""


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a packed file by its format: named by its bytes, a test would have another name in every process."""
    return next((name for begin, name in PACKED.items() if isinstance(val, bytes) and val.startswith(begin)), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """The above, in the order of `testpaths`: the longest first."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)
