"""What most tests of batches need."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _workers_are_born_at_once(nursery: None) -> None:
    """Not after seconds, whatever came before."""
