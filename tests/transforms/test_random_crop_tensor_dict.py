"""RandomCropTensorDict: a random piece of each trajectory."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.testing.toys import CountingEnv
from envcli.transforms.random_crop_tensor_dict import RandomCropTensorDict


def data(*lead: int, steps: int = 6) -> TensorDict:
    """``[*lead, steps]``, whose entries say which step they are of."""
    t = torch.arange(steps).expand(*lead, steps)
    return TensorDict({"t": t, "group": {"twice": torch.stack([t, t], -1)}}, batch_size=[*lead, steps])


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_steps_in_a_row_of_each_trajectory(lead: tuple[int, ...]) -> None:
    whole = data(*lead)
    piece = RandomCropTensorDict(4)(whole)
    assert piece.batch_size == (*lead, 4)
    assert (piece["t"].diff(dim=-1) == 1).all()
    assert torch.equal(piece["group", "twice"][..., 0], piece["t"])
    assert whole.batch_size == (*lead, 6)


def test_every_beginning_is_as_likely() -> None:
    torch.manual_seed(0)
    first = RandomCropTensorDict(4)(data(3000))["t"][:, 0]
    assert torch.allclose(torch.bincount(first) / 3000, torch.full((3,), 1 / 3), atol=0.04)
    assert torch.equal(RandomCropTensorDict(6)(data(2))["t"], data(2)["t"])


def test_time_may_be_another_dimension() -> None:
    piece = RandomCropTensorDict(4, sample_dim=0)(data(2).transpose(0, 1).contiguous())
    assert piece.batch_size == (4, 2)
    assert (piece["t"].diff(dim=0) == 1).all()


@pytest.mark.parametrize("last", [(), (1,)])
def test_what_a_mask_leaves_out_is_never_drawn(last: tuple[int, ...]) -> None:
    padded, crop = data(200), RandomCropTensorDict(3, mask_key="mask")
    lengths = torch.randint(3, 7, (200, 1))
    padded["mask"] = (padded["t"] < lengths).reshape(200, 6, *last)
    piece = crop(padded)
    assert piece["mask"].all()
    assert (piece["t"][:, -1] == lengths[:, 0] - 1).any(), "up to the last step"
    with pytest.raises(TransformError, match="a trajectory has 3 steps, and sub_seq_len is 4"):
        RandomCropTensorDict(4, mask_key="mask")(padded)
    assert RandomCropTensorDict(3, mask_key="nothing")(padded).batch_size == (200, 3)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="sub_seq_len must be at least 1, found 0"):
        RandomCropTensorDict(0)
    with pytest.raises(RuntimeError, match="a trajectory has 6 steps, and sub_seq_len is 7"):
        RandomCropTensorDict(7)(data(2))
    with pytest.raises(TransformError, match=r"expected a TensorDict with a dimension -1, found \[\]"):
        RandomCropTensorDict(7)(TensorDict({}))
    with pytest.raises(TransformError, match="an env shows one step at a time"):
        TransformedEnv(CountingEnv(), RandomCropTensorDict(2))
