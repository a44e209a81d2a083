"""A checkout to plant faults in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infrastructure.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of the template, the state machine and the names of the files that belong to them."""
    return Checkout(tmp_path)
