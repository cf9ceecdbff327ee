"""AlongEpisode: values that begin with an episode, on rows and on rollouts."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.along_episode import AlongEpisode
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.target_return import TargetReturn


@pytest.mark.parametrize("make", [RewardSum, lambda: TargetReturn(3.0), lambda: TargetReturn(3.0, "constant")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("env", [CountingEnv, NestedEnv])
@pytest.mark.parametrize("batch", [[], [2]])
def test_afterwards_it_is_what_the_env_gave(
    make: type[AlongEpisode], dtype: torch.dtype, env: type, batch: list[int]
) -> None:
    limit = [2, 3] if batch else 3
    base = CountingEnv(limit, batch, dtype=dtype) if env is CountingEnv else NestedEnv(limit, batch)
    transformed = TransformedEnv(base, make())
    data = transformed.rollout(8, break_when_any_done=False)
    key = transformed.transform.out_keys[0]
    names = [key, ("next", *((key,) if isinstance(key, str) else key))]
    plain = data.exclude(*names)
    again = transformed.transform.clone()(plain)
    for name in names:
        assert torch.equal(again[name], data[name]), name


def test_a_piece_of_a_rollout_goes_on() -> None:
    data = TransformedEnv(CountingEnv(9), RewardSum()).rollout(6)
    piece = RewardSum()(data[3:].clone())
    assert torch.equal(piece["next", "episode_reward"], data["next", "episode_reward"][3:])


def test_what_a_rollout_needs() -> None:
    with pytest.raises(TransformError, match="time"):
        RewardSum()(TensorDict({"next": {"reward": torch.ones(1)}}))
    with pytest.raises(TransformError, match=r"RewardSum: expected \('next', 'done'\), which marks where episodes end"):
        RewardSum()(TensorDict({"next": {"reward": torch.ones(2, 1)}}, [2]))
    with pytest.raises(TransformError, match=r"RewardSum: expected \('next', 'reward'\) in the rollout, found none"):
        RewardSum()(TensorDict({"reward": torch.ones(2, 1)}, [2]))


def test_names() -> None:
    assert TransformedEnv(NestedEnv(), RewardSum()).transform.out_keys == [("agent", "episode_reward")]
    assert RewardSum(["a", "b"]).out_keys == ["episode_a", "episode_b"]
    assert RewardSum(["a"], ["total"]).out_keys == ["total"]
    assert TargetReturn(1.0, in_keys=[("x", "gain")]).out_keys == [("x", "target_return")]
    with pytest.raises(TransformError, match="expected one distinct name for each of in_keys"):
        TargetReturn(1.0, in_keys=["a", "b"])
    with pytest.raises(TransformError, match=r"in_keys \['reward', 'gain'\] do not exist|in_keys \['gain'\]"):
        TransformedEnv(CountingEnv(), RewardSum(["gain"]))
