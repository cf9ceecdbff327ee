"""What most tests of batches need."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.batch.faults import Belongings


@pytest.fixture(autouse=True)
def _workers_are_born_at_once(fork_server: None) -> None:
    """Not after seconds, whatever came before."""


@pytest.fixture
def nothing_left(fork_server: None) -> Iterator[None]:
    """After the test this process has no other children, files and shared memory than before."""
    gc.collect()
    before = Belongings.now()
    yield
    gc.collect()
    assert not Belongings.now().more_than(before)
