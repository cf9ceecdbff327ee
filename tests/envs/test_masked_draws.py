from __future__ import annotations

import pytest
import torch

from envcli.envs.masked_draws import MaskedDraws
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Categorical, OneHot

ROWS = 6000
MASK = [[True, False, True, True], [False, True, False, False], [False, False, False, False]]


def drawn(leaf: Categorical | OneHot, dtype: torch.dtype = torch.bool) -> torch.Tensor:
    """``[ROWS, 3]``: choices of three agents, whose masks are always ``MASK``."""
    mask = torch.tensor(MASK).to(dtype)
    layout = {("action",): (leaf.shape, leaf.dtype), ("mask",): (mask.shape, mask.dtype)}
    buffer = RolloutBuffer.allocate(layout, ROWS, torch.Size([]))
    buffer["mask",][:] = mask
    draws = MaskedDraws(leaf, buffer, ("action",), ("mask",))
    torch.manual_seed(3)
    for start in (0, ROWS // 2):
        draws.draw(start, start + ROWS // 2)
        for t in range(start, start + ROWS // 2):
            draws.write(t)
    actions = buffer["action",]
    assert leaf.is_in(actions)
    return actions.to(torch.int8).argmax(-1) if isinstance(leaf, OneHot) else actions


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8])
def test_each_allowed_choice_is_equally_likely(dtype: torch.dtype) -> None:
    actions = drawn(Categorical(4, shape=[3]), dtype)
    shares = torch.stack([(actions == choice).float().mean(0) for choice in range(4)], -1)
    expected = torch.tensor([[1, 0, 1, 1], [0, 3, 0, 0], [0.75, 0.75, 0.75, 0.75]]) / 3
    assert (shares - expected).abs().max() < 0.02
    assert not shares[:2][~torch.tensor(MASK)[:2]].any()


def test_vectors_are_the_numbers_that_are_drawn() -> None:
    numbers = drawn(Categorical(4, shape=[3], dtype=torch.int32))
    assert torch.equal(numbers.to(torch.int64), drawn(OneHot(4, shape=[3, 4], dtype=torch.int64)))
    assert torch.equal(numbers.to(torch.int64), drawn(OneHot(4, shape=[3, 4])))
