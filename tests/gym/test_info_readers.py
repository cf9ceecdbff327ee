"""All that is read from a simulator's ``info``."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.gym.info_reader import InfoReader
from envcli.gym.info_readers import InfoReaders
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite, Unbounded

SHOWN = Composite(observation=Unbounded([1]))


def test_none_reads_nothing() -> None:
    buffer = RolloutBuffer.allocate({}, 1, torch.Size([]))
    assert InfoReaders().writer(buffer, ()) is None
    assert InfoReaders().added_to(SHOWN, None) == SHOWN


def test_the_later_one_wins() -> None:
    one, other = InfoReader(["a", "b"]), InfoReader(["b"], [Unbounded([2])])
    readers = InfoReaders().and_then(one).and_then(other)
    assert readers.added_to(SHOWN, None) == Composite(observation=Unbounded([1]), a=Unbounded([]), b=Unbounded([2]))
    with pytest.raises(SpecError, match=r"the observation already has \['b'\]"):
        readers.added_to(Composite(b=Unbounded([1])), None)
