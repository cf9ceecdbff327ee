"""Reward2GoTransform: what is still to come of the rewards."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward2_go import Reward2GoTransform


def by_hand(rewards: list[float], done: list[bool], gamma: float) -> list[float]:
    return [
        sum(
            reward * gamma**later
            for later, reward in enumerate(rewards[t:])
            if not any(done[t : t + later])  # nothing of the episodes after
        )
        for t in range(len(rewards))
    ]


@pytest.mark.parametrize("gamma", [1.0, 0.9, torch.tensor(0.5)])
@pytest.mark.parametrize("batch", [[], [4], [2, 3]])
def test_the_sums_to_the_end_of_each_episode(gamma: float | torch.Tensor, batch: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    reward = torch.rand(*batch, 7, 1, generator=generator, dtype=torch.float64)
    done = torch.rand(*batch, 7, 1, generator=generator) < 0.3
    done[..., 4, :] = True
    td = TensorDict({"next": {"done": done, "reward": reward}}, [*batch, 7])
    found = Reward2GoTransform(gamma, out_keys=["to_go"]).inv(td)["to_go"]
    for rewards, flags, sums in zip(reward.view(-1, 7), done.view(-1, 7), found.view(-1, 7), strict=True):
        assert sums.tolist() == pytest.approx(by_hand(rewards.tolist(), flags.tolist(), float(gamma)))


def test_as_torchrl_prints_it() -> None:
    """The example of its docstring."""
    done = torch.zeros(4, 5, 1, dtype=torch.bool)
    done[:, -1] = True
    td = TensorDict({"next": {"done": done, "reward": torch.ones(4, 5, 1)}}, [4, 5])
    found = Reward2GoTransform(gamma=0.99, out_keys=["reward_to_go"]).inv(td)
    assert found["reward_to_go"][0].flatten().tolist() == pytest.approx([4.9010, 3.9404, 2.9701, 1.99, 1.0], abs=1e-4)
    assert "reward_to_go" not in td, "what was given stays"


def test_of_a_rollout_and_in_the_place_of_the_rewards() -> None:
    data = CountingEnv(3).rollout(6, lambda td: td.set("action", torch.ones(1)), break_when_any_done=False)
    assert Compose(Reward2GoTransform()).inv(data)["next", "reward"].flatten().tolist() == [3, 2, 1, 3, 2, 1]
    assert data["next", "reward"].flatten().tolist() == [1] * 6
    assert Reward2GoTransform()(data) is data


def test_its_state_is_that_of_torchrl() -> None:
    assert Reward2GoTransform(0.25).state_dict() == {"gamma": torch.tensor(0.25)}


def test_misuse_is_named() -> None:
    for transform in (Reward2GoTransform(), Compose(Reward2GoTransform())):
        with pytest.raises(TransformError, match=r"not known inside an env. .*\.inv\(env\.rollout"):
            TransformedEnv(CountingEnv(), transform)
    going = CountingEnv(9).rollout(3)
    with pytest.raises(TransformError, match="found a row where no episode ends"):
        Reward2GoTransform().inv(going)
    ended = CountingEnv(3).rollout(3)
    with pytest.raises(TransformError, match=r"none of in_keys \['pay'\] exists"):
        Reward2GoTransform(in_keys=["pay"]).inv(ended)
    with pytest.raises(TransformError, match=r"no \('next', 'over'\), which marks where episodes end"):
        Reward2GoTransform(done_key="over").inv(ended)
    with pytest.raises(TransformError, match="found a TensorDict without dimensions"):
        Reward2GoTransform().inv(ended[0])
    ended.set(("next", "flat"), torch.zeros(3))
    with pytest.raises(TransformError, match=r"'flat'\) is \[3\], expected the shape of its flag 'done', \[3, 1\]"):
        Reward2GoTransform(in_keys=[("next", "flat")]).inv(ended)
