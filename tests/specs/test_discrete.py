"""What all specs of choices share: their mask."""

from __future__ import annotations

import pytest
import torch

from envcli.specs import Categorical, MultiCategorical, MultiOneHot, OneHot, TensorSpec

CASES = {
    "categorical": (Categorical(3, (2,)), torch.tensor([True, False, True])),
    "one-hot": (OneHot(3, (2, 3)), torch.tensor([True, False, True])),
    "multi-categorical": (MultiCategorical([1, 2], (2, 2)), torch.tensor([True, False, True])),
    "multi-one-hot": (MultiOneHot([1, 2], (2, 3)), torch.tensor([True, False, True])),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mask_comes_and_goes(name: str) -> None:
    spec, mask = CASES[name]
    free: TensorSpec = spec.clone()
    masked = spec.clone()
    masked.update_mask(mask)
    assert masked != free
    assert torch.equal(masked.mask, mask.expand(2, 3))
    assert masked.is_in(masked.rand((50,)))
    assert not masked.is_in(free.rand((50,)))
    assert masked.clone() == masked
    masked.update_mask(None)
    assert masked == free


@pytest.mark.parametrize("name", CASES)
def test_a_mask_follows_the_batch(name: str) -> None:
    spec, mask = CASES[name]
    both = torch.stack([mask, torch.ones(3, dtype=torch.bool)])
    masked = spec.clone()
    masked.update_mask(both)
    assert torch.equal(masked[0].mask, mask)
    assert torch.equal(masked.unsqueeze(0).mask, both[None])
    assert torch.equal(masked[[1, 0]].mask, both[[1, 0]])
    assert masked.expand(5, *masked.shape).is_in(masked.expand(5, *masked.shape).rand((9,)))


@pytest.mark.parametrize("name", CASES)
def test_a_clone_keeps_its_own_mask(name: str) -> None:
    spec, mask = CASES[name]
    one = spec.clone()
    one.update_mask(mask)
    other = one.clone()
    one.update_mask(None)
    assert other.mask is not None
