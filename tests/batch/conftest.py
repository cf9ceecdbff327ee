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
    gc.freeze()  # what is there now is none of this test's, and to look through it takes 0.2 s
    before = Belongings.now()
    yield
    gc.collect()
    assert not Belongings.now().more_than(before)
