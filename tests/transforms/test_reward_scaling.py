"""RewardScaling: rewards scaled and shifted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.specs import Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, DoubleEnv, NestedEnv
from envcli.transforms.reward_scaling import RewardScaling


class TestScaled(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), RewardScaling(1.0, -2.0))


def test_by_hand() -> None:
    td = TensorDict({"reward": torch.tensor([[5.0], [-1.0]])}, [2])
    assert RewardScaling(1.0, 2.0)(td.clone())["reward"].tolist() == [[11], [-1]]
    assert RewardScaling(1.0, 2.0, standard_normal=True)(td.clone())["reward"].tolist() == [[2], [-1]]


@pytest.mark.parametrize("standard_normal", [False, True])
def test_in_an_env_it_is_numpys_arithmetic(standard_normal: bool) -> None:
    env = TransformedEnv(CountingEnv(99, [3]), RewardScaling(0.3, 1.7, standard_normal=standard_normal))
    data = env.rollout(20)
    reward, loc, scale = data["action"].numpy(), np.float32(0.3), np.float32(1.7)
    expected = (reward - loc) / scale if standard_normal else reward * scale + loc
    np.testing.assert_array_equal(data["next", "reward"].numpy(), expected)
    assert env.reward_spec == Unbounded([3, 1])


def test_floats_keep_their_dtype_and_integers_become_floats() -> None:
    assert TransformedEnv(DoubleEnv(), RewardScaling(0.1, 2)).rollout(2)["next", "reward"].dtype == torch.float64
    td = TensorDict({"reward": torch.tensor([1, 2])})
    assert RewardScaling(0.5, 2)(td)["reward"].tolist() == [2.5, 4.5]


def test_nested() -> None:
    data = TransformedEnv(NestedEnv(3), RewardScaling(0, 10)).rollout(3)
    assert torch.equal(data["next", "agent", "reward"], data["agent", "action"] * 10)


def test_numbers_are_state() -> None:
    env = TransformedEnv(CountingEnv(9), RewardScaling(0.0, 1.0))
    env.rollout(2)
    env.transform.load_state_dict({"loc": torch.tensor(3.0), "scale": torch.tensor(0.0)})
    assert env.rollout(2)["next", "reward"].flatten().tolist() == [3, 3]


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"RewardScaling: found no numbers. Give loc and scale"):
        RewardScaling(None, None)  # type: ignore[arg-type]
