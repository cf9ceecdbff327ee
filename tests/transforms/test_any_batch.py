"""Transforms of an env that takes TensorDicts of any batch size: they give what each env by itself would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.specs import Bounded, Composite, Unbounded
from envcli.transforms.cat_tensors import CatTensors
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.target_return import TargetReturn
from envcli.transforms.tensordict_primer import TensorDictPrimer
from envcli.transforms.transform import Transform
from envcli.transforms.vec_norm import VecNorm
from envcli.transforms.vec_norm_v2 import VecNormV2


class Adding(EnvBase):
    """``x`` grows by the action, which is also the reward."""

    batch_locked = False

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = self.state_spec = Composite(x=Unbounded(2))
        self.action_spec = Bounded(-1, 1, (2,))
        self.reward_spec = Unbounded(2)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        batch = torch.Size() if tensordict is None else tensordict.batch_size
        return TensorDict({"x": torch.zeros(*batch, 2)}, batch)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["action"]
        done = torch.zeros(*tensordict.batch_size, 1, dtype=torch.bool)
        x = tensordict["x"] + action
        return TensorDict({"x": x, "reward": action.clone(), "done": done}, tensordict.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        pass


def frozen_norm() -> VecNorm:
    norm = VecNorm(["x"], ["normal"])
    norm(TensorDict({"x": torch.arange(20.0).view(10, 2)}, [10]))
    return norm.freeze()


def frozen_averages() -> VecNormV2:
    norm = VecNormV2(["x"], ["normal"])
    for value in torch.arange(20.0).view(10, 2):
        norm(TensorDict({"x": value}))
    return norm.freeze()


def both() -> TensorDict:
    return TensorDict({"hidden": torch.full((3,), 2.0)})


TRANSFORMS: list[Callable[[], Transform]] = [
    RewardSum,
    lambda: RewardSum(reward_spec=True),
    lambda: TargetReturn(4.0),
    InitTracker,
    lambda: TensorDictPrimer(hidden=Unbounded(3), default_value=2.0),
    lambda: TensorDictPrimer(hidden=Unbounded(3), default_value=both, single_default_value=True),
    lambda: CatTensors(["x"], "vector", del_keys=False),
    frozen_norm,
    frozen_averages,
]


def stepped(transform: Transform, batch: list[int]) -> TensorDictBase:
    env = TransformedEnv(Adding(), transform)
    td, rows = env.reset(TensorDict({}, batch)), []
    for i in range(3):
        td.set("action", torch.tensor([0.25, i / 4]).expand(*batch, 2))
        rows.append(env.step(td).copy())
        td = env.step_mdp(td)
    return torch.stack(rows)


@pytest.mark.parametrize("make", TRANSFORMS)
@pytest.mark.parametrize("batch", [[4], [4, 3]])
def test_each_env_is_as_by_itself(make: Callable[[], Transform], batch: list[int]) -> None:
    one, many = stepped(make(), []), stepped(make(), batch)
    assert set(many.keys(True, True)) == set(one.keys(True, True))
    for key in one.keys(True, True):
        alone = one[key].reshape(3, *[1] * len(batch), *one[key].shape[1:])
        assert torch.equal(many[key], alone.expand_as(many[key])), key


@pytest.mark.parametrize("make", TRANSFORMS)
def test_a_reset_is_for_those_that_are_named(make: Callable[[], Transform]) -> None:
    env = TransformedEnv(Adding(), make())
    fresh = env.reset(TensorDict({}, [2]))
    td = fresh.clone().set("action", torch.ones(2, 2))
    td = env.step_mdp(env.step(td))
    went_on = td.clone()
    td = env.reset(td.set("_reset", torch.tensor([[True], [False]])))
    for key in set(fresh.keys()) & set(went_on.keys()):
        assert torch.equal(td[key], torch.stack([fresh[key][0], went_on[key][1]])), key


def test_a_policy_leads_its_state_on() -> None:
    env = TransformedEnv(Adding(), TensorDictPrimer(hidden=Unbounded(3)))
    td = env.reset(TensorDict({}, [2])).set("action", torch.zeros(2, 2))
    td.set(("next", "hidden"), td["hidden"] + 1)
    td = env.step_mdp(env.step(td))
    assert torch.equal(td["hidden"], torch.ones(2, 3))


def test_sums_that_are_rewards_are_kept_for_each_batch_size() -> None:
    env = TransformedEnv(Adding(), RewardSum(reward_spec=True))
    env.rollout(2, lambda td: td.set("action", torch.ones(2)))
    td = env.reset(TensorDict({}, [4])).set("action", torch.ones(4, 2))
    for total in (1, 2):
        td = env.step(td)
        assert torch.equal(td["next", "episode_reward"], torch.full((4, 2), float(total)))
        td = env.step_mdp(td).set("action", torch.ones(4, 2))
