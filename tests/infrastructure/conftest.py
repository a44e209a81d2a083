"""A checkout to plant faults in, one for each test or one for a whole module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infrastructure.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of the template, the state machine and the names of the files that belong to them."""
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the module's CHECK finds, a line each, in one copy with all its PLANTS: a linter's run takes seconds."""
    planted = Checkout(tmp_path_factory.mktemp("planted"))
    for plant in request.module.PLANTS:
        plant.edit(planted)
    return "\n".join(map(str, request.module.CHECK(planted.sources())))
